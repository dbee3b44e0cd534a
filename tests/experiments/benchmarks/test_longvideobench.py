"""LongVideoBench: JSON and parquet, up to five options, no guessing."""

from dataclasses import replace
from typing import Any

import pytest

from crossframe.experiments.benchmarks import LongVideoBench

from .files import Files

ITEM = {
    "video_id": "86CxyhFV9MI",
    "id": "86CxyhFV9MI_0",
    "video_path": "86CxyhFV9MI.mp4",
    "subtitle_path": "86CxyhFV9MI_en.json",
    "question": "What is on the table?",
    "candidates": ["a cup", "a hat", "a key"],
    "correct_choice": 2,
    "duration": 12.0,
    "duration_group": 15,
    "question_category": "S2E",
    "topic_category": "KG-Knowledge-Geography",
    "starting_timestamp_for_subtitles": 0,
}
PROMPT = """\
What is on the table?
A. a cup
B. a hat
C. a key
Answer with the option's letter from the given choices directly.
"""


def test_prompt_byte_for_byte(files: Files) -> None:
    files.json("lvb_val.json", [ITEM])
    (question,) = LongVideoBench(files.root).questions()
    assert question.prompt == PROMPT
    assert (question.id, question.video, question.answer) == ("86CxyhFV9MI_0", "86CxyhFV9MI", "C")
    assert question.groups == {
        "duration_group": "15",
        "question_category": "S2E",
        "topic_category": "KG-Knowledge-Geography",
    }
    assert LongVideoBench(files.root).max_new_tokens == 32


@pytest.mark.parametrize("folder", ["", "data/"])
def test_parquet_pads_its_options(folder: str, files: Files) -> None:
    known = {name: value for name, value in ITEM.items() if name != "candidates"}
    options = ["a cup", "a hat", "a key", "N/A", "N/A"]
    row = {**known, **{f"option{number}": text for number, text in enumerate(options)}}
    files.parquet(f"{folder}validation-00000-of-00001.parquet", [row])
    files.touch("videos/86CxyhFV9MI.mp4")
    (question,) = LongVideoBench(files.root).questions()
    assert question.path == files.root / "videos/86CxyhFV9MI.mp4"
    files.json("elsewhere/lvb_val.json", [ITEM])
    (other,) = LongVideoBench(files.root / "elsewhere").questions()
    assert replace(question, path=None) == other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct_choice": 3}, "field 'correct_choice' is 3, but the options are 0 to 2"),
        ({"candidates": "a cup"}, "field 'candidates' is 'a cup', not a list of texts"),
        ({"candidates": None}, "field 'option0' is missing"),
    ],
)
def test_a_bad_item_is_told(change: dict[str, Any], message: str, files: Files) -> None:
    files.json("lvb_val.json", [{**ITEM, **change}])
    with pytest.raises(ValueError, match=message):
        LongVideoBench(files.root).questions()
