"""Copies to an accelerator are queued, unless the host could still change what they read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from crossframe.framework.transfer import sent

from .fake_accelerator import CUDA, FakeAccelerator, HostWaits

CPU = torch.device("cpu")


def test_what_lies_there_already_is_not_copied() -> None:
    value = torch.arange(3)
    assert sent(value, CPU) is value
    with FakeAccelerator():
        there = torch.zeros(3, device=CUDA)
        assert sent(there, CUDA) is there


def test_a_copy_to_the_accelerator_is_queued() -> None:
    with FakeAccelerator():
        assert sent(torch.arange(3), CUDA).device.type == "cuda"


def test_pinned_memory_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "is_pinned", lambda self: True)
    with FakeAccelerator(), pytest.raises(HostWaits):
        sent(torch.arange(3), CUDA)


def test_the_host_waits_for_what_it_gets() -> None:
    with FakeAccelerator(), pytest.raises(HostWaits):
        sent(torch.zeros(3, device=CUDA), CPU)
