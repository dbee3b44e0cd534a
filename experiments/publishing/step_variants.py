"""What takes turns in the bench of a step: each by name, with what it carries and needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ...framework import CrossFrameMemory, FullMemory, StepCost
from ...methods import SlidingWindowMemory, StateKVMemory
from ...models import DecoderModel
from .benches import lack_of_room
from .built_streams import Past, built_session, next_frame, stock_push

STOCK, FULL = "stock", "full"
STOCK_BACKEND = "sdpa of transformers"
Push = Callable[[], StepCost | None]


@dataclass(frozen=True)
class Variant:
    """One way through a step.

    Attributes:
        slots: carried into the step.
        frame_tokens: of the step.
        num_bytes: that its state, its archive and what a layer joins of them take at most.
        prepare: builds its state; what it gives is timed, once, and tells the step's cost where a
            session keeps count.
    """

    name: str
    slots: int
    frame_tokens: int
    num_bytes: int
    prepare: Callable[[], Push]


@dataclass(frozen=True)
class Lack:
    """A variant that is not measured, and why."""

    variant: Variant
    reason: str


def whole_frames(slots: int, frame_tokens: int) -> int:
    """The number of whole frames nearest to so many slots, at least one."""
    return max(1, round(slots / frame_tokens))


def variants(model: DecoderModel, past: Past, windows: Sequence[int]) -> list[Variant]:
    """The stock model, full attention, and a StateKV and a window of each number of frames."""
    size, tokens = past.frame_tokens, past.tokens
    stock = partial(stock_push, model, past)
    made = [
        Variant(STOCK, tokens, size, _bytes(model, tokens), stock),
        _ours(FULL, FullMemory(), model, past, tokens),
    ]
    for frames in windows:
        slots = min(tokens, frames * size)
        statekv, window = StateKVMemory(frames * size), SlidingWindowMemory(frames)
        made.append(_ours(f"statekv({frames * size})", statekv, model, past, slots))
        made.append(_ours(f"window({frames})", window, model, past, slots))
    return made


def fitting(every: Sequence[Variant], device: torch.device) -> tuple[list[Variant], list[Lack]]:
    """Those whose bytes are free, and the others."""
    chosen, lacking = list[Variant](), list[Lack]()
    for variant in every:
        if reason := lack_of_room(variant.num_bytes, device):
            lacking.append(Lack(variant, reason))
        else:
            chosen.append(variant)
    return chosen, lacking


def _ours(
    name: str, memory: CrossFrameMemory, model: DecoderModel, past: Past, carried: int
) -> Variant:
    prepare = partial(_session, model, memory, past, carried)
    return Variant(name, carried, past.frame_tokens, _bytes(model, carried), prepare)


def _session(model: DecoderModel, memory: CrossFrameMemory, past: Past, carried: int) -> Push:
    session, frame = built_session(model, memory, past, carried), next_frame(model, past)

    def push() -> StepCost:
        session.push(frame)
        return session.costs[-1]

    return push


def _bytes(model: DecoderModel, slots: int) -> int:
    """Keys and values once; of one layer twice joined, and once more for every query head, as
    transformers repeats them; and the numbers known of each slot, twice."""
    spec = model.spec
    token = spec.kv_bytes_per_token(model.dtype.itemsize)
    group = spec.num_query_heads // spec.num_kv_heads
    layer = token * (2 + group) // spec.num_layers
    return slots * (token + layer + 64 * spec.num_layers * spec.num_kv_heads)
