"""The contract of a cross-frame memory: what later frames may attend to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        reductions: ask for other reductions of the step's weights by name, see `Slots.reduced`.
        merges: the memory may change keys and values (prototypes), says so in its docs and marks
            every slot it changed by `Slots.stats["merged"]`, the number of other tokens in it.
        graphable: tensor operations only, no host reads, output shapes depend on input shapes.
    """

    needs_mass: bool = False
    reductions: tuple[str, ...] = ()
    merges: bool = False
    graphable: bool = False

    @property
    def looks_at_weights(self) -> bool:
        """Whether attention has to give more than its output."""
        return self.needs_mass or bool(self.reductions)

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
        both = dict.fromkeys((*self.reductions, *self.inner.reductions))
        object.__setattr__(self, "reductions", tuple(both))
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


def nested(memory: CrossFrameMemory) -> Iterator[CrossFrameMemory]:
    """The memory and what it wraps, from the outside in."""
    yield memory
    if isinstance(memory, WrappedMemory):
        yield from nested(memory.inner)
