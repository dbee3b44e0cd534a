"""LVBench: JSON lines and parquet, options inside the question, several types per question."""

import json
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import LVBench

from .files import Files

QUESTION = "What year appears?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633"
PROMPT = f"{QUESTION}\nAnswer the question with the option letter"
QA = {
    "uid": "0",
    "question": QUESTION,
    "answer": "D",
    "question_type": ["key information retrieval", "reasoning"],
    "time_reference": "00:15-00:19",
}
LINE = {
    "key": "Cm73ma6Ibcs",
    "type": "cartoon",
    "video_info": {"duration_minutes": 60.1, "fps": 30.0, "resolution": {"width": 2, "height": 2}},
    "qa": [QA, {**QA, "uid": 1}],
}


def write_lines(folder: Path, *lines: dict[str, Any]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "video_info.meta.jsonl").write_text(text, "utf-8")


def test_prompt_byte_for_byte_without_a_full_stop(tmp_path: Path) -> None:
    write_lines(tmp_path, LINE)
    first, second = LVBench(tmp_path).questions()
    assert first.prompt == PROMPT
    assert (first.id, second.id) == ("0", "1")
    assert (first.video, first.answer) == ("Cm73ma6Ibcs", "D")
    assert first.groups == {
        "question_type": "key information retrieval; reasoning",
        "type": "cartoon",
    }
    assert LVBench(tmp_path).max_new_tokens == 16


@pytest.mark.parametrize("options", [None, ["1636", "1366", "1363", "1633"]])
def test_parquet_holds_the_same_question(options: list[str] | None, files: Files) -> None:
    row = {**QA, "video_path": "Cm73ma6Ibcs.mp4", "video_info": "{}", "type": "cartoon"}
    if options:
        row |= {"question": "What year appears?", "options": options}
    files.parquet("data/train-00000-of-00001.parquet", [row])
    (question,) = LVBench(files.root).questions()
    assert question.prompt == PROMPT
    assert question.video == "Cm73ma6Ibcs"


@pytest.mark.parametrize(
    ("reference", "seconds"),
    [("00:15-00:19", 19.0), ("01:02:38-01:02:45", 3765.0), ("05:26", 326.0), ("late", None)],
)
def test_evidence_is_the_last_moment_referred_to(
    reference: str, seconds: float | None, tmp_path: Path
) -> None:
    write_lines(tmp_path, {**LINE, "qa": [{**QA, "time_reference": reference}]})
    assert LVBench(tmp_path).questions()[0].evidence == seconds


@pytest.mark.parametrize("file", ["videos/Cm73ma6Ibcs.mp4", "all_videos/Cm73ma6Ibcs.mp4"])
def test_videos_in_the_published_folders(file: str, files: Files) -> None:
    write_lines(files.root, LINE)
    files.touch(file)
    assert LVBench(files.root).questions()[0].path == files.root / file


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {**LINE, "qa": [{**QA, "answer": "E"}]},
            "field 'answer' is 'E', but the options are A, B",
        ),
        ({**LINE, "qa": [{**QA, "question_type": "x"}]}, "'question_type' is 'x', not a list"),
        ({**LINE, "qa": None}, "line 1: field 'qa' is None"),
        ({**LINE, "qa": [QA, QA]}, "1 ids under .* come twice, '0'"),
    ],
)
def test_a_bad_line_is_told(line: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_lines(tmp_path, line)
    with pytest.raises(ValueError, match=message):
        LVBench(tmp_path).questions()
