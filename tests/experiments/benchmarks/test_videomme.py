"""Video-MME: its prompts byte for byte, its files, its parsers of two years."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import VideoMME

from .files import Files

TABLE = "videomme/test-00000-of-00001.parquet"
ROW = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "url": "https://www.youtube.com/watch?v=fFjv93ACGo8",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "What colour is the tree?",
    "options": ["A. Red.", "B. Green.", "C. Blue.", "D. White."],
    "answer": "C",
}

PAPER = """\
Select the best answer to the following multiple-choice question based on the video and the \
subtitles. Respond with only the letter (A, B, C, or D) of the correct option.
What colour is the tree?
A. Red.
B. Green.
C. Blue.
D. White."""
LMMS_EVAL = f"{PAPER}\n\nAnswer with the option's letter from the given choices directly."
OFFICIAL = """\
Select the best answer to the following multiple-choice question based on the video. Respond with \
only the letter (A, B, C, or D) of the correct option.
What colour is the tree?
A. Red.
B. Green.
C. Blue.
D. White.
The best answer is:"""
QWEN3_VL = """\
Question: What colour is the tree?
Options:
A. Red.
B. Green.
C. Blue.
D. White.
Answer with the option letter only."""
PROMPTS = {
    "lmms-eval": LMMS_EVAL,
    "paper": PAPER,
    "official": OFFICIAL,
    "qwen3-vl": QWEN3_VL,
    "question": "What colour is the tree?",
}
SPOKEN = "This video's subtitles are listed below:"
WITH_SUBTITLES = {
    "lmms-eval": f"{SPOKEN} \n{{}}\n{PAPER}\nThe best answer is:",
    "official": f"{SPOKEN}\n{{}}\n{OFFICIAL}",
    "qwen3-vl": f"{SPOKEN} \n{{}}\n{QWEN3_VL}",
}


@pytest.mark.parametrize("prompt", VideoMME.prompts)
def test_prompt_byte_for_byte(prompt: str, files: Files) -> None:
    files.parquet(TABLE, [ROW])
    (question,) = VideoMME(files.root, prompt).questions()
    assert question.prompt == PROMPTS[prompt]
    assert (question.reply_start, question.system) == ("", None)


@pytest.mark.parametrize("prompt", WITH_SUBTITLES)
def test_prompt_with_subtitles_byte_for_byte(
    prompt: str, built: Callable[[str], Path], files: Files
) -> None:
    files.parquet(TABLE, [{**ROW, "videoID": "clip1"}])
    for folder in ("data", "subtitle"):
        shutil.copytree(built("videomme") / folder, files.root / folder)
    (question,) = VideoMME(files.root, prompt, subtitles=True).questions()
    expected = WITH_SUBTITLES[prompt].format("This is red.\nAnd this is blue.")
    assert question.prompt == expected
    # One moment is the first frame's.
    (question,) = VideoMME(files.root, prompt, subtitles=True, subtitle_frames=1).questions()
    assert question.prompt == WITH_SUBTITLES[prompt].format("This is red.")
    shutil.rmtree(files.root / "subtitle")
    (question,) = VideoMME(files.root, prompt, subtitles=True).questions()
    assert question.prompt == WITH_SUBTITLES[prompt].format("No subtitles available")


def test_the_wording_speaks_of_subtitles_where_there_are_none(tmp_path: Path) -> None:
    assert "and the subtitles" in LMMS_EVAL
    assert "subtitles" not in OFFICIAL
    with pytest.raises(ValueError, match="paper used no subtitles"):
        VideoMME(tmp_path, "paper", subtitles=True)
    with pytest.raises(ValueError, match="subtitle_frames must be at least 1, got 0"):
        VideoMME(tmp_path, subtitles=True, subtitle_frames=0)


def test_length_of_replies_belongs_to_the_wording(tmp_path: Path) -> None:
    lengths = {prompt: VideoMME(tmp_path, prompt).max_new_tokens for prompt in VideoMME.prompts}
    published = {"lmms-eval": 16, "paper": 1024, "official": 16, "qwen3-vl": 16}
    assert lengths == {**published, "question": 8}


def test_a_row_becomes_a_question(files: Files) -> None:
    files.parquet(TABLE, [ROW])
    (question,) = VideoMME(files.root).questions()
    assert (question.id, question.video, question.path) == ("001-1", "fFjv93ACGo8", None)
    assert (question.answer, question.start, question.end) == ("C", 0.0, None)
    assert question.groups == {
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Humanity & History",
        "task_type": "Counting Problem",
    }
    assert list(question.choices) == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    "file", ["data/fFjv93ACGo8.mp4", "data/fFjv93ACGo8.MP4", "data/fFjv93ACGo8.mkv"]
)
def test_videos_in_the_published_folders(file: str, files: Files) -> None:
    files.parquet(TABLE, [ROW])
    files.touch(file)
    assert VideoMME(files.root).questions()[0].path == files.root / file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "E"}, r"row 0: field 'answer' is 'E', but the options are A, B, C, D"),
        ({"answer": None}, r"row 0: field 'answer' is None, not text"),
        ({"options": None}, r"field 'options' is None"),
    ],
)
def test_a_bad_row_is_told(change: dict[str, Any], message: str, files: Files) -> None:
    files.parquet(TABLE, [{**ROW, **change}])
    with pytest.raises(ValueError, match=message):
        VideoMME(files.root).questions()


def test_the_question_alone_is_answered_by_the_text_of_an_option(files: Files) -> None:
    files.parquet(TABLE, [ROW])
    benchmark = VideoMME(files.root, "question")
    (question,) = benchmark.questions()
    assert benchmark.max_new_tokens == 8
    replies = {"Blue .": "C", "blue": "C", "red": "A", "C": None, "bluish": None}
    assert {reply: benchmark.parse(question, reply) for reply in replies} == replies
    with pytest.raises(ValueError, match="prompt='question' is the question alone; leave subtitl"):
        VideoMME(files.root, "question", subtitles=True)


def test_seconds_of_the_evidence_are_handed_on_where_the_file_tells(files: Files) -> None:
    told = [{**ROW, "evidence": 3.5}, {**ROW, "question_id": "001-2", "evidence": None}]
    files.parquet(TABLE, told)
    assert [question.evidence for question in VideoMME(files.root).questions()] == [3.5, None]
    files.parquet(TABLE, [{**ROW, "evidence": "late"}])
    with pytest.raises(ValueError, match="field 'evidence' is 'late', not a number"):
        VideoMME(files.root).questions()
