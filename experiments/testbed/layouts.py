"""Questions as the annotation files of three published benchmarks.

The layouts are those of the benchmarks' own files (Video-MME, arXiv 2405.21075; MLVU, 2406.04264;
OVO-Bench, 2501.05510), with one more field: `evidence`, the second at which what answers a
question was last shown.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from types import MappingProxyType
from typing import Any

from .lessons import TimedQuestion

Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """A question about a video of the folder, with its options in one order.

    Attributes:
        id: unique in the folder.
        video: the file's name without its ending.
        frames: how many the video has.
        fps: of the file.
        kind: the task as people write it, its knobs with it.
        asked: the question.
        options: its choices in this order.
    """

    id: str
    video: str
    frames: int
    fps: int
    kind: str
    asked: TimedQuestion
    options: tuple[str, ...]

    @property
    def answer(self) -> int:
        """Place of the answer among the options."""
        return self.options.index(self.asked.answer)

    @property
    def lettered(self) -> list[tuple[str, str]]:
        """Letter and option."""
        return list(zip(ascii_uppercase, self.options, strict=False))

    @property
    def asked_at(self) -> float:
        """Seconds when the last frame seen ends."""
        return (self.asked.frame + 1) / self.fps

    @property
    def shown_until(self) -> float:
        """Seconds when the last frame of the evidence ends."""
        return (self.asked.evidence[-1] + 1) / self.fps


@dataclass(frozen=True)
class Layout:
    """How a benchmark lies on the disk.

    Attributes:
        videos: folder of the files.
        annotation: the file of the questions.
        row: one question of it.
        at_times: whether questions are asked at their time, not at the end.
    """

    videos: str
    annotation: str
    row: Callable[[Item], Row]
    at_times: bool = False

    def encode(self, items: Sequence[Item]) -> bytes:
        """The annotation file's content."""
        rows = [self.row(item) for item in items]
        if self.annotation.endswith(".json"):
            return json.dumps(rows, indent=1).encode()
        import pyarrow
        import pyarrow.parquet

        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        return file.getvalue()


def rotations(choices: Sequence[str], circular: bool) -> list[tuple[str, ...]]:
    """The options in every rotation, or only as they are."""
    turns = len(choices) if circular else 1
    return [(*choices[turn:], *choices[:turn]) for turn in range(turns)]


def delay_bin(asked: TimedQuestion) -> str:
    """Frames between the last of the evidence and the question, in bins that grow fourfold."""
    delay, low = asked.frame - asked.evidence[-1], 1
    if delay == 0:
        return "delay 0"
    while delay >= 4 * low:
        low *= 4
    return f"delay {low}-{4 * low - 1}"


def _videomme(item: Item) -> Row:
    return {
        "video_id": item.video,
        "duration": f"{item.frames} frames",
        "domain": "testbed",
        "sub_category": delay_bin(item.asked),
        "url": "",
        "videoID": item.video,
        "question_id": item.id,
        "task_type": item.kind,
        "question": item.asked.text,
        "options": [f"{letter}. {option}" for letter, option in item.lettered],
        "answer": ascii_uppercase[item.answer],
        "evidence": item.shown_until,
    }


def _mlvu(item: Item) -> Row:
    listed = (f"({letter}) {option}" for letter, option in item.lettered)
    return {
        "video_name": f"{item.video}.mp4",
        "duration": item.frames / item.fps,
        "question": "\n".join([item.asked.text, *listed]),
        "candidates": list(item.options),
        "answer": ascii_uppercase[item.answer],
        "task_type": item.kind,
        "question_id": item.id,
        "evidence": item.shown_until,
    }


# The benchmark's own tasks, of which its scores are means; the testbed's kinds stand beside them.
_OVO_TASKS = {
    "now": "ATR",
    "swaps": "STU",
    "left": "STU",
    "order": "ASI",
    "count": "ASI",
    "tally": "ASI",
    "seen_before": "HLD",
}


def _ovobench(item: Item) -> Row:
    return {
        "id": item.id,
        "task": _OVO_TASKS.get(item.asked.task, "EPM"),
        "kind": item.kind,
        "video": f"{item.video}.mp4",
        "realtime": item.asked_at,
        "question": item.asked.text,
        "answer": item.asked.answer,
        "options": list(item.options),
        "gt": item.answer,
        "evidence": item.shown_until,
    }


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "videomme": Layout("data", "videomme/test-00000-of-00001.parquet", _videomme),
        "mlvu": Layout("mlvu", "mlvu/test-00000-of-00001.parquet", _mlvu),
        "ovobench": Layout("src_videos", "ovo_bench_new.json", _ovobench, at_times=True),
    }
)
