"""An accelerator without numbers: whatever would make the host wait for it raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves

from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.transfer import sent

CUDA = torch.device("cuda")


class HostWaits(AssertionError):
    """The host would have waited for the accelerator."""


class FakeAccelerator(FakeTensorMode):
    """While it is entered, tensors on "cuda" have shapes only, and those on the CPU are real.

    A read of a number raises torch's `DataDependentOutputException`, a shape that depends on
    numbers its `DynamicOutputShapeException`, and a copy that torch waits for `HostWaits`.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        here = torch.device(kwargs.get("device") or "cpu").type == "cpu"
        if here and not any(isinstance(leaf, FakeTensor) for leaf in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        _refuse_waiting(func, args, kwargs)
        return super().__torch_dispatch__(func, types, tuple(args), kwargs)


class Event:
    """Instead of `torch.cuda.Event`, which needs a driver."""

    def __init__(self, enable_timing: bool = False) -> None:
        del enable_timing

    def record(self) -> None:
        pass

    def synchronize(self) -> None:
        raise HostWaits("an event was waited for")


class FakeDecoder(ReferenceDecoder):
    """The reference decoder on a `FakeAccelerator`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weights = {name: sent(value, CUDA) for name, value in self.weights.items()}

    @property
    def device(self) -> torch.device:
        return CUDA

    def _angles(self, positions: torch.Tensor) -> torch.Tensor:
        with CUDA:  # its own numbers are made there too
            return super()._angles(sent(positions, CUDA))


def _refuse_waiting(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Torch waits for every copy between host and accelerator, but for one to the accelerator that
    is asked not to."""
    if func is torch.ops.aten._to_copy.default:
        source, target = args[0].device, torch.device(kwargs.get("device") or args[0].device)
        queued = kwargs.get("non_blocking", False)
    elif func is torch.ops.aten.copy_.default:
        target, source = args[0].device, args[1].device
        queued = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
    else:
        return
    if source.type != target.type and not (queued and target.type == "cuda"):
        raise HostWaits(f"{func} from {source} to {target} waits for the accelerator")
