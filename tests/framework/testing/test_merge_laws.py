"""Law 4 for merging memories: a sound one passes, and each way to spoil it is found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from crossframe.framework import ScoringMemory, Slots
from crossframe.framework.testing import check_law, check_memory


@dataclass(frozen=True)
class Folding(ScoringMemory):
    """Keeps the newest slots and folds the oldest slot it sees into the oldest one it keeps."""

    capacity: int | None = 4
    merges = True

    def score(self, slots: Slots) -> Tensor:
        return slots.index

    def select(self, slots: Slots, score: Tensor) -> Slots:
        kept = super().select(slots, score)
        if kept.num_slots in (0, slots.num_slots):
            return kept
        tokens = [1 + s.stats.get("merged", torch.zeros_like(s.index)) for s in (slots, kept)]
        out, into = tokens[0][..., :1], tokens[1][..., :1]
        return replace(
            kept,
            keys=self.fold(self.turned(slots, kept), kept.keys, out, into),
            values=self.fold(slots.values[:, :, :1], kept.values, out, into),
            stats=self.marked(kept, torch.cat([out + into, tokens[1][..., 1:]], -1) - 1),
        )

    def turned(self, slots: Slots, kept: Slots) -> Tensor:
        """The oldest key [B, K, 1, D] at the position of the slot that takes it in."""
        return slots.keys_at(kept.positions[..., :1].expand(slots.positions.shape))[:, :, :1]

    def fold(self, row: Tensor, rows: Tensor, out: Tensor, into: Tensor) -> Tensor:
        share = (out / (out + into))[..., None].to(rows.dtype)
        return torch.cat([rows[:, :, :1] * (1 - share) + row * share, rows[:, :, 1:]], 2)

    def marked(self, kept: Slots, merged: Tensor) -> dict[str, Tensor]:
        return {**kept.stats, "merged": merged}


class Unmarked(Folding):
    """Says of no slot that it is merged."""

    def marked(self, kept: Slots, merged: Tensor) -> dict[str, Tensor]:
        return kept.stats


class MarkingOthers(Folding):
    """Marks the slot beside the one it merged into."""

    def marked(self, kept: Slots, merged: Tensor) -> dict[str, Tensor]:
        return {**kept.stats, "merged": merged.roll(1, -1)}


class Miscounting(Folding):
    """Counts a token several times."""

    def marked(self, kept: Slots, merged: Tensor) -> dict[str, Tensor]:
        return {**kept.stats, "merged": merged * 99}


class AddingUp(Folding):
    """Sums where it should average."""

    def fold(self, row: Tensor, rows: Tensor, out: Tensor, into: Tensor) -> Tensor:
        return torch.cat([rows[:, :, :1] + row, rows[:, :, 1:]], 2)


class Overshooting(Folding):
    """Weights that sum to one, but of which one is negative."""

    def fold(self, row: Tensor, rows: Tensor, out: Tensor, into: Tensor) -> Tensor:
        return torch.cat([rows[:, :, :1] * 2 - row, rows[:, :, 1:]], 2)


class Stealing(Folding):
    """Folds in the value of another head."""

    def fold(self, row: Tensor, rows: Tensor, out: Tensor, into: Tensor) -> Tensor:
        return super().fold(row.roll(1, 1), rows, out, into)


class Brightening(Folding):
    """Keeps keys sound and scales merged values."""

    def select(self, slots: Slots, score: Tensor) -> Slots:
        kept = super().select(slots, score)
        merged = kept.stats.get("merged", torch.zeros_like(kept.index)) > 0
        return replace(kept, values=torch.where(merged[..., None], 3 * kept.values, kept.values))


class AsCached(Folding):
    """Averages keys that stand at different positions."""

    def turned(self, slots: Slots, kept: Slots) -> Tensor:
        return slots.keys[:, :, :1]


class TurnedBackwards(Folding):
    """Turns the key by the right distance in the wrong direction."""

    def turned(self, slots: Slots, kept: Slots) -> Tensor:
        assert slots.turn is not None
        delta = slots.positions[..., :1] - kept.positions[..., :1]
        return slots.turn(slots.keys[:, :, :1], delta)


def test_a_sound_merging_memory_keeps_all_laws() -> None:
    check_memory(Folding(), unbounded=Folding(None), max_examples=6)


@pytest.mark.parametrize(
    ("law", "memory", "what"),
    [
        ("4 positions", Unmarked(), "keys of layer . were modified"),
        ("4 positions", MarkingOthers(), "keys of layer . were modified"),
        ("4 merging", Miscounting(), r"stats\['merged'\] of layer . must count other tokens"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_marks_that_are_wrong_are_found(law: str, memory: ScoringMemory, what: str) -> None:
    with pytest.raises(AssertionError, match=f"law 4: {what}"):
        check_law(law, memory, max_examples=1, shrink=False)


@pytest.mark.parametrize(
    ("memory", "what"),
    [
        (AddingUp(), ""),
        (Overshooting(), ""),
        (Stealing(), ""),
        (Brightening(), "values"),
        (AsCached(), "keys"),
        (TurnedBackwards(), "keys"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_mean_of_the_heads_own_tokens_is_found(memory: ScoringMemory, what: str) -> None:
    with pytest.raises(AssertionError, match=f"no means of their head's tokens: .*{what}"):
        check_law("4 merging", memory, max_examples=1, shrink=False)
