"""Eagle2.5's weights: official safetensors or our own, shard by shard onto the device.

Names differ in one place: transformers 4 kept the SigLIP tower inside another `vision_model`.
Only safetensors and JSON are read; code in a checkpoint is never imported.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import GenerationConfig
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from .eagle2_5_modules import Eagle2_5Config, Eagle2_5ForConditionalGeneration

INDEX = "model.safetensors.index.json"
POOLING_HEAD = "vision_model.vision_model.head."  # of the SigLIP tower; Eagle2.5 does not use it

logger = logging.getLogger(__name__)


def native_name(key: str) -> str:
    """The parameter's name in `Eagle2_5ForConditionalGeneration`, from the checkpoint's."""
    return key.replace("vision_model.vision_model.", "vision_model.", 1)


def official_name(name: str) -> str:
    """The checkpoint's name of a parameter: the inverse of `native_name`."""
    return f"vision_model.{name}" if name.startswith("vision_model.") else name


def read_config(folder: Path) -> Eagle2_5Config:
    """The configuration of a folder; code that its config.json names is not run."""
    fields = _read_json(folder / "config.json")
    family, own = fields.get("model_type"), Eagle2_5Config.model_type
    if family != own:
        raise ValueError(f"{folder} is of family {family!r}, not {own!r}; use load_model")
    return Eagle2_5Config.from_dict(fields)


def load_weights(
    folder: Path, device: torch.device, dtype: torch.dtype | None = None
) -> Eagle2_5ForConditionalGeneration:
    """The model of a checkpoint's folder, in eval mode.

    Names and shapes of all shards are checked before the first weight is read; then memory holds
    the model and at most one tensor more.

    Args:
        dtype: of the weights; None is what config.json says, or else as they are stored.

    Raises:
        ValueError: for missing, unknown or misshapen weights and for damaged files, naming them.
    """
    with torch.device("meta"):
        model = Eagle2_5ForConditionalGeneration(read_config(folder))
    shards, dtype = _checked_shards(folder, model), dtype or model.config.dtype
    logger.info("reading %d shards of %s onto %s as %s", len(shards), folder, device, dtype)
    for path, keys in shards.items():
        with _opened(path) as shard:
            for key in keys:
                # A copy, because what safetensors hands out lives in the file.
                weight = shard.get_tensor(key).to(device=device, dtype=dtype, copy=True)
                owner, _, leaf = native_name(key).rpartition(".")
                setattr(model.get_submodule(owner), leaf, nn.Parameter(weight))
    model.tie_weights()
    _fill_buffers(model, device)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def _checked_shards(folder: Path, model: nn.Module) -> dict[Path, list[str]]:
    """The keys to read from each file, once every file is found to hold what the model needs."""
    expected = {name: list(weight.shape) for name, weight in model.named_parameters()}
    shards: dict[Path, list[str]] = {}
    for key, path in _listed(folder).items():
        if key.startswith(POOLING_HEAD):
            continue
        if native_name(key) not in expected:
            raise ValueError(f"{path} holds {key}, which Eagle2.5 does not have")
        shards.setdefault(path, []).append(key)
    missing = expected.keys() - {native_name(key) for keys in shards.values() for key in keys}
    if missing:
        raise ValueError(
            f"no file of {folder} holds {official_name(min(missing))} ({len(missing)} weights are "
            "missing); download the checkpoint anew"
        )
    for path, keys in shards.items():
        _check_shard(path, {key: expected[native_name(key)] for key in keys})
    return shards


def _listed(folder: Path) -> dict[str, Path]:
    """Every key of the checkpoint with the file that should hold it."""
    single = folder / "model.safetensors"
    if (folder / INDEX).is_file():
        listed = _read_json(folder / INDEX).get("weight_map", {})
        return {key: folder / file for key, file in listed.items()}
    if not single.is_file():
        raise ValueError(f"{folder} has no complete set of safetensors, and no other is read")
    with _opened(single) as shard:
        return dict.fromkeys(shard.keys(), single)


def _check_shard(path: Path, expected: Mapping[str, list[int]]) -> None:
    """Against the index and the model; a pooling head may be there unlisted."""
    if not path.is_file():
        raise ValueError(f"{path} is missing, and {min(expected)} with it; download it anew")
    with _opened(path) as shard:
        held = {key for key in shard.keys() if not key.startswith(POOLING_HEAD)}  # noqa: SIM118
        for key in sorted(held ^ expected.keys()):
            raise ValueError(f"{path} and {INDEX} disagree about {key}; download both anew")
        for key, shape in expected.items():
            stored = shard.get_slice(key).get_shape()
            if stored != shape:
                raise ValueError(f"{path} holds {key} as {stored}, by config.json it is {shape}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is missing or damaged, download it anew ({error})") from error
    return fields if isinstance(fields, dict) else {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as shard:
            yield shard
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or cut off, download it anew ({error})") from error


def _fill_buffers(model: Eagle2_5ForConditionalGeneration, device: torch.device) -> None:
    """What no checkpoint stores: patch numbers and rotary frequencies, in float32 always."""
    decoder: Any = model.language_model.model
    embeddings: Any = model.vision_model.embeddings
    decoder.rotary_emb = Qwen2RotaryEmbedding(model.config.text_config).to(device)
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]
