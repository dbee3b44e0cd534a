"""A small course: one object on noise at a time, what it was before, and when it was there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from crossframe.experiments.testbed.lessons import Lesson, TimedQuestion

COLOURS = {
    "red": (230, 40, 40),
    "green": (40, 200, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 220, 50),
    "purple": (160, 50, 200),
    "orange": (240, 140, 30),
    "cyan": (60, 220, 220),
    "white": (240, 240, 240),
}
SHAPES = ("square", "disc", "bar", "pillar", "cross", "frame")
ASKED = "what colour now was the first last ?"


@dataclass(frozen=True)
class Shapes:
    """Scenes of `every` frames; each shows one object with probability .65."""

    every: int = 1
    questions: int = 8

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*COLOURS, *SHAPES, *ASKED.split()]))

    @property
    def labels(self) -> Mapping[str, int]:
        return {"colour": len(COLOURS), "shape": len(SHAPES)}

    def stills(self, seed: int, count: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        generator = torch.Generator().manual_seed(10**9 + seed)
        labels = _drawn(count, generator)
        return _pictures(labels, generator), labels

    def lesson(self, seed: int, frames: int) -> Lesson:
        generator = torch.Generator().manual_seed(seed)
        labels = {
            kind: values.repeat_interleave(self.every)[:frames]
            for kind, values in _drawn(-(-frames // self.every), generator).items()
        }
        colour, shape = labels["colour"], labels["shape"]
        running = {
            "colour": self._words(colour, tuple(COLOURS)),
            "shape": self._words(shape, SHAPES),
        }
        return Lesson(
            _pictures(labels, generator), labels, running, self._asked(colour, shape, generator)
        )

    def _words(self, classes: Tensor, names: tuple[str, ...]) -> Tensor:
        table = torch.tensor([*(self.words.index(name) for name in names), -1])
        return table[classes]

    def _asked(
        self, colour: Tensor, shape: Tensor, generator: torch.Generator
    ) -> tuple[TimedQuestion, ...]:
        last = torch.randint(0, len(colour), (self.questions,), generator=generator)
        asked = []
        for frame in (last // self.every * self.every + self.every - 1).sort().values.tolist():
            seen = (shape[: frame + 1] >= 0).nonzero().flatten().tolist()
            if not seen:
                continue
            pick = seen[int(torch.randint(0, len(seen), (1,), generator=generator))]
            kind = int(shape[pick])
            same = [number for number in seen if int(shape[number]) == kind]
            for task, when in (("needle", same[-1]), ("first", same[0])):
                word = {"needle": "last", "first": "first"}[task]
                text = f"what colour was the {SHAPES[kind]} {word} ?"
                answer = list(COLOURS)[int(colour[when])]
                asked.append(TimedQuestion(task, text, answer, frame, (when,)))
        return tuple(asked[: self.questions])


def _drawn(count: int, generator: torch.Generator) -> dict[str, Tensor]:
    shown = torch.rand(count, generator=generator) < 0.65
    colour = torch.randint(0, len(COLOURS), (count,), generator=generator)
    shape = torch.randint(0, len(SHAPES), (count,), generator=generator)
    return {"colour": colour.where(shown, -1), "shape": shape.where(shown, -1)}


def _pictures(labels: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """[frames, 32, 32, 3] uint8."""
    count = len(labels["colour"])
    noise = torch.randint(40, 120, (count, 32, 32, 3), dtype=torch.uint8, generator=generator)
    side = torch.arange(32)
    corner = torch.randint(0, 19, (count, 2), generator=generator)
    row, column = side - corner[:, :1], side - corner[:, 1:]
    rows, columns = row[:, :, None], column[:, None]
    inside = (rows >= 0) & (rows < 14) & (columns >= 0) & (columns < 14)
    forms = _forms(rows, columns)
    table = torch.tensor([*COLOURS.values()], dtype=torch.uint8)
    form = forms.gather(0, labels["shape"].clamp(min=0)[None, :, None, None].expand(1, -1, 32, 32))
    shown = form[0] & inside & (labels["shape"] >= 0)[:, None, None]
    return torch.where(shown[..., None], table[labels["colour"].clamp(min=0)][:, None, None], noise)


def _forms(row: Tensor, column: Tensor) -> Tensor:
    """[shapes, frames, 32, 32] bool around a box of 14 pixels."""
    y, x = (row - 6.5).abs(), (column - 6.5).abs()
    everywhere = (y >= 0) & (x >= 0)
    return torch.stack(
        [
            everywhere,
            y**2 + x**2 < 46,
            (y < 3) & everywhere,
            (x < 3) & everywhere,
            (x < 2.5) | (y < 2.5),
            ((x > 4) | (y > 4)) & everywhere,
        ]
    )
