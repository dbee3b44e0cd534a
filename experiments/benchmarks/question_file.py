"""Questions of one's own: a file of videos, questions and answers, with no code."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from .annotations import Record, read_records
from .choices import lettered
from .question import Harness, MultipleChoice, Question

FILES = ("questions.jsonl", "questions.csv", "questions.json")
LAST = "\nAnswer with the option's letter from the given choices directly."
# Fields with a meaning; every other one with a text is a way of grouping.
FIELDS = ("id", "video", "question", "answer", "choices", "time", "evidence")


@final
@dataclass(frozen=True)
class QuestionFile(MultipleChoice):
    """Reads `questions.jsonl`, `questions.csv` or `questions.json` below `root`, an item a line.

    Fields of an item: `video`, a file below `root` or `videos`; `question`; `answer`; and where
    wanted `choices`, a list of texts (in CSV written as JSON); `time`, the second at which it is
    asked, of which later frames are not shown; `id`; `evidence`, the second at which the answer was
    last shown. Every further field that holds a text is a way to group scores by.

    With choices the answer is a letter or one of the texts, and the reply is read for a letter.
    Without, the reply is right if it has the answer's words, whatever its case and punctuation.

    Wordings:
        plain: the question; with choices, "A. ..." below it, and the request for the letter.

    Metric: accuracy over all questions.
    """

    name: ClassVar[str] = "questions"
    prompts: ClassVar[Mapping[str, Harness]] = {"plain": Harness("lmms-eval", 64)}
    video_folders: ClassVar[tuple[str, ...]] = (".", "videos")

    prompt: str = "plain"

    def read(self) -> Iterator[Question]:
        path = self.find_annotation(*FILES)
        for number, record in enumerate(read_records(path), 1):
            filled = {name: value for name, value in record.values.items() if value != ""}
            yield self._question(Record(record.where, filled), str(number))

    def parse(self, question: Question, reply: str) -> str | None:
        if question.choices:
            return self.chosen(question, reply)
        return plain_words(reply) or None

    def _question(self, record: Record, number: str) -> Question:
        video, prompt = record.text("video"), record.text("question")
        choices: dict[str, str] = {}
        if "choices" in record:
            choices = lettered(_choices(record))
            lines = [prompt, *(f"{letter}. {text}" for letter, text in choices.items())]
            prompt = "\n".join(lines) + LAST
        return Question(
            id=record.name("id") if "id" in record else number,
            video=video,
            path=self.find_video(video),
            prompt=prompt,
            answer=_answer(record, choices),
            end=_seconds(record, "time"),
            groups={
                name: value
                for name, value in record.values.items()
                if name not in FIELDS and isinstance(value, str)
            },
            choices=choices,
            evidence=_seconds(record, "evidence"),
        )


def plain_words(text: str) -> str:
    """The words of a text in lower case, parted by single blanks."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _choices(record: Record) -> list[str]:
    value = record.values["choices"]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise record.fault(
                "choices", f'is {value!r}, not a list like ["red", "blue"]'
            ) from None
    choices = Record(record.where, {"choices": value}).texts("choices")
    if not 2 <= len(choices) <= 26:
        raise record.fault("choices", f"has {len(choices)} texts: give 2 to 26")
    return choices


def _answer(record: Record, choices: Mapping[str, str]) -> str:
    """What `parse` has to return: a letter, or plain words."""
    answer = record.name("answer").strip()
    if not choices:
        if not plain_words(answer):
            raise record.fault("answer", f"is {answer!r}, without a word")
        return plain_words(answer)
    by_text = {text.strip(): letter for letter, text in choices.items()}
    if answer in by_text:
        return by_text[answer]
    if answer in choices:
        return answer
    known = ", ".join(f"{letter} ({text})" for letter, text in choices.items())
    raise record.fault("answer", f"is {answer!r}, but the choices are {known}")


def _seconds(record: Record, name: str) -> float | None:
    """A field in seconds, also one that a CSV file holds as text."""
    if name not in record:
        return None
    value = record.values[name]
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (0 <= seconds < math.inf) or isinstance(value, bool):
        raise record.fault(name, f"is {value!r}, not a number of seconds from 0 on")
    return seconds
