"""The contract of a cross-frame memory: what later frames may attend to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .frame_tokens import FrameTokens
from .model import VideoModel
from .slots import Slots


class CrossFrameMemory(ABC):
    """A rule that decides, after every step, which slots later frames may attend to.

    Subclass it as a frozen dataclass of settings. It holds no tensors, generators or counters:
    everything that changes lives in `Slots.stats`, `Slots.state` and the `state` of `admit`, which
    the session owns, forks, saves and counts. Override `update` alone for a first memory, or
    subclass `ScoringMemory` and write `score`.

    Attributes:
        needs_mass: ask for `Slots.mass`; read from the instance.
        merges: the memory may change keys and values (prototypes) and says so in its docs.
        graphable: tensor operations only, no host reads, output shapes depend on input shapes.
    """

    needs_mass: bool = False
    merges: bool = False
    graphable: bool = False

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        """What of the frame enters the decoder; by default all of it.

        Args:
            frame: the whole frame as encoded. Thin it with `frame.take(indices)`.
            previous: the previous whole frame, None at the first.
            state: named tensors of this session that the rule may replace.
        """
        del previous, state
        return frame

    @abstractmethod
    def update(self, slots: Slots) -> Slots:
        """What the next frame may attend to, from [carried ; new] of one layer."""

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        """Called once per step, after the last layer; by default updates each layer alone."""
        return [self.update(slots) for slots in layers]

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        """Most slots per KV head after a push (layer sum / KV heads if ragged); None: unbounded.

        Args:
            frame_tokens: tokens of the largest frame so far.
        """
        del layer, num_layers, frame_tokens
        return None

    def reach(self, frame_tokens: int) -> int | None:
        """How far behind the next token a carried slot may stand, in positions.

        None: as far as the stream is long. A number lets a stream go on past the session's
        `max_tokens`.

        Args:
            frame_tokens: tokens of the largest frame so far.
        """
        del frame_tokens
        return None

    def probe(self, model: VideoModel) -> Tensor | None:
        """[1, tokens] ids of text that looks at the slots after every step and is then forgotten;
        what it attended to is `Slots.probe_mass`. None: no text."""
        del model
        return None


class RankingMemory(CrossFrameMemory):
    """Ranks slots by a score and keeps the highest within a budget, per layer and KV head.

    In two halves, so that a `WrappedRankingMemory` can change one: `score` ranks, `select` chooses.
    Ties go to the newer slot; kept slots stay in stream order.
    """

    @abstractmethod
    def score(self, slots: Slots) -> Tensor:
        """[B, K, S] numbers to rank slots by; called exactly once per update, also while nothing
        is dropped; may write `slots.stats`."""

    @abstractmethod
    def budget(self, layer: int, num_layers: int) -> int | None:
        """Slots per KV head in one layer; None is unbounded."""

    def select(self, slots: Slots, score: Tensor) -> Slots:
        """The slots to carry on, given their score [B, K, S]."""
        budget = self.budget(slots.layer, slots.num_layers)
        if budget is None or slots.num_slots <= budget:
            return slots
        if slots.valid is not None:
            score = score.masked_fill(~slots.valid, _lowest(score))
        return slots.keep(top_slots(score, budget))

    def update(self, slots: Slots) -> Slots:
        return self.select(slots, self.score(slots))

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        del frame_tokens
        return self.budget(layer, num_layers)


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
class WrappedMemory(CrossFrameMemory):
    """A memory around another one: forwards everything, subclasses override one thing."""

    inner: CrossFrameMemory

    def __post_init__(self) -> None:
        if not isinstance(self.inner, CrossFrameMemory):
            raise ValueError(
                f"{type(self).__name__}: inner must be a CrossFrameMemory instance, "
                f"got {self.inner!r}"
            )
        # The flags are read from the instance; a frozen dataclass has no other way to set them.
        object.__setattr__(self, "needs_mass", self.needs_mass or self.inner.needs_mass)
        object.__setattr__(self, "merges", self.merges or self.inner.merges)
        object.__setattr__(self, "graphable", self.inner.graphable)

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        return self.inner.admit(frame, previous, state)

    def update(self, slots: Slots) -> Slots:
        return self.inner.update(slots)

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        if type(self).update is WrappedMemory.update:
            return self.inner.update_layers(layers)
        # A wrapper with an update of its own must see every layer.
        return [self.update(slots) for slots in layers]

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self.inner.limit(layer, num_layers, frame_tokens)

    def reach(self, frame_tokens: int) -> int | None:
        return self.inner.reach(frame_tokens)

    def probe(self, model: VideoModel) -> Tensor | None:
        return self.inner.probe(model)


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
        if type(self.inner).update is not RankingMemory.update:
            raise ValueError(
                f"{type(self).__name__} changes how slots are ranked, but {self.inner!r} does not "
                "decide by `score` and `select` alone: wrap a ScoringMemory, and put other "
                "wrappers outside"
            )

    def score(self, slots: Slots) -> Tensor:
        return self.inner.score(slots)

    def select(self, slots: Slots, score: Tensor) -> Slots:
        return self.inner.select(slots, score)

    def budget(self, layer: int, num_layers: int) -> int | None:
        return self.inner.budget(layer, num_layers)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self.inner.limit(layer, num_layers, frame_tokens)


def top_slots(score: Tensor, count: int) -> Tensor:
    """Ascending indices [..., count] of the `count` highest scores; ties go to the newer slot.

    Args:
        score: [..., S]. NaN ranks highest, as in `torch.sort`.
    """
    last = score.shape[-1] - 1
    # Reversed, a stable sort meets the newer of two equal slots first.
    ranked = score.flip(-1).argsort(dim=-1, descending=True, stable=True)[..., :count]
    return (last - ranked).sort(dim=-1).values


def _lowest(score: Tensor) -> float:
    return float("-inf") if score.is_floating_point() else torch.iinfo(score.dtype).min


def require_count(
    owner: str, name: str, value: object, *, least: int = 0, unbounded: bool = True
) -> None:
    """Refuse a setting that is not an integer of at least `least`.

    Args:
        unbounded: None is allowed too.

    Raises:
        ValueError: naming owner, setting and value.
    """
    if value is None and unbounded:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        choice = ", or None for unbounded" if unbounded else ""
        raise ValueError(
            f"{owner}: {name} must be an integer of at least {least}{choice}, got {value!r}"
        )
