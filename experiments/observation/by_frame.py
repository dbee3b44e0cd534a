"""Which frames the mass of a frame's queries falls on, per layer."""

from __future__ import annotations

from math import nan
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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
        rows = []
        for layer, shares in self._shares.items():
            # [frames, distances], nan where a frame has none that far back which is not the first.
            backwards = [share[2:].flip(0) for share in shares[1:]]
            padded = pad_sequence(backwards, batch_first=True, padding_value=nan)
            counts = (~padded.isnan()).sum(0).tolist()
            for distance, share in enumerate(padded.nanmean(0).tolist()):
                row = {"layer": layer, "distance": distance, "share": share}
                rows.append({**row, "frames": counts[distance]})
        return rows


def _mean_parts(shares: list[Tensor]) -> Tensor:
    """[parts] of rows [prompt, frame 0, ..., frame n] for n = 1, 2, ..."""
    each = [
        torch.stack([row[-1], row[2:-1][-1:].sum(), row[2:-2].sum(), row[1], row[0]])
        for row in shares
    ]
    return torch.stack(each).mean(0)
