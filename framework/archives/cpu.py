"""The archive in main memory, for streams whose KV does not fit the accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from .codec import WrappedArchive


@final
@dataclass(frozen=True)
class CPUArchive(WrappedArchive):
    """Keep what the inner archive packs in CPU memory; a question moves what it reads.

    Rule: packing happens on the layer's device, then the packed numbers go to the CPU in one copy.
    Readers get CPU tensors; what they return is moved to the layer's device, nothing else.

    Args:
        pinned: page-locked memory, from which a GPU copies faster; it cannot be swapped out, so a
            long stream takes it away from everything else on the machine.
        inner: how keys and values are packed; as they are by default.

    Raises:
        ValueError: if pinned memory is asked for where there is no CUDA device.

    Cost per frame: one copy of the frame's packed KV to the CPU.
    Bytes held: as the inner archive, none of it on the accelerator. While a question is answered,
    what its reader picked lies on the accelerator, in the model's dtype.
    """

    pinned: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pinned and not torch.cuda.is_available():
            raise ValueError(
                "CPUArchive: pinned=True needs a CUDA device, which only then copies faster: "
                "leave it False"
            )

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        return torch.empty(*shape, dtype=example.dtype, pin_memory=self.pinned)
