"""EgoSchema: the subset with answers, from both layouts, without guessing."""

from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import EgoSchema

from .files import Files

VIDEO = "0074f737-11cb-497d-8d07-77c3a8127391"
TEXTS = ["C cooks.", "C cleans.", "C reads.", "C builds.", "C sleeps."]
ITEM = {
    "q_uid": VIDEO,
    "google_drive_id": "x",
    "question": "What does C do?",
    **{f"option {number}": text for number, text in enumerate(TEXTS)},
}
ROW = {
    "question_idx": "0",
    "video_idx": VIDEO,
    "question": "What does C do?",
    "option": [f"{letter}. {text}" for letter, text in zip("ABCDE", TEXTS, strict=True)],
    "answer": "3",
}
PROMPT = """\
What does C do?
A. C cooks.
B. C cleans.
C. C reads.
D. C builds.
E. C sleeps.
Answer with the option's letter from the given choices directly."""


@pytest.fixture
def original(files: Files) -> Path:
    files.json("questions.json", [{**ITEM, "q_uid": "hidden"}, ITEM])
    files.json("subset_answers.json", {VIDEO: 3})
    return files.root


@pytest.fixture
def parquet(files: Files) -> Path:
    files.parquet("Subset/test-00000-of-00001.parquet", [ROW])
    return files.root


@pytest.mark.parametrize("layout", ["original", "parquet"])
@pytest.mark.parametrize("ending", [".mp4", ".MP4"])
def test_prompt_byte_for_byte(
    layout: str, ending: str, request: pytest.FixtureRequest, files: Files
) -> None:
    root: Path = request.getfixturevalue(layout)
    files.touch(f"videos/{VIDEO}{ending}")
    (question,) = EgoSchema(root).questions()  # the one whose answer is known
    assert question.prompt == PROMPT
    assert (question.video, question.answer) == (VIDEO, "D")
    assert question.path == root / f"videos/{VIDEO}{ending}"
    assert EgoSchema(root).max_new_tokens == 16


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({VIDEO: 5}, r"subset_answers\.json: field '.*' is 5, but the options are 0 to 4"),
        ({VIDEO: "x"}, "is 'x', not a whole number"),
        ({}, "hold no question"),
        ([3], r"is \[3\], not an object"),
        (None, r"holds none of subset_answers\.json"),  # the file is not there
    ],
)
def test_bad_answers_are_told(answers: Any, message: str, original: Path, files: Files) -> None:
    path = files.json("subset_answers.json", answers)
    if answers is None:
        path.unlink()
    with pytest.raises(ValueError, match=message):
        EgoSchema(original).questions()


def test_hidden_answers_of_the_full_set_are_told(files: Files) -> None:
    path = files.parquet("Subset/test-00000-of-00001.parquet", [{**ROW, "answer": None}])
    with pytest.raises(ValueError, match="field 'answer' is None, not a whole number"):
        EgoSchema(path.parent.parent).questions()
