"""What each step really cost: tokens, FLOPs, milliseconds and bytes held."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import overload

import torch
from torch import Tensor


class Timer:
    """Milliseconds between its making and `stop`; on CUDA by events, without waiting."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._milliseconds = 0.0
        if self._cuda:
            self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            self._events[0].record()
        else:
            self._start = time.perf_counter()

    def stop(self) -> Timer:
        if self._cuda:
            self._events[1].record()
        else:
            self._milliseconds = (time.perf_counter() - self._start) * 1e3
        return self

    @property
    def milliseconds(self) -> float:
        """Time passed; on CUDA waits for the step to end."""
        if self._cuda:
            self._events[1].synchronize()
            return self._events[0].elapsed_time(self._events[1])
        return self._milliseconds


@dataclass(frozen=True, repr=False)
class StepCost:
    """One step of a session.

    Attributes:
        tokens: tokens that entered the decoder, per row of the batch.
        flops: of the decoder step with its attention and mass pass, by closed form; without
            vision, `admit`, `update` and the LM head.
        state_bytes: held for later frames after the step; raw frames that wait apart.
        archive_bytes: held for answering after the step, room to grow included.
        decode: times the decoder step and the memory's update.
        encode: time vision encoder and projector, one temporal patch each; none for the prompt
            before the video and for pushed `FrameTokens`.
        images: raw frames that passed; 0 where `encode` has none.
        timestamp: of the first of them, in seconds.
        attention: the backend of attention that ran, see `attention.attend.BACKENDS`.
        shared_bytes: counted in both, but held once, in the archive: keys and values of a memory
            that has kept everything.
    """

    tokens: int
    flops: int
    state_bytes: int
    archive_bytes: int
    decode: Timer
    encode: Sequence[Timer] = ()
    images: int = 0
    timestamp: float | None = None
    attention: str = ""
    shared_bytes: int = 0

    def __repr__(self) -> str:
        """Without times, for which an accelerator would have to wait."""
        at = "" if self.timestamp is None else f" at {self.timestamp:g} s"
        return (
            f"StepCost({self.tokens} tokens{at}, {self.flops:.3g} FLOPs, "
            f"{self.state_bytes} bytes of state, {self.archive_bytes} of archive)"
        )

    @property
    def milliseconds(self) -> float:
        """Time of the decoder step and the memory's update."""
        return self.decode.milliseconds

    @property
    def encode_milliseconds(self) -> float:
        """Time of the vision encoder and the projector."""
        return sum((timer.milliseconds for timer in self.encode), 0.0)


@dataclass(frozen=True)
class CostTotals:
    """What all steps of a session cost together; fields as in `StepCost`."""

    steps: int = 0
    tokens: int = 0
    flops: int = 0
    milliseconds: float = 0.0
    encode_milliseconds: float = 0.0

    def with_steps(self, costs: Sequence[StepCost]) -> CostTotals:
        """The totals with more steps; on CUDA waits for the last of them to end."""
        return CostTotals(
            self.steps + len(costs),
            self.tokens + sum(cost.tokens for cost in costs),
            self.flops + sum(cost.flops for cost in costs),
            self.milliseconds + sum(cost.milliseconds for cost in costs),
            self.encode_milliseconds + sum(cost.encode_milliseconds for cost in costs),
        )


@dataclass(frozen=True, eq=False, repr=False)
class StepCosts(Sequence[StepCost]):
    """The costs of a session's newest steps, oldest first, and the totals of all its steps.

    Never written into: `append` gives a new one, which shares what it can.

    Args:
        history: most steps to show; None is all. Up to `CHUNK` more are held.
    """

    history: int | None = None
    _forgotten: CostTotals = CostTotals()
    _chunks: tuple[tuple[StepCost, ...], ...] = ((),)

    def __repr__(self) -> str:
        newest = f", newest {self[-1]!r}" if len(self) else ""
        return f"StepCosts({len(self)} steps{newest})"

    # Steps copied at most by an append, which copies the newest chunk.
    CHUNK = 64

    @property
    def totals(self) -> CostTotals:
        """Of all steps, shown or not; on CUDA waits for the last of them to end."""
        return self._forgotten.with_steps(tuple(chain.from_iterable(self._chunks)))

    def append(self, cost: StepCost) -> StepCosts:
        """The costs with one more step."""
        *full, last = self._chunks
        chunks = (*full, (*last, cost))
        if len(chunks[-1]) == self.CHUNK:
            chunks = (*chunks, ())
        longer = replace(self, _chunks=chunks)
        if self.history is None or longer._held - len(chunks[0]) < self.history:
            return longer
        # Long ended, so that their times are there without waiting.
        forgotten = self._forgotten.with_steps(chunks[0])
        return replace(self, _forgotten=forgotten, _chunks=chunks[1:])

    @property
    def _held(self) -> int:
        return (len(self._chunks) - 1) * self.CHUNK + len(self._chunks[-1])

    def __len__(self) -> int:
        return self._held if self.history is None else min(self._held, self.history)

    def __iter__(self) -> Iterator[StepCost]:
        return islice(chain.from_iterable(self._chunks), self._held - len(self), None)

    @overload
    def __getitem__(self, place: int) -> StepCost: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[StepCost, ...]: ...
    def __getitem__(self, place: int | slice) -> StepCost | tuple[StepCost, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        number = range(self._held - len(self), self._held)[place]
        return self._chunks[number // self.CHUNK][number % self.CHUNK]


def held_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the storages behind the tensors; each storage counts once, and whole."""
    storages = {}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr() or id(storage)] = storage.nbytes()
    return sum(storages.values())
