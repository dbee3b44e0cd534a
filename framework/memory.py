"""The contract of a cross-frame memory: what later frames may attend to; and full attention, which
everything is measured against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from .frame_tokens import FrameTokens
from .model import VideoModel
from .overrides import replaces, standard
from .slots import Slots

FLAGS = ("needs_mass", "reductions", "merges", "graphable")


class CrossFrameMemory(ABC):
    """A rule that decides, after every step, which slots later frames may attend to.

    Subclass it as a frozen dataclass of settings. It holds no tensors, generators or counters:
    everything that changes lives in `Slots.stats`, `Slots.state` and the `state` of `admit`, which
    the session owns, forks, saves and counts. Override `update` alone for a first memory, or
    subclass `ScoringMemory` and write `score`.

    Attributes:
        needs_mass: ask for `Slots.mass`; read from the instance.
        reductions: ask for other reductions of the step's weights by name, see `Slots.reduced`.
        merges: the memory may change keys and values (prototypes), says so in its docs and marks
            every slot it changed by `Slots.stats["merged"]`, the number of other tokens in it.
        graphable: tensor operations only, no host reads, output shapes depend on input shapes.
    """

    needs_mass: bool = False
    reductions: tuple[str, ...] = ()
    merges: bool = False
    graphable: bool = False

    def declare(self, **flags: bool | tuple[str, ...]) -> None:
        """Set attributes from above that follow from the settings; for `__post_init__`.

        Raises:
            ValueError: for another name.
        """
        for name, value in flags.items():
            if name not in FLAGS:
                raise ValueError(f"{type(self).__name__} declares {name}: known are {FLAGS}")
            # A frozen dataclass has no other way.
            object.__setattr__(self, name, value)

    @property
    def looks_at_weights(self) -> bool:
        """Whether attention has to give more than its output."""
        return self.needs_mass or bool(self.reductions)

    @property
    def admits_whole(self) -> bool:
        """Whether `admit` lets in every frame as it is, so that no previous one need be held."""
        return not replaces(self, "admit")

    @standard
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

    @standard
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


@final
@dataclass(frozen=True)
class FullMemory(CrossFrameMemory):
    """Keep all slots: exact causal attention over the whole stream.

    Rule: nothing is evicted. Logits equal the stock model's one-shot forward.
    Cost per frame grows with the frames before it; bytes held grow with the stream.
    """

    graphable = True

    def update(self, slots: Slots) -> Slots:
        return slots


@dataclass(frozen=True)
class WrappedMemory(CrossFrameMemory):
    """A memory around another one: forwards everything, subclasses override one thing.

    It needs and merges what itself or the inner memory does, and is graphable where both are.
    """

    inner: CrossFrameMemory
    graphable = True

    def __post_init__(self) -> None:
        if not isinstance(self.inner, CrossFrameMemory):
            raise ValueError(
                f"{type(self).__name__}: inner must be a CrossFrameMemory instance, "
                f"got {self.inner!r}"
            )
        self.declare(
            needs_mass=self.needs_mass or self.inner.needs_mass,
            reductions=tuple(dict.fromkeys((*self.reductions, *self.inner.reductions))),
            merges=self.merges or self.inner.merges,
            graphable=self.graphable and self.inner.graphable,
        )

    @property
    def admits_whole(self) -> bool:
        return super().admits_whole and self.inner.admits_whole

    @standard
    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        return self.inner.admit(frame, previous, state)

    @standard
    def update(self, slots: Slots) -> Slots:
        return self.inner.update(slots)

    @standard
    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        if replaces(self, "update"):  # it must see every layer
            return super().update_layers(layers)
        return self.inner.update_layers(layers)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self.inner.limit(layer, num_layers, frame_tokens)

    def reach(self, frame_tokens: int) -> int | None:
        return self.inner.reach(frame_tokens)

    def probe(self, model: VideoModel) -> Tensor | None:
        return self.inner.probe(model)


@dataclass(frozen=True)
class KeptChangingMemory(WrappedMemory):
    """Changes what the inner memory keeps, once it has chosen; subclasses say how."""

    @abstractmethod
    def changed(self, slots: Slots, kept: Slots) -> Slots:
        """What is carried on, from [carried ; new] of one layer and what was kept of it."""

    def update(self, slots: Slots) -> Slots:
        return self.changed(slots, self.inner.update(slots))

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        kept = self.inner.update_layers(layers)
        return [self.changed(*both) for both in zip(layers, kept, strict=True)]


def nested(memory: CrossFrameMemory) -> Iterator[CrossFrameMemory]:
    """The memory and what it wraps, from the outside in."""
    yield memory
    if isinstance(memory, WrappedMemory):
        yield from nested(memory.inner)
