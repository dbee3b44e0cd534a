"""A memory around another one that never evicts some slots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .counts import require_count
from .memory import CrossFrameMemory, WrappedMemory, nested
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
        if self.ranks_alone:
            tokens = sum(m.tokens for m in nested(self) if isinstance(m, ProtectingMemory))
            self._require_room(tokens, self.budget(0, 1), "one layer")
        elif self.inner.merges:
            raise ValueError(
                f"{type(self).__name__}: {self.inner!r} merges slots, which cannot be joined with "
                "slots it evicted; wrap a memory that only selects"
            )
        counted = self._protects_alone and self._tokens_only
        object.__setattr__(self, "graphable", self.inner.graphable and counted)

    @abstractmethod
    def chosen(self, slots: Slots) -> Tensor:
        """[B, K, S] bool: the slots that stay; what it says of padding does not matter."""

    @abstractmethod
    def most(self, frame_tokens: int) -> int:
        """Most slots per head it can choose, with frames of at most so many tokens."""

    @property
    def ranks_alone(self) -> bool:
        return isinstance(self.inner, RankingMemory) and self.inner.ranks_alone

    @property
    def keeps_highest(self) -> bool:
        return self.ranks_alone and self._ranking.keeps_highest

    def score(self, slots: Slots) -> Tensor:
        return self._ranking.score(slots)

    def budget(self, layer: int, num_layers: int) -> int | None:
        return self._ranking.budget(layer, num_layers)

    def select(self, slots: Slots, score: Tensor) -> Slots:
        return self._ranking.select(slots, score)

    def protected(self, slots: Slots) -> Tensor:
        chosen, inner = self.chosen(slots), self._ranking.protected(slots)
        if inner is not None:
            chosen = chosen | inner
        if slots.valid is not None:
            chosen = chosen & slots.valid
        budget = self.budget(slots.layer, slots.num_layers)
        if budget is not None and slots.num_slots > budget:
            # Counting waits for an accelerator; how many tokens were asked for is known.
            known = inner is None and self._tokens_only
            count = self.most(0) if known else int(chosen.sum(-1).max())
            self._require_room(count, budget, f"layer {slots.layer} of {slots.num_layers}")
        return chosen

    def update(self, slots: Slots) -> Slots:
        if self.ranks_alone:
            return super().update(slots)
        return self._with_chosen(slots, self.inner.update(slots))

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        if self.ranks_alone:
            return super().update_layers(layers)
        kept = self.inner.update_layers(layers)
        return [self._with_chosen(*both) for both in zip(layers, kept, strict=True)]

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        inner = self.inner.limit(layer, num_layers, frame_tokens)
        return inner if inner is None or self.ranks_alone else inner + self.most(frame_tokens)

    def reach(self, frame_tokens: int) -> int | None:
        # On top of another memory's slots, the protected ones stand where they are.
        return self.inner.reach(frame_tokens) if self.ranks_alone else None

    def _with_chosen(self, slots: Slots, kept: Slots) -> Slots:
        """The kept and the protected slots."""
        if kept is slots:
            return slots
        if kept.moved and not slots.moved:
            raise ValueError(
                f"{type(self).__name__}: {self.inner!r} places slots anew, which cannot be joined "
                "with slots it evicted; change positions outside of it"
            )
        place = torch.searchsorted(slots.index.contiguous(), kept.index.contiguous())
        real = torch.ones_like(kept.visual) if kept.valid is None else kept.valid
        held = torch.zeros_like(slots.index).scatter_add(-1, place, real.long()) > 0
        return replace(slots.keep(held | self.chosen(slots)), state=kept.state)

    @property
    def _ranking(self) -> RankingMemory:
        assert isinstance(self.inner, RankingMemory)  # ranks_alone was asked first
        return self.inner

    @property
    def _tokens_only(self) -> bool:
        return self.most(1) == self.most(0)

    @property
    def _protects_alone(self) -> bool:
        """Whether no memory inside protects slots too."""
        forwards = (RankingMemory.protected, WrappedRankingMemory.protected)
        inside = [memory for memory in nested(self.inner) if isinstance(memory, RankingMemory)]
        return self.ranks_alone and all(type(memory).protected in forwards for memory in inside)

    def _require_room(self, count: int, budget: int | None, where: str) -> None:
        if budget is not None and count > budget:
            raise ValueError(
                f"{type(self).__name__}: {count} protected slots do not fit into the budget of "
                f"{budget} in {where}; raise the capacity of {self.inner!r} or protect less"
            )
