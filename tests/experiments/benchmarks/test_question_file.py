"""Questions of one's own, from each kind of file, without guessing."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from crossframe.experiments.benchmarks import Harness, MultipleChoice, QuestionFile

ITEMS: list[dict[str, Any]] = [
    {"video": "park.mp4", "question": "What colour?", "answer": "red", "choices": ["red", "blue"]},
    {
        "video": "park.mp4",
        "question": "Which?",
        "answer": "B",
        "choices": ["one", "two"],
        "time": 3,
    },
    {"video": "deep/sea.mp4", "question": "Who?", "answer": "A girl.", "time": 12.5, "task": "who"},
]
CHOICE = """\
What colour?
A. red
B. blue
Answer with the option's letter from the given choices directly."""


def written(folder: Path, kind: str, items: list[dict[str, Any]] = ITEMS) -> QuestionFile:
    for name in ("park.mp4", "videos/deep/sea.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    path = folder / f"questions.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    elif kind == "json":
        path.write_text(json.dumps(items), "utf-8")
    else:
        columns = ["video", "question", "answer", "choices", "time", "task"]
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, columns)
            table.writeheader()
            for item in items:
                lists = {n: json.dumps(v) for n, v in item.items() if isinstance(v, list)}
                table.writerow({**item, **lists})
    return QuestionFile(folder)


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
def test_every_kind_of_file_gives_the_same_questions(kind: str, tmp_path: Path) -> None:
    colour, which, who = written(tmp_path, kind).questions()
    assert (colour.id, colour.video, colour.path) == ("1", "park.mp4", tmp_path / "park.mp4")
    assert (colour.prompt, colour.answer, colour.end) == (CHOICE, "A", None)
    assert colour.choices == {"A": "red", "B": "blue"}
    assert (which.answer, which.end) == ("B", 3.0)
    assert who.path == tmp_path / "videos" / "deep" / "sea.mp4"
    assert (who.prompt, who.answer, who.end) == ("Who?", "a girl", 12.5)
    assert (who.choices, who.groups) == ({}, {"task": "who"})


def test_letters_and_words_are_read_and_nothing_is_guessed(tmp_path: Path) -> None:
    benchmark = written(tmp_path, "jsonl")
    colour, _, who = benchmark.questions()
    assert benchmark.correct(colour, "A")
    assert benchmark.correct(colour, "The answer is A.")
    assert not benchmark.correct(colour, "B")
    assert benchmark.parse(colour, "neither") is None
    assert benchmark.correct(who, " a  GIRL!")
    assert not benchmark.correct(who, "a boy")
    assert benchmark.parse(who, "...") is None
    assert benchmark.score([{"correct": True, "groups": {}}]) == {"accuracy": 100.0}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"answer": "green"}, r"line 1.*answer.*'green', but the choices are A \(red\), B \(blue"),
        ({"choices": ["red"]}, "choices.*1 texts: give 2 to 26"),
        ({"choices": "red, blue"}, r'choices.*not a list like \["red", "blue"\]'),
        ({"time": "soon"}, "time.*'soon', not a number of seconds"),
        ({"time": -1}, "time.*-1, not a number of seconds"),
        ({"question": None}, "line 1.*question"),
        ({"video": "../other.mp4"}, "names the video .* outside"),
    ],
)
def test_wrong_items_are_told_with_their_line(
    item: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        written(tmp_path, "jsonl", [{**ITEMS[0], **item}]).questions()


def test_a_folder_without_questions_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds none of questions.jsonl, questions.csv"):
        QuestionFile(tmp_path).questions()
    with pytest.raises(ValueError, match="unknown prompt 'mine'; known are 'plain'"):
        QuestionFile(tmp_path, prompt="mine")


def test_a_subclass_needs_what_is_exported_and_a_wrong_parser_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="unknown parser 'letters'; known are 'lmms-eval'"):
        Harness("letters", 16)
    with pytest.raises(ValueError, match="max_new_tokens"):
        Harness("strict", 0)

    @dataclass(frozen=True)
    class Mine(MultipleChoice):
        name: ClassVar[str] = "mine"
        prompts: ClassVar[Mapping[str, Harness]] = {"short": Harness("strict", 4)}
        video_folders: ClassVar[tuple[str, ...]] = (".",)

        def read(self) -> list[Any]:
            return []

    assert Mine(Path("x"), prompt="short").max_new_tokens == 4
    with pytest.raises(ValueError, match="mine: unknown prompt 'lmms-eval'; known are 'short'"):
        Mine(Path("x"))
