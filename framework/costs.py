"""What each step really cost: tokens, FLOPs, milliseconds and bytes held."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class StepCost:
    """One step of a session.

    Attributes:
        tokens: tokens that entered the decoder, per row of the batch.
        flops: of the decoder step with its attention and mass pass, by closed form; without
            vision, `admit`, `update` and the LM head.
        state_bytes: held for later frames after the step.
        archive_bytes: held for answering after the step, room to grow included.
        decode: times the decoder step and the memory's update.
        encode: times vision encoder, projector and prompt; None for pushed `FrameTokens`.
    """

    tokens: int
    flops: int
    state_bytes: int
    archive_bytes: int
    decode: Timer
    encode: Timer | None = None

    @property
    def milliseconds(self) -> float:
        """Time of the decoder step and the memory's update."""
        return self.decode.milliseconds

    @property
    def encode_milliseconds(self) -> float:
        """Time of the vision encoder, the projector and the prompt's embedding."""
        return 0.0 if self.encode is None else self.encode.milliseconds


def held_bytes(tensors: Iterable[Tensor | None]) -> int:
    """Bytes of the storages behind the tensors; each storage counts once, and whole."""
    storages = {}
    for tensor in tensors:
        if tensor is not None:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr() or id(storage)] = storage.nbytes()
    return sum(storages.values())
