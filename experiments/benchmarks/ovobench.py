"""OVO-Bench: questions at a moment of a stream, about the past, the present and the future."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, final

from .annotations import Record, read_records
from .choices import lettered
from .question import Benchmark, Harness, Question
from .scores import mean, shares

PARTS: Mapping[str, tuple[str, ...]] = {
    "backward": ("EPM", "ASI", "HLD"),
    "realtime": ("STU", "OJR", "ATR", "ACR", "OCR", "FPD"),
    "forward": ("REC", "SSR", "CRR"),
}
ALONE = "Do not include any additional text or explanation in your response.\n"
_PART_OF = {task: part for part, tasks in PARTS.items() for task in tasks}


@final
@dataclass(frozen=True)
class OVOBench(Benchmark):
    """Reads `ovo_bench_new.json` of the benchmark's repository, or the three parquet configs
    `backward`, `realtime` and `forward` of Hugging Face `kcz358/OVOBench`.

    Videos are `src_videos/<video>`, seen up to the moment of the question, or else the published
    cuts `chunked_videos/<id>.mp4` and `chunked_videos/<id>_<probe>.mp4`. From the sources one pass
    per video answers all its questions; the cuts are files of their own. The published cuts end at
    the next full second, up to one second later than what is seen here.

    Each probe of a forward item is a question of its own: REC asks for a count, SSR and CRR for
    "Yes" or "No".

    Wordings: "lmms-eval" and "official" are the same texts, in which "repetively" and "You're task"
    stand as published; they differ in the length of replies, 128 and 1,024 tokens.

    Paper: Li et al., "OVO-Bench", arXiv 2501.05510. Metric: the mean over the parts asked of the
    mean over their tasks (macro of macro). "<part>" is a part's macro mean, "<part>_micro" its
    share of right answers: the StateKV paper reports "realtime_micro", over 837 questions. Each
    with "strict_" before it counts only replies that `parse` reads as the answer.

    Right, officially, is a reply that contains the answer's letter anywhere ("Because" contains B),
    whose digits joined are the count ("2 or 3" is 23), or that contains "Yes" or "No" ("Not" too).
    `correct` does that; `parse` reads strictly.

    Args:
        parts: of "backward", "realtime" and "forward".

    Raises:
        ValueError: for no parts, or an unknown one.

    Pitfalls: substring or strict; macro or micro; some papers average two parts only; options
    number 2 to 5, so chance is not 25 %; lmms-eval passes over forward probes without a reply,
    while the official code and this one count them as wrong.
    """

    name: ClassVar[str] = "ovobench"
    prompts: ClassVar[Mapping[str, Harness]] = {
        "lmms-eval": Harness("strict", 128),
        "official": Harness("strict", 1024),
        "question": Harness("text", 8),
    }
    video_folders: ClassVar[tuple[str, ...]] = (
        "src_videos", "data/src_videos", "chunked_videos", "data/chunked_videos",
    )  # fmt: skip

    parts: tuple[str, ...] = ("backward", "realtime", "forward")

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts:
            raise ValueError(
                f"ovobench: parts must be some of {', '.join(map(repr, PARTS))}, "
                f"got {list(self.parts)}"
            )

    def read(self) -> Iterator[Question]:
        for record in chain.from_iterable(map(read_records, self._files())):
            task = record.text("task")
            if task not in _PART_OF:
                raise record.fault("task", f"is {task!r}, not one of {', '.join(_PART_OF)}")
            if _PART_OF[task] not in self.parts:
                continue
            if _PART_OF[task] == "forward":
                for number, probe in enumerate(record.records("test_info")):
                    yield self._probe(record, probe, number)
            else:
                yield self._choice(record)

    def parse(self, question: Question, reply: str) -> str | None:
        """Strictly: one letter, one number, or one of "Yes" and "No", and nothing against it."""
        if question.choices:
            return self.chosen(question, reply)
        if question.answer.isdigit():
            answers = set(re.findall(r"\d+", reply))
        else:
            words = re.findall(r"\b(?:[Yy]es|[Nn]o|YES|NO|Y|N)\b", reply, re.ASCII)
            answers = {"Yes" if word[0] in "Yy" else "No" for word in words}
        return answers.pop() if len(answers) == 1 else None

    def correct(self, question: Question, reply: str) -> bool:
        """The official rule; see the class."""
        answer = question.answer
        if self.prompt == "question":
            return self.parse(question, reply) == answer
        if answer.isdigit():
            return "".join(re.findall(r"\d+", reply)) == answer
        return answer in reply or (answer in ("Yes", "No") and reply == answer[0])

    def score(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        scores = _averages(rows)
        if all({"parsed", "answer"} <= row.keys() for row in rows):
            strict = [{**row, "correct": row["parsed"] == row["answer"]} for row in rows]
            scores |= {f"strict_{name}": percent for name, percent in _averages(strict).items()}
        kinds = ["kind"] if all("kind" in row["groups"] for row in rows) else []
        return scores | {
            f"{group}/{name}": one
            for group in ("task", *kinds)
            for name, one in shares(rows, group).items()
        }

    def _files(self) -> list[Path]:
        tables = [f"{part}/test-00000-of-00001.parquet" for part in self.parts]
        path = self.find_annotation("ovo_bench_new.json", "data/ovo_bench_new.json", tables[0])
        return [path] if path.suffix == ".json" else list(map(self.find_annotation, tables))

    def _choice(self, record: Record) -> Question:
        task, options, asked = record.text("task"), record.texts("options"), record.text("question")
        choices, name = lettered(options), record.name("id")
        return Question(
            id=name,
            video=record.text("video"),
            path=self.find_video(record.text("video"), f"{name}.mp4"),
            prompt=asked if self.prompt == "question" else choice_prompt(asked, options),
            answer=list(choices)[record.index("gt", len(options))],
            end=record.number("realtime"),
            groups={"part": _PART_OF[task], "task": task} | _kind(record),
            choices=choices,
            evidence=record.evidence(),
        )

    def _probe(self, record: Record, probe: Record, number: int) -> Question:
        task, name = record.text("task"), f"{record.name('id')}_{number}"
        if self.prompt == "question":
            raise record.fault(
                "task", f"is {task}, which has no question alone: take parts=[backward, realtime]"
            )
        if task == "REC":
            prompt, answer = count_prompt(record.text("activity")), str(int(probe.number("count")))
        else:
            now = probe.text("step") if task == "SSR" else record.text("question")
            prompt = step_prompt(now) if task == "SSR" else enough_prompt(now)
            answer = ("No", "Yes")[probe.index("type", 2)]
        return Question(
            id=name,
            video=record.text("video"),
            path=self.find_video(record.text("video"), f"{name}.mp4"),
            prompt=prompt,
            answer=answer,
            end=probe.number("realtime"),
            groups={"part": "forward", "task": task},
            evidence=record.number("clue_time") if "clue_time" in record else None,
        )


def _kind(record: Record) -> dict[str, str]:
    """A kind of question within its task, where the file tells: those of the testbed do."""
    return {"kind": record.text("kind")} if "kind" in record else {}


def _averages(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The headline, then macro and micro of each part that rows are of."""
    micro = shares(rows, "part")
    parts = {part: [row for row in rows if row["groups"]["part"] == part] for part in PARTS}
    macro = {part: mean(shares(some, "task").values()) for part, some in parts.items() if some}
    beside = {f"{part}_micro": micro[part] for part in macro}
    return {"average": mean(macro.values()), **macro, **beside}


def choice_prompt(question: str, options: Sequence[str]) -> str:
    """Backward and real-time: choose a letter. All texts are the benchmark's own, byte for byte:
    spelling, curly quotes and blanks at line ends."""
    listed = "; ".join(f"{letter}. {text}" for letter, text in lettered(options).items())
    return (
        f"\nQuestion: {question}\n"
        f"Options:\n{listed};\n\n"
        "Respond only with the letter corresponding to your chosen option (e.g., A, B, C). \n"
        f"{ALONE}"
    )


def count_prompt(activity: str) -> str:
    """REC: how often was it done so far?"""
    return (
        "\nYou're watching a video in which people may perform a certain type of action "
        "repetively. \n"
        "The person performing this kind of action are referred to as 'they' in the following "
        "statement.\n"
        "You're task is to count how many times have different people in the video perform this "
        "kind of action in total.\n"
        "One complete motion counts as one. \n"
        f"Now, answer the following question: How many times did they {activity}?\n"
        "Provide your answer as a single number (e.g., 0, 1, 2, 3…) indicating the total count.\n"
        f"{ALONE}"
    )


def step_prompt(now: str) -> str:
    """SSR: is this step of the tutorial going on?"""
    return (
        "\nYou're watching a tutorial video which contain a sequential of steps. \n"
        "The following is one step from the whole procedures: \n"
        f"{now}\n"
        "Your task is to determine if the man or woman in the video is currently performing this "
        "step.\n"
        "Answer only with “Yes” or “No”.\n"
        f"{ALONE}"
    )


def enough_prompt(question: str) -> str:
    """CRR: has enough been seen to answer the question?"""
    return (
        "\nYou're responsible of answering questions based on the video content. \n"
        "The following question are relevant to the latest frames, i.e. the end of the video.\n"
        f"{question}\n"
        "Decide whether existing visual content, especially latest frames, i.e. frames that near "
        "the end of the video, provide enough information for answering the question.\n"
        "Answer only with “Yes” or “No”.\n"
        f"{ALONE}"
    )
