"""LVBench: 103 videos of half an hour to two hours and more, and 1,549 questions about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from .annotations import Record, read_records, seconds_of
from .question import Harness, MultipleChoice, Question
from .scores import AND

FOUR = dict.fromkeys("ABCD", "")  # the questions hold their options themselves


@final
@dataclass(frozen=True)
class LVBench(MultipleChoice):
    """Reads `video_info.meta.jsonl` of the benchmark, or `data/train-00000-of-00001.parquet` (its
    split is called train) of Hugging Face `lmms-eval/LVBench`.

    Videos are `videos/<key>.mp4` or `all_videos/<key>.mp4` (key is the YouTube id), or
    `<video_path>` of the parquet.

    Wordings:
        lmms-eval: the question, then "Answer the question with the option letter" without a full
            stop: its settings override its code, which has one.

    Paper: Wang et al., "LVBench", arXiv 2406.08035. Metric: accuracy over all questions (micro),
    and per question type, where a question counts in each of its types, as officially.

    Pitfalls: full stop or none; one question, several types.
    """

    name: ClassVar[str] = "lvbench"
    prompts: ClassVar[Mapping[str, Harness]] = {"lmms-eval": Harness("lmms-eval", 16)}
    scored_by: ClassVar[tuple[str, ...]] = ("question_type", "type")
    video_folders: ClassVar[tuple[str, ...]] = (
        "videos", "all_videos", "scripts/videos", "data/videos", "lvbench", ".",
    )  # fmt: skip

    def read(self) -> Iterator[Question]:
        path = self.find_annotation(
            "video_info.meta.jsonl",
            "data/video_info.meta.jsonl",
            "data/train-00000-of-00001.parquet",
            "train-00000-of-00001.parquet",
        )
        for line in read_records(path):
            if path.suffix == ".parquet":
                yield self._question(line, line, line.text("video_path"))
                continue
            for record in line.records("qa"):
                yield self._question(record, line, f"{line.text('key')}.mp4")

    def _question(self, record: Record, video: Record, file: str) -> Question:
        text = record.text("question")
        if "options" in record:
            listed = zip(FOUR, record.texts("options"), strict=False)
            text += "".join(f"\n({letter}) {option}" for letter, option in listed)
        return Question(
            id=record.name("uid"),
            video=file.removesuffix(".mp4"),
            path=self.find_video(file),
            prompt=f"{text}\nAnswer the question with the option letter",
            answer=record.letter("answer", FOUR),
            groups={
                "question_type": AND.join(record.texts("question_type")),
                "type": video.text("type"),
            },
            choices=FOUR,
            evidence=_last_moment(record.values.get("time_reference")),
        )


def _last_moment(reference: object) -> float | None:
    """Seconds of the last of the moments in a text such as "01:02:38-01:02:45"; None for others."""
    stamps = re.findall(r"\d+(?::\d\d){1,2}", reference) if isinstance(reference, str) else []
    return max(map(seconds_of, stamps), default=None)
