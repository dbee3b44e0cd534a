"""StreamingBench: questions at a moment of a stream, five per video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import ClassVar, final

from .annotations import Record, read_lists, read_records, seconds_of
from .choices import lettered
from .question import Harness, MultipleChoice, Question

# The CSV files of each part, as on Hugging Face; there omni-source is split in two.
TABLES: Mapping[str, tuple[str, ...]] = {
    "real": ("Real_Time_Visual_Understanding.csv",),
    "omni": ("Omni_Source_Understanding.csv", "Contextual_Understanding.csv"),
    "sqa": ("Sequential_Question_Answering.csv",),
}
CATEGORIES = {"real": "Real-Time Visual Understanding", "sqa": "Sequential Question Answering"}
# Scene Understanding comes in two archives, whose names its videos keep.
HALVES = ("", "_1-25", "_26-50")
ROLE = "You are an advanced video question-answering AI assistant. You have been provided with "
LETTER_ONLY = "Respond with only the letter (A, B, C, or D) of the correct option."
# Stands once before all earlier questions that a sequential one is given.
CONTEXT = (
    "Here are the contextual information related to the video. Please answer the questions based "
    "on the contextual information: "
)


@final
@dataclass(frozen=True)
class StreamingBench(MultipleChoice):
    """Reads `src/data/questions_<part>.json` of the benchmark's repository, or the CSV files of
    Hugging Face `mjuicem/StreamingBench`.

    Videos are `videos/sample_<n>_<kind>.mp4`, as the benchmark's script renames them, or
    `data/real/sample_<n>/video.mp4`, `data/omni/<category>/sample_<n>/video.mp4` and so on, as they
    are unpacked. A question sees the video up to its own moment.

    Wordings:
        official: of the benchmark's repository; there is no task in lmms-eval.

    Paper: Lin et al., "StreamingBench", arXiv 2411.03628. Metric: accuracy over all questions
    (micro), per part and per task. Right is a reply whose first character is the letter.

    Args:
        parts: of "real" (real-time visual understanding, 2,500 questions), "omni" (omni-source and
            contextual, 1,500) and "sqa" (sequential, 250, each told the questions before it with
            their right answers).
        context_seconds: how much before its moment a question may see; None for everything, the
            default of the official script. The paper's main table has 60.

    Raises:
        ValueError: for no parts, an unknown one, or `context_seconds` not above 0.

    Left out: proactive output (250), where the next thing asked depends on the last reply and the
    score on when it came; the audio that omni-source questions are about: they are asked of the
    pictures alone, as video models are asked there too.

    Pitfalls: some options have no letters and get them; 13 omni questions list more than four
    options, torn by line ends, of which the official prompt shows the first four, as here;
    timestamps are H:MM:SS or, now and then, MM:SS; the official count leaves out empty replies,
    this one counts them as wrong.
    """

    name: ClassVar[str] = "streamingbench"
    prompts: ClassVar[Mapping[str, Harness]] = {"official": Harness("first-character", 1024)}
    scored_by: ClassVar[tuple[str, ...]] = ("part", "task")
    video_folders: ClassVar[tuple[str, ...]] = ("videos", "src/data/videos", "data", ".")

    prompt: str = "official"
    parts: tuple[str, ...] = ("real",)
    context_seconds: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts or not set(self.parts) <= TABLES.keys():
            raise ValueError(
                f"streamingbench: parts must be some of {', '.join(map(repr, TABLES))}, got "
                f"{list(self.parts)}; proactive output cannot be asked question by question"
            )
        if self.context_seconds is not None and not self.context_seconds > 0:
            raise ValueError(
                f"streamingbench: context_seconds must be above 0, got {self.context_seconds}; "
                "null is everything before the question"
            )

    def read(self) -> Iterator[Question]:
        for part in self.parts:
            contexts: dict[str, str] = {}  # per video, for the sequential questions
            for item in self._items(part):
                yield self._question(item, contexts.get(item.sample, ""))
                if part == "sqa":
                    contexts[item.sample] = contexts.get(item.sample, CONTEXT) + item.context()

    def _items(self, part: str) -> Iterator[_Item]:
        tables = [[f"StreamingBench/{name}", name] for name in TABLES[part]]
        name = f"questions_{part}.json"
        path = self.find_annotation(name, f"src/data/{name}", f"data/{name}", *tables[0])
        if path.suffix == ".json":
            yield from _json_items(path, part)
        else:
            for names in tables:
                yield from _csv_items(self.find_annotation(*names), part)

    def _question(self, item: _Item, context: str) -> Question:
        record, options = item.record, item.options()
        moment, asked = _seconds(record), _choices(record.text("question"), options)
        prompt = sequential_prompt(asked, context) if item.part == "sqa" else single_prompt(asked)
        seen = moment if self.context_seconds is None else self.context_seconds
        return Question(
            id=item.id,
            video=item.sample,
            path=self.find_video(*item.files()),
            prompt=prompt,
            answer=record.letter("answer", lettered(options)),
            start=max(0.0, moment - seen),
            end=moment,
            groups={"part": item.part, "task": record.text("task_type")},
            choices=lettered(options),
        )


@dataclass(frozen=True)
class _Item:
    """A question as it stands in a file; `sample` is the stem of its video's file."""

    part: str
    sample: str
    id: str
    record: Record

    def options(self) -> list[str]:
        """The four options that are shown, each with its letter."""
        options = self.record.texts("options")
        if len(options) < 4:
            raise self.record.fault("options", f"has {len(options)} options, but four are shown")
        if options[0].startswith("A."):
            return options[:4]
        return [f"{letter}. {text}" for letter, text in lettered(options[:4]).items()]

    def context(self) -> str:
        """What later sequential questions are given of this one: its right answer too."""
        stamp, asked, answer = map(self.record.text, ("time_stamp", "question", "answer"))
        return (
            f"At timestamp {stamp}, the following question and answer occurred: Question: {asked}; "
            f"Options: {', '.join(self.options())}; Answer: {answer}; "
        )

    def files(self) -> list[str]:
        """Names of the video's file, renamed or as unpacked."""
        _, number, kind = self.sample.split("_", 2)
        if self.part == "omni":
            folder, kinds = kind.replace("_", " "), [f"{kind}{half}" for half in HALVES]
            folders = [f"{folder}{half}" for half in HALVES]
            folders = [*(f"omni/{folder}" for folder in folders), *folders]
        else:
            kinds, folders = [kind], [self.part, CATEGORIES[self.part]]
        renamed = [f"sample_{number}_{kind}.mp4" for kind in kinds]
        return [*renamed, *(f"{folder}/sample_{number}/video.mp4" for folder in folders)]


def _json_items(path: Path, part: str) -> Iterator[_Item]:
    """Entries {video_path, questions}; sequential ones in one list per video."""
    seen: dict[str, int] = {}
    entries = chain.from_iterable(read_lists(path)) if part == "sqa" else read_records(path)
    for entry in entries:
        file = PurePosixPath(entry.text("video_path")).name
        named = re.fullmatch(rf"(sample_\d+_\w+?)({'|'.join(HALVES)})\.mp4", file)
        if not named:
            raise entry.fault("video_path", f"names no sample_<number>_<kind>.mp4 but {file!r}")
        sample = named[1]
        for record in entry.records("questions"):
            seen[sample] = seen.get(sample, 0) + 1
            yield _Item(part, sample, f"{sample}_{seen[sample]}", record)


def _csv_items(path: Path, part: str) -> Iterator[_Item]:
    for record in read_records(path):
        name = record.text("question_id")
        named = re.fullmatch(r"(.+)_sample_(\d+)_\d+", name.strip())
        if not named:
            raise record.fault("question_id", f"is {name!r}, not <category>_sample_<n>_<question>")
        kind = named[1].replace(" ", "_") if part == "omni" else part
        yield _Item(part, f"sample_{named[2]}_{kind}", name.strip(), record)


def _seconds(record: Record) -> float:
    """Of a time stamp H:MM:SS or MM:SS."""
    stamp = record.text("time_stamp")
    if not re.fullmatch(r"\s*\d+(:\d+){1,2}\s*", stamp):
        raise record.fault("time_stamp", f"is {stamp!r}, not H:MM:SS or MM:SS")
    return seconds_of(stamp)


def single_prompt(asked: str) -> str:
    """Real-time, omni-source and contextual questions; all texts are the benchmark's own."""
    return (
        f"{ROLE}some frames from the video and a multiple-choice question related to the video. "
        "Your task is to carefully analyze the video and provide the best answer to question, "
        f"choosing from the four options provided. {LETTER_ONLY}\n\n{asked}"
    )


def sequential_prompt(asked: str, context: str) -> str:
    """Sequential questions; `context` is "" for the first of a video."""
    return (
        f"{ROLE}a video and a multiple-choice question related to the video. Your task is to "
        "carefully analyze the video and the provided context to answer the question, choosing "
        f"from the four options provided. {LETTER_ONLY}\n\n{context}\n\n"
        "Here is the question. Answer it and don't confuse it with the previous conversation.\n"
        f"{asked}"
    )


def _choices(question: str, options: Sequence[str]) -> str:
    listed = "\n".join(options)
    return f"Question: {question}\n\nOptions:\n{listed}\n\nThe best option is:"
