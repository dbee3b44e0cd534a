"""MLVU: two layouts, four wordings, answers as letters and as text, macro and micro."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import MLVU
from crossframe.experiments.benchmarks.mlvu import TASK_FILES

from .files import Files

TABLE = "mlvu/test-00000-of-00001.parquet"
ROW = {
    "video_name": "movie101_66.mp4",
    "duration": 246.0,
    "question": "What colour is it?\n(A) Yellow\n(B) Red\n(C) Green\n(D) Blue",
    "candidates": ["Yellow", "Red", "Green", "Blue"],
    "answer": "B",
    "task_type": "plotQA",
    "question_id": "PQA_1",
}
ITEM = {
    "video": "movie101_66.mp4",
    "duration": 246,
    "question": "What colour is it?",
    "candidates": ["Yellow", "Red", "Green", "Blue"],
    "answer": "Red",
    "question_type": "plotQA",
}
LMMS_EVAL = """\
What colour is it?
(A) Yellow
(B) Red
(C) Green
(D) Blue
Only give the best option.
Best option: ("""
OFFICIAL = """\
Question: What colour is it?
Options:
(A) Yellow
(B) Red
(C) Green
(D) Blue
Only give the best option."""
SYSTEM = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, "
    "select the best option that accurately addresses the question."
)
WORDINGS = {
    "lmms-eval": (LMMS_EVAL, "", None),
    "official": (OFFICIAL, "Best Option: (", SYSTEM),
    "rekv": (OFFICIAL, "Best option: (", None),
    "question": ("What colour is it?", "", None),
}


def write_original(files: Files, item: Mapping[str, Any], folder: str = "json") -> None:
    """The item in the first task, the other tasks empty."""
    for file in TASK_FILES:
        files.json(f"{folder}/{file}.json", [item] if file == "1_plotQA" else [])


@pytest.mark.parametrize("layout", ["parquet", "original"])
@pytest.mark.parametrize("prompt", MLVU.prompts)
def test_prompt_byte_for_byte(prompt: str, layout: str, files: Files) -> None:
    if layout == "parquet":
        files.parquet(TABLE, [ROW])
    else:
        write_original(files, ITEM)
    (question,) = MLVU(files.root, prompt).questions()
    assert (question.prompt, question.reply_start, question.system) == WORDINGS[prompt]


def test_the_test_split_has_no_request_in_lmms_eval(files: Files) -> None:
    files.parquet(TABLE, [ROW])
    (question,) = MLVU(files.root, split="test").questions()
    assert question.prompt == ROW["question"]
    with pytest.raises(ValueError, match="split must be 'dev' or 'test', got 'val'"):
        MLVU(files.root, split="val")


def test_a_parquet_row_becomes_a_question(files: Files) -> None:
    files.parquet(TABLE, [ROW, {**ROW, "question_id": None}])
    files.touch("movie101_66.mp4")
    first, second = MLVU(files.root).questions()
    assert (first.id, first.video, first.answer) == ("PQA_1", "movie101_66.mp4", "B")
    assert second.id == "0001"
    assert first.path == files.root / "movie101_66.mp4"
    assert first.groups == {"task": "plotQA"}


def test_original_answers_are_texts_and_tasks_are_files(files: Files) -> None:
    for number, file in enumerate(TASK_FILES):
        item = {**ITEM, "answer": ITEM["candidates"][number % 4], "question_type": "findNeedle"}
        files.json(f"json/{file}.json", [item])
    files.touch("video/2_needle/movie101_66.mp4")
    questions = MLVU(files.root).questions()
    assert [question.answer for question in questions] == list("ABCDABC")
    assert [question.groups["task"] for question in questions] == [
        "plotQA", "needle", "ego", "count", "order", "anomaly_reco", "topic_reasoning",
    ]  # fmt: skip
    assert [question.id for question in questions[:2]] == ["plotQA-0", "needle-0"]
    # A file name stands for other videos in other tasks.
    assert len({question.video for question in questions}) == 7
    assert [question.path is not None for question in questions].index(True) == 1


@pytest.mark.parametrize("folder", ["json", "MLVU/json", "data"])
def test_original_files_are_found_where_they_unpack(folder: str, files: Files) -> None:
    write_original(files, ITEM, folder)
    assert len(MLVU(files.root).questions()) == 1


def test_the_parquet_goes_before_the_original(files: Files) -> None:
    write_original(files, ITEM)
    files.parquet(TABLE, [ROW])
    assert MLVU(files.root).questions()[0].id == "PQA_1"


def test_of_an_answer_that_stands_twice_the_last_counts(files: Files) -> None:
    write_original(files, {**ITEM, "candidates": ["Six", "Red", "Red", "Eight"]})
    assert MLVU(files.root).questions()[0].answer == "C"


def test_the_known_answer_among_no_candidates_is_never_right(files: Files) -> None:
    write_original(files, {**ITEM, "answer": "Catching a flying drone quadcopter"})
    benchmark = MLVU(files.root)
    (question,) = benchmark.questions()
    assert question.answer == "@"
    assert not any(benchmark.correct(question, reply) for reply in ["A", "B", "C", "D", "@", ""])


def test_any_other_answer_among_no_candidates_is_told(files: Files) -> None:
    write_original(files, {**ITEM, "answer": "Purple"})
    with pytest.raises(ValueError, match=r"1_plotQA.json, item 0: field 'answer' is 'Purple'"):
        MLVU(files.root).questions()


def test_a_missing_task_file_is_told(files: Files) -> None:
    files.json("json/1_plotQA.json", [ITEM])
    with pytest.raises(ValueError, match=r"holds none of json/2_needle\.json"):
        MLVU(files.root).questions()


def test_a_parquet_without_options_in_its_questions_is_told(files: Files) -> None:
    files.parquet(TABLE, [{**ROW, "question": "What colour is it?"}])
    with pytest.raises(ValueError, match=r"does not list its candidates .*prompt='lmms-eval'"):
        MLVU(files.root, "official").questions()


def test_six_options_of_the_test_split_are_all_read(files: Files) -> None:
    candidates = ["Yellow", "Red", "Green", "Blue", "Black", "White"]
    files.parquet(TABLE, [{**ROW, "candidates": candidates, "answer": "F"}])
    benchmark = MLVU(files.root, split="test")
    assert benchmark.correct(benchmark.questions()[0], "F")


def test_length_of_replies(tmp_path: Path) -> None:
    lengths = [MLVU(tmp_path, prompt).max_new_tokens for prompt in MLVU.prompts]
    assert lengths == [16, 1024, 16, 8]


def test_headline_is_macro_and_micro_stands_beside_it(tmp_path: Path) -> None:
    rows = [
        {"correct": correct, "groups": {"task": task}}
        for task, answers in {"plotQA": (1, 1, 1, 0), "count": (0,), "ego": (1, 0)}.items()
        for correct in answers
    ]
    scores = MLVU(tmp_path).score(rows)
    assert list(scores)[:2] == ["m_avg", "accuracy"]
    assert scores["m_avg"] == pytest.approx((75 + 0 + 50) / 3)
    assert scores["accuracy"] == pytest.approx(100 * 4 / 7)
    assert scores["task/plotQA"] == 75.0


@pytest.mark.parametrize("layout", ["parquet", "original"])
def test_the_question_alone_is_answered_by_the_text_of_an_option(layout: str, files: Files) -> None:
    if layout == "parquet":
        files.parquet(TABLE, [ROW])
    else:
        write_original(files, ITEM)
    benchmark = MLVU(files.root, "question")
    (question,) = benchmark.questions()
    assert benchmark.max_new_tokens == 8
    replies = {"red": "B", "Green.": "C", "B": None, "(B) Red": None}
    assert {reply: benchmark.parse(question, reply) for reply in replies} == replies


def test_a_question_that_cannot_be_cut_off_before_its_options_is_told(files: Files) -> None:
    files.parquet(TABLE, [{**ROW, "question": "What colour is it? Yellow, red, green or blue?"}])
    with pytest.raises(ValueError, match="does not list its candidates after its first line"):
        MLVU(files.root, "question").questions()


def test_seconds_of_the_evidence_are_handed_on_where_the_file_tells(files: Files) -> None:
    files.parquet(TABLE, [{**ROW, "evidence": 3.5}, {**ROW, "question_id": "2", "evidence": None}])
    assert [question.evidence for question in MLVU(files.root).questions()] == [3.5, None]
    (files.root / TABLE).unlink()
    write_original(files, {**ITEM, "evidence": 7})
    assert [question.evidence for question in MLVU(files.root).questions()] == [7.0]
