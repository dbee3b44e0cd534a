"""Which frames the mass of a frame's queries falls on, per layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...framework import Slots

Row = dict[str, Any]
PARTS = ("own frame", "previous frame", "between", "first frame", "prompt")


class MassByFrame:
    """Shares of each step's mass by the frame of its keys, summed over queries and heads.

    Held are layers x frames x frames numbers; rows are averaged over frames when asked for. The
    first frame and the prompt before the video are kept apart from distances: at distance d they
    would stand for frame d alone, and first tokens draw mass whatever they show.
    """

    def __init__(self) -> None:
        self._shares: dict[int, list[Tensor]] = {}

    def __call__(self, slots: Slots) -> None:
        """One layer of one step of full attention, batch 1; frames come one at a time."""
        assert slots.mass is not None  # WatchedMemory asks for it
        number = int(slots.frame[0, 0, -1])
        if number < 0:
            return
        mass = slots.mass[0].double().sum(0)
        sums = mass.new_zeros(number + 2).index_add(0, slots.frame[0, 0] + 1, mass)
        self._shares.setdefault(slots.layer, []).append((sums / sums.sum()).cpu())

    def parts(self) -> list[Row]:
        """Mean share per layer of the frame itself, the one before it, the first one and so on."""
        return [
            {"layer": layer, "part": part, "share": float(share)}
            for layer, shares in self._shares.items()
            for part, share in zip(PARTS, _mean_parts(shares[1:]), strict=True)
        ]

    def distances(self) -> list[Row]:
        """Mean share per layer that falls on the frame `distance` frames earlier; 0 is the frame
        itself, and the first frame is left out."""
        return [
            {"layer": layer, "distance": distance, "share": float(share), "frames": frames}
            for layer, shares in self._shares.items()
            for distance, share, frames in _by_distance(shares[1:])
        ]


def _mean_parts(shares: list[Tensor]) -> Tensor:
    """[parts] of rows [prompt, frame 0, ..., frame n] for n = 1, 2, ..."""
    rows = []
    for share in shares:
        prompt, first, own = share[0], share[1], share[-1]
        previous = share[-2] if len(share) > 3 else torch.zeros_like(own)
        between = share[2:-2].sum()
        rows.append(torch.stack([own, previous, between, first, prompt]))
    return torch.stack(rows).mean(0)


def _by_distance(shares: list[Tensor]) -> Iterator[tuple[int, Tensor, int]]:
    for distance in range(len(shares)):
        # The first of these rows is frame 1's, so frame `distance + 1` is the first with a frame
        # that far back which is not the first one.
        found = torch.stack([share[-1 - distance] for share in shares[distance:]])
        yield distance, found.mean(), len(found)
