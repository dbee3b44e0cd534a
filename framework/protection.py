"""A memory around another one that never evicts some slots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from .counts import require_count
from .memory import CrossFrameMemory, KeptChangingMemory, WrappedMemory, nested
from .overrides import replaces, standard
from .ranking import RankingMemory, WrappedRankingMemory
from .slots import Slots


@dataclass(frozen=True)
class ProtectingMemory(RankingMemory, WrappedMemory):
    """Never evict some slots; subclasses say which.

    Around a memory that ranks slots they count inside its budget: they rank above all others, and
    the room left goes to the inner memory's choice. Around any other (a window, isolated frames)
    they come on top: what it keeps and the protected slots, and its limit grows by their number.

    Args:
        inner: decides about all other slots; it must not merge slots or place them anew.
        tokens: how many single tokens are protected.
        frames: how many whole frames are protected.

    Raises:
        ValueError: if nothing is protected, if the inner memory merges, or if more is protected
            than a budget has room for: at construction where that can be known, else at the push.
    """

    inner: CrossFrameMemory
    tokens: int = 0
    frames: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tokens", "frames"):
            require_count(type(self).__name__, name, getattr(self, name), unbounded=False)
        asked = [setting.name for setting in fields(self) if setting.name != "inner"]
        if not any(getattr(self, name) for name in asked):
            raise ValueError(
                f"{type(self).__name__} protects nothing: give one of {', '.join(asked)}"
            )
        # Made in any case: it checks the inner memory.
        self.declare(graphable=self._way.graphable and self.graphable)

    @abstractmethod
    def chosen(self, slots: Slots) -> Tensor:
        """[B, K, S] bool: the slots that stay; what it says of padding does not matter."""

    @abstractmethod
    def most(self, frame_tokens: int) -> int:
        """Most slots per head it can choose, with frames of at most so many tokens."""

    @property
    def tokens_only(self) -> bool:
        """Whether it chooses equally many slots whatever the frames are."""
        return self.most(1) == self.most(0)

    @property
    def ranks_alone(self) -> bool:
        return isinstance(self._way, _InsideRanking) and super().ranks_alone

    @property
    def keeps_highest(self) -> bool:
        return self.ranks_alone and super().keeps_highest and self._ranking.keeps_highest

    def score(self, slots: Slots) -> Tensor:
        return self._ranking.score(slots)

    def budget(self, layer: int, num_layers: int) -> int | None:
        return self._ranking.budget(layer, num_layers)

    def protected(self, slots: Slots) -> Tensor:
        return self._ranking.protected(slots)

    @standard
    def select(self, slots: Slots, score: Tensor) -> Slots:
        return self._ranking.select(slots, score)

    @standard
    def update(self, slots: Slots) -> Slots:
        return self._way.update(slots) if isinstance(self._way, _OnTop) else super().update(slots)

    @standard
    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        if isinstance(self._way, _OnTop) and not replaces(self, "update"):
            return self._way.update_layers(layers)
        return super().update_layers(layers)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self._way.limit(layer, num_layers, frame_tokens)

    def reach(self, frame_tokens: int) -> int | None:
        return self._way.reach(frame_tokens)

    @cached_property
    def _way(self) -> _InsideRanking | _OnTop:
        """How the inner memory is kept from evicting what is protected."""
        if isinstance(self.inner, RankingMemory) and self.inner.ranks_alone:
            return _InsideRanking(self.inner, self)
        return _OnTop(self.inner, self)

    @property
    def _ranking(self) -> _InsideRanking:
        assert isinstance(self._way, _InsideRanking)  # nobody else asks for its parts
        return self._way


@dataclass(frozen=True)
class _InsideRanking(WrappedRankingMemory):
    """Lets the slots that `by` chooses rank above all others of the inner memory."""

    by: ProtectingMemory

    def __post_init__(self) -> None:
        super().__post_init__()
        inside = [memory for memory in nested(self.inner) if isinstance(memory, RankingMemory)]
        alone = not any(replaces(memory, "protected") for memory in inside)
        if not (alone and self.by.tokens_only):  # else they are counted
            self.declare(graphable=False)
        tokens = sum(m.tokens for m in nested(self.by) if isinstance(m, ProtectingMemory))
        self._require_room(tokens, self.budget(0, 1), "one layer")

    def protected(self, slots: Slots) -> Tensor:
        chosen, inner = self.by.chosen(slots), self.inner.protected(slots)
        if inner is not None:
            chosen = chosen | inner
        if slots.valid is not None:
            chosen = chosen & slots.valid
        budget = self.budget(slots.layer, slots.num_layers)
        if budget is not None and slots.num_slots > budget:
            # Counting waits for an accelerator; how many tokens were asked for is known.
            known = inner is None and self.by.tokens_only
            count = self.by.most(0) if known else int(chosen.sum(-1).max())
            self._require_room(count, budget, f"layer {slots.layer} of {slots.num_layers}")
        return chosen

    def _require_room(self, count: int, budget: int | None, where: str) -> None:
        if budget is not None and count > budget:
            raise ValueError(
                f"{type(self.by).__name__}: {count} protected slots do not fit into the budget of "
                f"{budget} in {where}; raise the capacity of {self.inner!r} or protect less"
            )


@dataclass(frozen=True)
class _OnTop(KeptChangingMemory):
    """Adds the slots that `by` chooses to those that the inner memory keeps."""

    by: ProtectingMemory
    graphable = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner.merges:
            raise ValueError(
                f"{type(self.by).__name__}: {self.inner!r} merges slots, which cannot be joined "
                "with slots it evicted; wrap a memory that only selects"
            )

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        inner = self.inner.limit(layer, num_layers, frame_tokens)
        return None if inner is None else inner + self.by.most(frame_tokens)

    def reach(self, frame_tokens: int) -> int | None:
        return None  # protected slots stand where they are

    def changed(self, slots: Slots, kept: Slots) -> Slots:
        """The kept and the protected slots."""
        if kept is slots:
            return slots
        if kept.moved and not slots.moved:
            raise ValueError(
                f"{type(self.by).__name__}: {self.inner!r} places slots anew, which cannot be "
                "joined with slots it evicted; change positions outside of it"
            )
        place = torch.searchsorted(slots.index.contiguous(), kept.index.contiguous())
        real = torch.ones_like(kept.visual) if kept.valid is None else kept.valid
        held = torch.zeros_like(slots.index).scatter_add(-1, place, real.long()) > 0
        return replace(slots.keep(held | self.by.chosen(slots)), state=kept.state)
