"""Benchmarks whose media are texts: rows, equal budgets, and texts that cannot be taken."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from crossframe.experiments.ablation.options import AblateOptions, Budget
from crossframe.experiments.ablation.run import ablate
from crossframe.experiments.benchmarks import LongVideoBench
from crossframe.experiments.evaluation.rows import read_rows
from crossframe.experiments.evaluation.run import evaluate
from crossframe.experiments.publishing.small_benchmarks import write_clip
from crossframe.experiments.streaming.lengths import question_ids
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.framework import VideoSession
from crossframe.methods import SlidingWindowMemory, StateKVMemory
from crossframe.models import DecoderModel

from .conftest import MakeOptions

SENTENCES = ("Which way does the red square move?", "How many people are there, and where?")
TEXT = "\n".join(SENTENCES * 8)
TEXTS = {"notes.txt": TEXT.encode(), "more.txt": TEXT[::-1].encode()}


def written(folder: Path, media: Mapping[str, bytes]) -> LongVideoBench:
    """Two questions about each of these files."""
    (folder / "videos").mkdir(parents=True)
    for name, content in media.items():
        (folder / "videos" / name).write_bytes(content)
    rows = [
        {
            "video_id": name,
            "id": f"{name} {number}",
            "video_path": name,
            "question": question,
            "candidates": ["Red", "Green", "Blue"],
            "correct_choice": 0,
            "duration_group": 15,
            "question_category": "T3E",
            "topic_category": "KH",
        }
        for name in media
        for number, question in enumerate(("Which colour?", "What is the colour of the ball?"))
    ]
    (folder / "lvb_val.json").write_text(json.dumps(rows), "utf-8")
    return LongVideoBench(folder)


def test_rows_are_those_of_sessions_that_read_the_whole_text(
    reader: DecoderModel, options: MakeOptions, tmp_path: Path
) -> None:
    chosen = options(benchmark=written(tmp_path / "texts", TEXTS))
    assert evaluate(chosen) is not None
    rows = read_rows(chosen.output)
    assert len(rows) == 2 * 4
    for row in rows:
        question = next(o for o in chosen.benchmark.questions() if o.id == row["question"])
        session = VideoSession(reader, chosen.cells[row["cell"]].memory)
        frames = reader.text_frames(TEXTS[question.video].decode())
        session.push(frames)
        answer = session.ask(question_ids(reader, question), max_new_tokens=4)
        assert row["reply"] == answer.text and row["status"] in ("answered", "invalid")
        assert (row["frames"], row["tokens"]) == (len(frames), session.cursor.tokens)
    assert len({row["pass"] for row in rows}) == 2, "questions about a text share a pass"


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"one", "tokens, fewer than one frame of 16"),
        (b" \n", "has no words: give a file with text in it"),
        (b"caf\xe9 " * 99, "is not UTF-8"),
        (
            TEXTS["notes.txt"] * 9,
            "the answer up to 4, more than the 600 that the model was trained",
        ),
    ],
)
def test_one_text_that_cannot_be_taken_does_not_end_the_run(
    content: bytes, why: str, options: MakeOptions, tmp_path: Path
) -> None:
    benchmark = written(tmp_path / "texts", {"notes.txt": TEXTS["notes.txt"], "odd.txt": content})
    evaluate(options(benchmark=benchmark))
    rows = read_rows(tmp_path / "run")
    odd = [row for row in rows if row["video"] == "odd.txt"]
    assert len(odd) == 4 and {row["status"] for row in odd} == {"unreadable"}
    assert all(why in row["why"] and "odd.txt" in row["why"] for row in odd)
    assert "unreadable" not in {row["status"] for row in rows if row not in odd}
    with pytest.raises(ValueError, match=r"odd\.txt"):
        evaluate(options(benchmark=benchmark, output=tmp_path / "strict", strict=True))


@pytest.mark.usefixtures("reader")
def test_a_model_is_given_only_files_that_it_reads(
    options: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = written(tmp_path / "texts", TEXTS)
    videos = written(tmp_path / "clips", {"clip.mp4": b""})
    write_clip(tmp_path / "clips/videos/clip.mp4", ("Red", "Blue"))
    with pytest.raises(ValueError, match=r"clip\.mp4 is a video, and DecoderModel reads text al"):
        evaluate(options(benchmark=videos))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"notes\.txt is a text, and InternVL3 sees images: give"):
        evaluate(options(benchmark=texts, output=tmp_path / "sees"))


@pytest.mark.usefixtures("reader")
def test_a_study_gives_memories_of_a_text_equal_budgets(tmp_path: Path) -> None:
    study = ablate(
        AblateOptions(
            models={"reader": ModelOptions("a-reader")},
            benchmark=written(tmp_path / "texts", TEXTS),
            output=tmp_path / "study",
            memories={"statekv": StateKVMemory(None), "window": SlidingWindowMemory(None)},
            budget=Budget("slots", (32,)),
            max_new_tokens=2,
            trainer={"accelerator": "cpu", "logger": False},
        )
    )
    assert study is not None and study.owed == 0
    assert (tmp_path / "study/ablation.html").is_file()
    sizes = json.loads((tmp_path / "study/reader/sizes.json").read_text("utf-8"))
    assert sizes["look"]["frame_tokens"] == 16 and sizes["look"]["prompt_tokens"] == 1
    assert {row["attained"] for row in sizes["sizes"].values()} == {32}
