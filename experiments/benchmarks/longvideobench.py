"""LongVideoBench: questions that refer to moments of videos from eight seconds to an hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from .annotations import Record, read_records
from .choices import lettered
from .question import Harness, MultipleChoice, Question

NO_OPTION = "N/A"


@final
@dataclass(frozen=True)
class LongVideoBench(MultipleChoice):
    """Reads `lvb_val.json` or `validation-00000-of-00001.parquet` of Hugging Face
    `longvideobench/LongVideoBench`; videos are `videos/<video_path>`.

    Wordings:
        lmms-eval: its task `longvideobench_val_v`, without subtitles.

    Paper: Wu et al., "LongVideoBench", arXiv 2407.15754. Metric: accuracy over all questions
    (micro), and per duration group, question category and topic.

    Left out: subtitles between the frames (`_val_i` and the official loader), because here all
    text follows the video; the test split, whose answers are not public.

    Pitfalls: lmms-eval answers at random, unseeded, where it cannot read a reply; here that is
    invalid. Options number 2 to 5, padded with "N/A" in the parquet; the parser looks for A to E
    whatever their number.
    """

    name: ClassVar[str] = "longvideobench"
    prompts: ClassVar[Mapping[str, Harness]] = {"lmms-eval": Harness("longvideobench", 32)}
    scored_by: ClassVar[tuple[str, ...]] = ("duration_group", "question_category", "topic_category")
    video_folders: ClassVar[tuple[str, ...]] = ("videos", ".")

    def read(self) -> Iterator[Question]:
        table = "validation-00000-of-00001.parquet"
        path = self.find_annotation("lvb_val.json", table, f"data/{table}")
        for record in read_records(path):
            choices = lettered(_options(record))
            file = record.text("video_path")
            yield Question(
                id=record.name("id"),
                video=record.text("video_id"),
                path=self.find_video(file),
                prompt=_prompt(record.text("question"), choices),
                answer=list(choices)[record.index("correct_choice", len(choices))],
                groups={name: record.name(name) for name in self.scored_by},
                choices=choices,
            )


def _options(record: Record) -> list[str]:
    if "candidates" in record:
        return record.texts("candidates")
    options = [record.text(f"option{number}") for number in range(5)]
    return [option for option in options if option != NO_OPTION]


def _prompt(question: str, choices: Mapping[str, str]) -> str:
    listed = "\n".join(f"{letter}. {text}" for letter, text in choices.items())
    last = "Answer with the option's letter from the given choices directly.\n"
    return f"{question}\n{listed}\n{last}"
