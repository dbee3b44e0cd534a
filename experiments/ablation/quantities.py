"""What memories can have equally much of: slots, bytes or FLOPs, each measured and named once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import fmean
from typing import ClassVar

from ...framework import VideoSession
from ...framework.flops import DecoderSpec, step_flops
from ..reports.text import short


class Quantity(ABC):
    """How much a memory has once its state is full.

    Attributes:
        noun: of what, for pages and messages.
        unit: behind a number.
        follows_video: where heads hold different numbers of slots, it depends on the video and is
            no straight line over the memory's size.
    """

    noun: ClassVar[str]
    unit: ClassVar[str] = ""
    follows_video: ClassVar[bool] = True

    @abstractmethod
    def measured(self, session: VideoSession, frames: int) -> float:
        """What a session has now; its last step had `frames` temporal patches."""

    @abstractmethod
    def of_full(self, session: VideoSession, carried: int, entering: int) -> float:
        """What full attention, whose session may hold anything, has at a step of `entering` tokens
        behind `carried` ones, by closed form."""

    def fixed(self, spec: DecoderSpec, tokens: int) -> float:
        """What a frame of so many tokens takes of it whatever is carried and attended to."""
        del spec, tokens
        return 0.0

    def text(self, amount: float) -> str:
        """A number with its unit."""
        return short(amount, f" {self.unit}").strip()


class SlotCount(Quantity):
    """Slots per KV head, mean over heads and layers."""

    noun = "slots per KV head"
    follows_video = False

    def measured(self, session: VideoSession, frames: int) -> float:
        del frames
        held = [session.slots(layer) for layer in range(len(session.state.layers))]
        return fmean(
            slots.num_slots
            if slots.valid is None
            else float(slots.valid.sum()) / (slots.valid.shape[0] * slots.valid.shape[1])
            for slots in held
        )

    def of_full(self, session: VideoSession, carried: int, entering: int) -> float:
        del session
        return carried + entering


class HeldBytes(Quantity):
    """Bytes per layer, mean over layers: keys, values, columns, statistics."""

    noun = "bytes held per layer"
    unit = "B"

    def measured(self, session: VideoSession, frames: int) -> float:
        del frames
        return fmean(session.state.layer_bytes)

    def of_full(self, session: VideoSession, carried: int, entering: int) -> float:
        slot = self.measured(session, 1) / SlotCount().measured(session, 1)
        return slot * (carried + entering)


class DecoderFlops(Quantity):
    """FLOPs of the decoder for one temporal patch, by closed form, as sessions count them."""

    noun = "decoder FLOPs of a frame"
    unit = "FLOP"

    def measured(self, session: VideoSession, frames: int) -> float:
        return session.costs[-1].flops / frames

    def of_full(self, session: VideoSession, carried: int, entering: int) -> float:
        return step_flops(session.model.spec, new_tokens=entering, context_tokens=carried)

    def fixed(self, spec: DecoderSpec, tokens: int) -> float:
        """In projections and MLPs."""
        return 2 * spec.linear_parameters * tokens


QUANTITIES: Mapping[str, Quantity] = {
    "slots": SlotCount(),
    "bytes": HeldBytes(),
    "flops": DecoderFlops(),
}
