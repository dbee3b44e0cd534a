"""Sizes that config.json declares, held against the files before anything of that size is made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from .faults import ANEW, explained, shortened
from .shards import opened

# Every layer, and every expert stored alone, has tensors of its own.
LAYERS = ("num_hidden_layers", "depth", "num_layers", "encoder_layers")
SIZES = (
    *LAYERS,
    *("hidden_size", "intermediate_size", "vocab_size", "out_hidden_size", "head_dim"),
    *("num_attention_heads", "num_key_value_heads", "num_heads", "num_position_embeddings"),
    *("image_size", "force_image_size", "patch_size", "num_channels", "in_channels"),
    *("spatial_merge_size", "temporal_patch_size", "max_position_embeddings"),
)
FLAGS = ("output_hidden_states", "output_attentions")
LARGEST = 2**40  # of a single size: more than any file holds
SPARE = 2.0  # tied weights are stored once, and whole models hold what is not needed


def require_possible(folder: Path, fields: dict[str, Any]) -> None:
    """Refuse sizes in the fields of config.json that are none, and more layers than the folder has
    tensors; the ValueError names file, field and value."""
    path = folder / "config.json"
    tensors = sum(1 for _ in stored_shapes(folder))
    for name, value in _named(fields, FLAGS):
        if not isinstance(value, bool):
            shown = shortened(repr(value), 40)
            raise ValueError(f"{path} has {name}={shown}, which is neither true nor false; {ANEW}")
    for name, value in _named(fields, SIZES):
        declared = f"{path} has {name}={shortened(repr(value), 40)}"
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < LARGEST:
            raise ValueError(f"{declared}, which is no size; {ANEW}")
        if name.rpartition(".")[2] in LAYERS and tensors and value > tensors:
            raise ValueError(
                f"{declared}, but the safetensors beside it hold {tensors} tensors in all; {ANEW}"
            )

    for name, whole, count in _divided(fields):
        if whole % count:
            raise ValueError(f"{path} has {name}={count}, which does not divide {whole}; {ANEW}")


def require_held(folder: Path, family: Any, config: Any) -> None:
    """Refuse a configuration of many more numbers than the folder's safetensors hold.

    transformers makes up weights that do not fit, at the declared size.

    Raises:
        ValueError: naming both numbers.
    """
    held = sum(math.prod(shape) for shape in stored_shapes(folder))
    with explained(folder / "config.json"), torch.device("meta"):
        declared = sum(weight.numel() for weight in family(config).parameters())
    if held and declared > SPARE * held:
        raise ValueError(
            f"{folder / 'config.json'} describes {declared} weights, but the safetensors beside it "
            f"hold {held}; {ANEW}"
        )


def stored_shapes(folder: Path) -> Iterator[list[int]]:
    """The shape of every tensor in the folder's safetensors; only their headers are read.

    Raises:
        ValueError: for a damaged file, naming it.
    """
    for file in sorted(folder.glob("*.safetensors")):
        with opened(file) as shard:
            yield from (shard.get_slice(key).get_shape() for key in shard.keys())  # noqa: SIM118


def _named(fields: Any, names: Sequence[str], path: str = "") -> Iterator[tuple[str, object]]:
    """Every value of these names in nested fields, with the way to it; null is a default."""
    if not isinstance(fields, dict):
        return
    for name, value in fields.items():
        if name in names and value is not None:
            values = value if isinstance(value, list) else [value]
            yield from ((path + name, one) for one in values)
        yield from _named(value, names, f"{path}{name}.")


def _divided(fields: Any, path: str = "") -> Iterator[tuple[str, int, int]]:
    """Numbers of heads with what is shared out among them."""
    if not isinstance(fields, dict):
        return
    hidden = fields.get("hidden_size") if fields.get("head_dim") is None else None
    heads = fields.get("num_attention_heads", fields.get("num_heads"))
    shared = {"num_attention_heads": hidden, "num_heads": hidden, "num_key_value_heads": heads}
    for name, whole in shared.items():
        count = fields.get(name)
        if isinstance(whole, int) and isinstance(count, int):
            yield path + name, whole, count
    for name, value in fields.items():
        yield from _divided(value, f"{path}{name}.")
