"""Memories that rank slots and keep the highest, and wrappers that change one part of that."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .counts import require_count
from .memory import CrossFrameMemory, WrappedMemory
from .overrides import replaces, standard
from .slots import Slots


class RankingMemory(CrossFrameMemory):
    """Ranks slots by a score and keeps the highest within a budget, per layer and KV head.

    In parts, so that a `WrappedRankingMemory` can change one: `score` ranks, `protected` slots rank
    above all, `budget` says how many stay, `select` chooses. Ties go to the newer slot; kept slots
    stay in stream order.
    """

    @abstractmethod
    def score(self, slots: Slots) -> Tensor:
        """[B, K, S] numbers to rank slots by; called exactly once per update, also while nothing
        is dropped; may write `slots.stats`."""

    @abstractmethod
    def budget(self, layer: int, num_layers: int) -> int | None:
        """Slots per KV head in one layer; None is unbounded."""

    @standard
    def protected(self, slots: Slots) -> Tensor | None:
        """[B, K, S] bool: slots that rank above all others whatever their score; None: none do."""
        del slots
        return None

    def ranking(self, slots: Slots) -> Tensor:
        """[B, K, S] the score, with the protected slots above all others.

        Raises:
            ValueError: for a score of another shape.
        """
        score = self.score(slots)
        _require_numbers(type(self).__name__, score, slots)
        protected = self.protected(slots)
        return score if protected is None else ranked_first(score, protected)

    @standard
    def select(self, slots: Slots, score: Tensor) -> Slots:
        """The slots to carry on, given their `ranking` [B, K, S]."""
        budget = self.budget(slots.layer, slots.num_layers)
        if budget is None or slots.num_slots <= budget:
            return slots
        if slots.valid is not None:
            score = ranked_last(score, ~slots.valid)
        return slots.keep(top_slots(score, budget))

    @standard
    def update(self, slots: Slots) -> Slots:
        return self.select(slots, self.ranking(slots))

    @standard
    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        # Each ranked alone, by wrappers too.
        return [self.update(slots) for slots in layers]

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        del frame_tokens
        return self.budget(layer, num_layers)

    @property
    def ranks_alone(self) -> bool:
        """Whether the parts above decide alone, so that a wrapper may change one of them."""
        return not replaces(self, "update") and not replaces(self, "update_layers")

    @property
    def keeps_highest(self) -> bool:
        """Whether `select` keeps the highest of every head within `budget`, and does no more."""
        return not replaces(self, "select")


@dataclass(frozen=True)
class ScoringMemory(RankingMemory):
    """The common case: keep the `capacity` slots of highest score; write `score` and be done.

    Args:
        capacity: slots per KV head after a step; None is unbounded, which is full attention.

    Raises:
        ValueError: if capacity is negative or not an integer.
    """

    capacity: int | None

    def __post_init__(self) -> None:
        require_count(type(self).__name__, "capacity", self.capacity)

    def budget(self, layer: int, num_layers: int) -> int | None:
        """Slots per KV head in one layer; by default `capacity` in all."""
        del layer, num_layers
        return self.capacity


@dataclass(frozen=True)
class WrappedRankingMemory(RankingMemory, WrappedMemory):
    """A wrapper that changes how a ranking memory scores or selects; itself a ranking memory, so
    that such wrappers nest.

    Raises:
        ValueError: if the inner memory does not rank, or replaces `update` as a whole.
    """

    inner: RankingMemory

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.inner, RankingMemory) or not self.inner.ranks_alone:
            raise ValueError(
                f"{type(self).__name__} changes how slots are ranked, but {self.inner!r} does not "
                "decide by a ranking alone: wrap a ScoringMemory, and put other wrappers outside"
            )

    def score(self, slots: Slots) -> Tensor:
        return self.inner.score(slots)

    def budget(self, layer: int, num_layers: int) -> int | None:
        return self.inner.budget(layer, num_layers)

    @standard
    def protected(self, slots: Slots) -> Tensor | None:
        return self.inner.protected(slots)

    @standard
    def select(self, slots: Slots, score: Tensor) -> Slots:
        return self.inner.select(slots, score)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self.inner.limit(layer, num_layers, frame_tokens)

    @property
    def keeps_highest(self) -> bool:
        return super().keeps_highest and self.inner.keeps_highest


def _require_numbers(owner: str, score: object, slots: Slots) -> None:
    """Refuse a score that has not one number for each slot, which would be spread over heads."""
    shape = tuple(slots.index.shape)
    if isinstance(score, Tensor) and score.shape == shape:
        return
    remedy = "give every slot of every KV head a number of its own"
    got = f"a {type(score).__name__}"
    if isinstance(score, Tensor):
        got = f"shape {tuple(score.shape)}"
    elif score is None:
        got, remedy = "None", "is a return missing?"
        if slots.mass is None:
            remedy += " Or slots.mass: it is None unless the class says needs_mass = True"
    raise ValueError(
        f"{owner}.score returned {got}, not [batch, kv_heads, slots] = {shape}: {remedy}"
    )


def top_slots(score: Tensor, count: int) -> Tensor:
    """Ascending indices [..., count] of the `count` highest of scores [..., S]; ties go to the
    newer slot, and NaN ranks highest, as in `torch.sort`."""
    # A stable sort leaves the newer of two equal slots behind the older.
    ranked = score.argsort(dim=-1, stable=True)
    return ranked[..., max(score.shape[-1] - count, 0) :].sort(dim=-1).values


def ranked_first(score: Tensor, chosen: Tensor) -> Tensor:
    """[B, K, S] the score with the chosen slots, bool that broadcasts to it, above all others;
    among them ties go to the newer."""
    return score.masked_fill(chosen, _above_all(score))


def is_ranked_first(score: Tensor) -> Tensor:
    """[B, K, S] bool: the slots that `ranked_first` put above all others."""
    return score == _above_all(score)


def _above_all(score: Tensor) -> float:
    return float("inf") if score.is_floating_point() else torch.iinfo(score.dtype).max


def ranked_last(score: Tensor, chosen: Tensor) -> Tensor:
    """[B, K, S] the score with the chosen slots below all others; as `ranked_first`."""
    lowest = float("-inf") if score.is_floating_point() else torch.iinfo(score.dtype).min
    return score.masked_fill(chosen, lowest)
