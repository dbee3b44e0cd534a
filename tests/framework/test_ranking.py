"""Ranking memories in their parts, and wrappers that change one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FullMemory,
    RankingMemory,
    ScoringMemory,
    Slots,
    WrappedMemory,
    WrappedRankingMemory,
    is_ranked_first,
    nested,
    ranked_first,
    ranked_last,
)

from .streams import slots as make


@dataclass(frozen=True)
class Oldest(ScoringMemory):
    needs_mass = True

    def score(self, slots: Slots) -> Tensor:
        slots.stats["asked"] = slots.stats.get("asked", torch.zeros_like(slots.index)) + 1
        return -slots.index


@dataclass(frozen=True)
class Negated(WrappedRankingMemory):
    def score(self, slots: Slots) -> Tensor:
        return -self.inner.score(slots)


@dataclass(frozen=True)
class Halved(WrappedRankingMemory):
    """Changes what `select` uses, and so has to select by itself."""

    def budget(self, layer: int, num_layers: int) -> int | None:
        whole = self.inner.budget(layer, num_layers)
        return None if whole is None else whole // 2

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self.budget(layer, num_layers)

    def select(self, slots: Slots, score: Tensor) -> Slots:
        return RankingMemory.select(self, slots, score)


@dataclass(frozen=True)
class Third(WrappedRankingMemory):
    """Protects the slot of token 2."""

    def protected(self, slots: Slots) -> Tensor | None:
        mine, inner = slots.index == 2, self.inner.protected(slots)
        return mine if inner is None else mine | inner


def kept(memory: CrossFrameMemory, slots: int = 6) -> list[int]:
    return memory.update(make(slots)).index[0, 0].tolist()


def test_each_part_can_be_changed_alone_and_in_any_order() -> None:
    assert kept(Oldest(2)) == [0, 1]
    assert kept(Negated(Oldest(2))) == [4, 5]
    assert kept(Third(Oldest(2))) == [0, 2]
    assert kept(Negated(Third(Oldest(2)))) == kept(Third(Negated(Oldest(2)))) == [2, 5]
    assert kept(Halved(Oldest(2))) == [0]
    assert kept(Halved(Negated(Third(Oldest(2))))) == [2]
    assert kept(Third(Third(Oldest(1)))) == [2]


def test_the_score_is_asked_once_through_all_wrappers() -> None:
    updated = Third(Negated(Third(Oldest(None)))).update(make(3))
    assert updated.stats["asked"].tolist() == [[[1, 1, 1]] * 2]


def test_protected_slots_rank_above_all_and_padding_below() -> None:
    valid = torch.tensor([[[False, True, True, True], [True, True, False, True]]])
    updated = Third(Oldest(2)).update(make(4, valid=valid))
    assert updated.index[0].tolist() == [[1, 2], [0, 1]], "padding is not protected"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_ranked_first_and_last_stand_outside_any_number(dtype: torch.dtype) -> None:
    score = torch.tensor([3, -(2**62), 2**62]).to(dtype)
    chosen = torch.tensor([True, False, False])
    assert ranked_first(score, chosen).argmax() == 0
    assert ranked_last(score, chosen).argmin() == 0
    assert torch.equal(ranked_first(score, chosen)[1:], score[1:])
    assert torch.equal(is_ranked_first(ranked_first(score, chosen)), chosen)
    assert not is_ranked_first(ranked_last(score, chosen)).any()


def test_a_ranking_wrapper_forwards_everything() -> None:
    memory = WrappedRankingMemory(WrappedRankingMemory(Third(Halved(Oldest(9)))))
    assert memory.needs_mass
    assert memory.budget(0, 1) == memory.limit(0, 1, 3) == 4
    assert memory.reach(3) is None
    assert [type(inside).__name__ for inside in nested(memory)] == [
        *["WrappedRankingMemory"] * 2,
        "Third",
        "Halved",
        "Oldest",
    ]


def test_whether_the_highest_are_kept_is_known_through_wrappers() -> None:
    assert Third(Negated(Oldest(2))).keeps_highest
    assert not Negated(Halved(Oldest(2))).keeps_highest


@dataclass(frozen=True)
class Whole(Oldest):
    """Replaces the update."""

    def update(self, slots: Slots) -> Slots:
        return slots


@dataclass(frozen=True)
class AcrossLayers(Oldest):
    """Decides over all layers at once."""

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        return layers


@pytest.mark.parametrize(
    "inner", [FullMemory(), WrappedMemory(Oldest(2)), Whole(2), AcrossLayers(2)]
)
def test_what_does_not_decide_by_a_ranking_alone_is_refused(inner: Any) -> None:
    with pytest.raises(ValueError, match=r"Negated changes how slots are ranked, but .* wrap a Sc"):
        Negated(inner)
    with pytest.raises(ValueError, match="inner must be a CrossFrameMemory instance, got 'full'"):
        Negated("full")  # pyright: ignore[reportArgumentType]
