"""Tensors from the host to an accelerator, without making the host wait."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(value: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; itself if it lies there.

    A copy to CUDA is queued behind the steps that run there, where torch's plain `to` waits for all
    of them. CUDA has read pageable memory when the call returns, so that it may be written again;
    pinned memory is read later, so a copy of that is waited for.
    """
    queued = device.type == "cuda" and value.device.type == "cpu" and not value.is_pinned()
    return value.to(device, non_blocking=queued)
