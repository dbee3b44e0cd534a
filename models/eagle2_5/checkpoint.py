"""Eagle2.5's weights: official safetensors or our own, shard by shard onto the device.

Names differ in one place: transformers 4 kept the SigLIP tower inside another `vision_model`.
Only safetensors and JSON are read; code in a checkpoint is never imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from ..checkpoints.faults import explained
from ..checkpoints.shards import Layout, fill_weights, read_json
from .modules import Eagle2_5Config, Eagle2_5ForConditionalGeneration

POOLING_HEAD = "vision_model.vision_model.head."  # of the SigLIP tower; Eagle2.5 does not use it


def native_name(key: str) -> str:
    """The parameter's name in `Eagle2_5ForConditionalGeneration`, from the checkpoint's."""
    return key.replace("vision_model.vision_model.", "vision_model.", 1)


def official_name(name: str) -> str:
    """The checkpoint's name of a parameter: the inverse of `native_name`."""
    return f"vision_model.{name}" if name.startswith("vision_model.") else name


LAYOUT = Layout("Eagle2.5", lambda key: [] if key.startswith(POOLING_HEAD) else [native_name(key)])


def read_config(folder: Path) -> Eagle2_5Config:
    """The configuration of a folder; code that its config.json names is not run."""
    fields = read_json(folder / "config.json")
    family, own = fields.get("model_type"), Eagle2_5Config.model_type
    if family != own:
        raise ValueError(f"{folder} is of family {family!r}, not {own!r}; use load_model")
    with explained(folder / "config.json"):
        return Eagle2_5Config.from_dict(fields)


def load_weights(
    folder: Path, device: torch.device, dtype: torch.dtype | None = None
) -> Eagle2_5ForConditionalGeneration:
    """The model of a checkpoint's folder, in eval mode, its weights in `dtype`; None is what
    config.json says, or else as they are stored.

    Names and shapes of all shards are checked before the first weight is read; then memory holds
    the model and at most one tensor more.

    Raises:
        ValueError: for missing, unknown or misshapen weights and for damaged files, naming them.
    """
    config = read_config(folder)
    with explained(folder / "config.json"), torch.device("meta"):
        model = Eagle2_5ForConditionalGeneration(config)
    fill_weights(model, folder, LAYOUT, device, dtype or model.config.dtype)
    model.tie_weights()
    _fill_buffers(model, device)
    if (folder / "generation_config.json").is_file():
        with explained(folder / "generation_config.json"):
            model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def _fill_buffers(model: Eagle2_5ForConditionalGeneration, device: torch.device) -> None:
    """What no checkpoint stores: patch numbers and rotary frequencies, in float32 always."""
    decoder: Any = model.language_model.model
    embeddings: Any = model.vision_model.embeddings
    decoder.rotary_emb = Qwen2RotaryEmbedding(model.config.text_config).to(device)
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]
