"""What a packed batch is trained to say, and where: answers, and what could be told unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..testbed.lessons import Lesson
from .layout import StreamLayout
from .packing import STREAM, Packed

ANSWER, ENDING = 1.0, 0.1  # weights of an answer, and of the end of turn behind it


class Told(NamedTuple):
    """What a segment behind the stream tells: its last `words` tokens, each after the one before,
    and each of this weight beside an answer's 1."""

    task: str
    words: int = 1
    weight: float = ANSWER


CAPTION = "caption"


class Running(NamedTuple):
    """Where in the stream a running task is told, and its weight beside an answer's 1.

    Each has a text token of its own behind the visual tokens, the first ones of the next frame's
    lead-in: two words told behind one token would blur each other. What is present comes first, so
    that it can be looked up when what was is told.
    """

    place: int
    weight: float


RUNNING: Mapping[str, Running] = MappingProxyType(
    {
        "colour": Running(0, 0.5),
        "shape": Running(1, 0.5),
        "recall": Running(2, 1.0),
        "before_last": Running(3, 0.5),
    }
)
OTHERS = Running(2, 1.0)


@dataclass(frozen=True, eq=False)
class Targets:
    """Tokens to say, each after a token of a packed batch.

    Attributes:
        rows, columns: [targets] int64, the video and the token after which it is said.
        ids: [targets] int64, what is said.
        weights: [targets], adding up to 1.
        tasks: by name, the slice of targets.
    """

    rows: Tensor
    columns: Tensor
    ids: Tensor
    weights: Tensor
    tasks: Mapping[str, slice]

    def loss(self, logits: Tensor) -> Tensor:
        """The weighted loss of logits [targets, vocab]."""
        return (cross_entropy(logits, self.ids, reduction="none") * self.weights).sum()

    def accuracy(self, logits: Tensor) -> dict[str, float]:
        """By task, the share of targets of highest logit."""
        right = (logits.detach().argmax(-1) == self.ids).float()
        return {task: float(right[part].mean()) for task, part in self.tasks.items()}


class Part(NamedTuple):
    """Targets of one task, [targets] each, and the weight of each."""

    rows: Tensor
    columns: Tensor
    ids: Tensor
    weight: float


def joined(parts: Mapping[str, Part]) -> Targets:
    """All parts that are not empty, one after the other."""
    kept = {task: part for task, part in parts.items() if len(part.ids)}
    ends = torch.tensor([0, *(len(part.ids) for part in kept.values())]).cumsum(0).tolist()
    spans = pairwise(ends)
    weights = torch.cat([torch.full((len(p.ids),), p.weight) for p in kept.values()])
    rows, columns, ids, _ = zip(*kept.values(), strict=True)
    return Targets(
        rows=torch.cat(rows),
        columns=torch.cat(columns),
        ids=torch.cat(ids),
        weights=weights / weights.sum(),
        tasks={task: slice(*span) for task, span in zip(kept, spans, strict=True)},
    )


def running_parts(
    lessons: Sequence[Lesson], layout: StreamLayout, word_ids: Tensor
) -> dict[str, Part]:
    """What could be told inside the stream, behind every temporal patch.

    Args:
        word_ids: [words] the token of each of the course's words.
    """
    patches = len(layout.ends)
    parts = {}
    for task in lessons[0].running:
        place, weight = RUNNING.get(task, OTHERS)
        told = torch.stack([lesson.running[task] for lesson in lessons])
        told = told.unflatten(1, (patches, -1))[..., -1]  # after the last frame of a patch
        columns = layout.mark(place).expand_as(told)
        known = (told >= 0) & (columns < len(layout.ids))
        rows = torch.arange(len(lessons))[:, None].expand_as(told)
        parts[f"running {task}"] = Part(rows[known], columns[known], word_ids[told[known]], weight)
    return parts


def answer_parts(
    packed: Packed, told: Sequence[Sequence[Told]], end_of_turn: int
) -> dict[str, Part]:
    """What the segments behind the streams tell, and the end of the turn behind each.

    Args:
        told: per video what each of its segments tells.
    """
    places: dict[str, list[tuple[int, int]]] = {}
    weights, ends = {}, []
    for row, last, one in _segments(packed, told):
        found = places.setdefault(one.task, [])
        found += [(row, last - back) for back in reversed(range(one.words))]
        weights[one.task] = one.weight
        ends.append((row, last))
    parts = {}
    for task, found in places.items():
        rows, columns = torch.tensor(found).T
        parts[task] = Part(rows, columns - 1, packed.ids[rows, columns], weights[task])
    if ends:
        rows, columns = torch.tensor(ends).T
        turns = torch.full_like(rows, end_of_turn)
        parts["end of turn"] = Part(rows, columns, turns, ENDING)
    return parts


def _segments(packed: Packed, told: Sequence[Sequence[Told]]) -> Iterator[tuple[int, int, Told]]:
    """Row and last column of every segment, and what it tells."""
    for row, each in enumerate(told):
        segment = packed.segment[row]
        lengths = segment[segment > STREAM].unique_consecutive(return_counts=True)[1]
        first = int((segment == STREAM).sum())
        lasts = (first + lengths.cumsum(0) - 1).tolist()
        for one, last in zip(each, lasts, strict=True):
            yield row, last, one
