"""Milliseconds of a step's attention with mass: each backend beside attention without mass.

Every variant attends with the same tensors in one process, in turn, so that a noisy machine
disturbs all alike. Beside ours stand torch's fused attention, which gives no mass; a second pass in
float32 over the whole matrix, as the StateKV release takes it; and eager attention, which has its
weights at hand. Writes rows as JSON; the last line printed is JSON too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn import functional

from ...framework.attention.attend import BACKENDS, attend
from ...framework.attention.backend import Visibility
from .benches import Row, dtype_name, milliseconds, require_device, result_of, write_result

PLAIN = "sdpa without mass"
Variant = Callable[[], object]


@dataclass(frozen=True)
class Heads:
    """The attention of a model.

    Attributes:
        of: the model.
    """

    of: str
    heads: int
    kv_heads: int
    head_dim: int


SMALL = Heads("InternVL3-1B", 14, 2, 64)
MODELS = (
    SMALL,
    Heads("InternVL3-2B", 12, 2, 128),
    Heads("InternVL3-8B", 28, 4, 128),
    Heads("Qwen3-VL-8B", 32, 8, 128),
)
TOKENS = 259


@dataclass(frozen=True)
class Sizes:
    """What is timed on a device.

    Attributes:
        backends: with mass. On the CPU without flex, which is not compiled there, and without
            plain, which is the twin to test against.
        slots: carried before the frame.
    """

    backends: Sequence[str]
    models: Sequence[Heads]
    slots: Sequence[int]
    dtype: torch.dtype


SIZES = {
    "cpu": Sizes(("chunked", "sdpa"), (SMALL,), (256, 1036, 4096), torch.float32),
    "cuda": Sizes(("flex", "chunked", "sdpa"), MODELS, (256, 1024, 4096, 16384), torch.bfloat16),
}


def main(device: str = "cpu", write: Path | None = None, repeats: int = 9) -> None:
    """Measure, print a table, and write attention_time_<device>.json if asked to.

    Args:
        device: "cpu" or "cuda".
        write: folder for the file.
        repeats: times each variant runs, behind one that does not count.
    """
    place, sizes = require_device(device), SIZES[device]
    torch.set_num_threads(1)
    rows = [
        row
        for heads in sizes.models
        for slots in sizes.slots
        for row in measure(heads, slots, sizes, place, repeats)
    ]
    for row in rows:
        print(
            f"{row['of']:>13} {row['slots']:>6} slots  {row['variant']:<28} "
            f"{row['ms']:>9} ms  {row['to_plain']:>6} x {PLAIN}"
        )
    settings = {"tokens": TOKENS, "repeats": repeats}
    result = result_of(rows, place, [sizes.dtype], settings)
    write_result(result, f"attention_time_{device}", write)


def measure(
    heads: Heads, slots: int, sizes: Sizes, device: torch.device, repeats: int
) -> list[Row]:
    """A row per variant: the median ms, and of its ratio to fused attention without mass in the
    same round, so that drift of the machine cancels."""
    made = variants(heads, slots, sizes, device)
    rounds = [
        {name: milliseconds(run, device) for name, (_, run) in made.items()}
        for _ in range(repeats + 1)
    ]
    counted = rounds[1:]  # the first warms up, and compiles
    return [
        {
            **asdict(heads),
            "slots": slots,
            "dtype": dtype_name(sizes.dtype),
            "variant": name,
            "backend": backend,
            "ms": round(median(taken[name] for taken in counted), 3),
            "to_plain": round(median(taken[name] / taken[PLAIN] for taken in counted), 3),
        }
        for name, (backend, _) in made.items()
    ]


def variants(
    heads: Heads, slots: int, sizes: Sizes, device: torch.device
) -> dict[str, tuple[str, Variant]]:
    """By name: the backend that runs, or torch's function, and what is timed."""
    generator = torch.Generator().manual_seed(0)

    def draw(count: int, tokens: int) -> Tensor:
        drawn = torch.randn(1, count, tokens, heads.head_dim, generator=generator)
        return drawn.to(device, sizes.dtype)

    keys = TOKENS + slots
    tensors = draw(heads.heads, TOKENS), draw(heads.kv_heads, keys), draw(heads.kv_heads, keys)
    ours = {
        f"{name} with mass": (name, partial(_attend, name, *tensors)) for name in sizes.backends
    }
    return {
        PLAIN: ("sdpa", partial(_attend, "sdpa", *tensors, needs_mass=False)),
        **ours,
        "float32 two-pass": ("torch matmul, softmax and sdpa", partial(two_pass, *tensors)),
        "eager": ("torch matmul and softmax", partial(eager, *tensors)),
    }


def two_pass(query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """[B, H, T, D] by fused attention and the mass [B, K, S] by a softmax in float32."""
    hidden, group = hidden_keys(query, keys), query.shape[1] // keys.shape[1]
    output = functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=~hidden, enable_gqa=True
    )
    repeated = keys.repeat_interleave(group, 1).float()
    scores = query.float() @ repeated.mT * query.shape[-1] ** -0.5
    weights = scores.masked_fill_(hidden, float("-inf")).softmax(-1)
    return output, weights.unflatten(1, (-1, group)).sum((2, 3))


def eager(query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The same by one matrix of weights, softmax in float32 and weights in the model's dtype, as
    transformers' eager attention has them."""
    group = query.shape[1] // keys.shape[1]
    repeated, told = (part.repeat_interleave(group, 1) for part in (keys, values))
    scores = query @ repeated.mT * query.shape[-1] ** -0.5
    scores = scores.masked_fill_(hidden_keys(query, keys), float("-inf"))
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    return weights @ told, weights.unflatten(1, (-1, group)).sum((2, 3), dtype=torch.float32)


def hidden_keys(query: Tensor, keys: Tensor) -> Tensor:
    """[T, S] bool: keys behind a query in its own frame."""
    new, count = query.shape[2], keys.shape[2]
    return torch.ones(new, count, dtype=torch.bool, device=query.device).triu(count - new + 1)


def _attend(
    name: str, query: Tensor, keys: Tensor, values: Tensor, needs_mass: bool = True
) -> object:
    return attend(
        query,
        keys,
        values,
        backend=BACKENDS[name],
        scale=query.shape[-1] ** -0.5,
        visibility=Visibility(),
        needs_mass=needs_mass,
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
