"""torch's flex attention, compiled on CUDA, which gives its log-sum-exp and the mass by a second.

The mass of key j is the sum over queries i of e^(s_ij - lse_i): the log-sum-exp of the transposed
attention, in which keys ask and queries answer, with the bias -lse_i in its scores. So no weight is
ever stored, and no kernel of our own is needed.

Run here on the CPU alone, where torch 2.15 refuses to compile it: uncompiled, by the arithmetic
that the kernel is generated from. Of CUDA, the kernels, their speed and their memory, nothing has
been run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from .backend import Backend, Inputs, Place
from .chunked import receive_in_chunks
from .grouping import by_kv_head
from .merging import Reading
from .reductions import WeightReductions

# The kernel's matrix products take no fewer.
SMALLEST_HEAD = 16
LARGEST_HEAD = 256
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class Flex(Backend):
    """A fused kernel that keeps the log-sum-exp; the GQA group's queries are folded into rows of
    their KV head, so that no key is repeated."""

    name = "flex"

    def lack(self, place: Place) -> str | None:
        if place.device.type != "cuda":
            return None
        if place.dtype not in KERNEL_DTYPES:
            return f"its CUDA kernel has no {place.dtype}; take a model in bfloat16 or float32"
        if not SMALLEST_HEAD <= place.head_dim <= LARGEST_HEAD:
            sizes = f"{SMALLEST_HEAD} to {LARGEST_HEAD}"
            return f"its CUDA kernel takes heads of {sizes} numbers, not {place.head_dim}"
        if find_spec("triton") is None:
            return "its CUDA kernel is compiled by triton, which is not installed"
        return None

    def output(self, inputs: Inputs, received: WeightReductions) -> Tensor:
        reading = self.read(inputs)
        if received.wanted:
            wide = reading._replace(output=reading.output.to(reading.lse.dtype))
            self.receive(inputs, wide, received)
        return reading.output

    def read(self, inputs: Inputs) -> Reading:
        query, keys, values, scale, visibility = inputs
        folded = by_kv_head(query, keys.shape[1])
        read = _compiled(calls().read_folded, *_fixed(inputs))
        output, lse = read(
            folded, keys, values, _reach(inputs), visibility.valid, _scalar(scale, query)
        )
        # What kernels give a row that sees nothing is not said anywhere.
        output = output.masked_fill((lse == float("-inf"))[..., None], 0)
        shape = inputs.query.shape[:3]
        return Reading(output.reshape(*shape, -1), lse.reshape(shape))

    def receive(self, inputs: Inputs, whole: Reading, received: WeightReductions) -> None:
        if received.reduced:  # other sums than of the weights themselves
            return receive_in_chunks(inputs, whole, received)
        assert received.mass is not None
        query, keys, _, scale, visibility = inputs
        valid = visibility.valid
        folded = by_kv_head(query, keys.shape[1])
        lse = whole.lse.reshape(folded.shape[:3])
        hand_out = _compiled(calls().mass_of_folded, *_fixed(inputs))
        mass = hand_out(folded, keys, lse, _reach(inputs), _scalar(scale, query))
        received.mass += mass if valid is None else mass.masked_fill(~valid, 0)

    def extra_products(
        self,
        needs_mass: bool,
        reductions: Sequence[str],
        head_dim: int,
        in_blocks: bool = False,
    ) -> Fraction:
        """The second call multiplies its weights by values of 16 numbers, too."""
        if reductions:
            return Fraction(1 + ("output_change" in reductions))
        return needs_mass * (1 + Fraction(calls().NO_VALUES, head_dim))


def calls() -> ModuleType:
    """The calls of flex attention, imported on first use."""
    from . import flex_calls

    return flex_calls


def _reach(inputs: Inputs) -> Tensor | None:
    """[G*T] the number of keys each folded row sees, always the first ones; None: all."""
    num_new, num_keys = inputs.num_own, inputs.keys.shape[2]
    if num_new == 0:
        return None
    block, rows = inputs.visibility.block, inputs.rows
    own = rows + 1 if block is None else torch.searchsorted(block, block, right=True)
    return (own.to(rows.device) + (num_keys - num_new)).repeat(
        inputs.query.shape[1] // inputs.keys.shape[1]
    )


def _fixed(inputs: Inputs) -> tuple[str, torch.dtype, int, int, int]:
    """What compiled code is made for: device, dtype, batch, KV heads, head_dim."""
    query, (batch, num_kv_heads, _, head_dim) = inputs.query, inputs.keys.shape
    return query.device.type, query.dtype, batch, num_kv_heads, head_dim


def _scalar(scale: float, like: Tensor) -> Tensor:
    """A number the compiled code reads, which it would otherwise be compiled for anew."""
    wide = torch.float64 if like.dtype == torch.float64 else torch.float32
    return torch.full((), scale, dtype=wide, device=like.device)


@cache
def _compiled(
    function: Callable[..., Any],
    device: str,
    dtype: torch.dtype,
    batch: int,
    num_kv_heads: int,
    head_dim: int,
) -> Callable[..., Any]:
    """The function as it runs on such a device, for inputs of any length but fixed other sizes;
    compiled once a process."""
    return dynamic(function) if device == "cuda" else function


def dynamic(
    function: Callable[..., Any], backend: str | Callable[..., Any] = "inductor"
) -> Callable[..., Any]:
    """The function compiled for inputs of any length."""
    # Compilations are counted by code object, and behind the eighth torch stops and runs unfused.
    # A code object of its own leaves each model of a process all eight: 1 token, 1 slot, ragged.
    code = cast(FunctionType, function).__code__.replace()
    own = FunctionType(code, function.__globals__, function.__name__)
    return torch.compile(own, dynamic=True, fullgraph=True, backend=backend)
