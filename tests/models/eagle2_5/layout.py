"""Tiny untrained checkpoints as nvidia/Eagle2.5-8B lays them out."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel

from crossframe.models.checkpoints.shards import INDEX
from crossframe.models.eagle2_5.checkpoint import POOLING_HEAD, official_name
from crossframe.models.eagle2_5.modules import Eagle2_5Config
from crossframe.models.tiny import tiny_eagle2_5

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def save_official_eagle2_5(folder: str | Path, **options: Any) -> Path:
    """Write the same weights as nvidia/Eagle2.5-8B lays them out.

    SigLIP's names are nested once more, its pooling head is there, the weights lie in two shards
    with an index, and config.json has the fields of transformers 4, code and flash-attention named.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    model, processor = tiny_eagle2_5(**options)
    weights = {official_name(k): v.contiguous() for k, v in model.state_dict().items()}
    _save_shards(path, weights | _pooling_head(model.config.vision_config, model.dtype))
    fields = _official_fields(model.config)
    (path / "config.json").write_text(json.dumps(fields, indent=2), "utf-8")
    for part in (model.generation_config, processor):
        part.save_pretrained(path)
    return path


def _save_shards(folder: Path, weights: dict[str, Tensor]) -> None:
    names, listed = sorted(weights), {}
    for file, part in zip(SHARDS, (names[::2], names[1::2]), strict=True):
        save_file({name: weights[name] for name in part}, folder / file, {"format": "pt"})
        listed |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": listed}
    (folder / INDEX).write_text(json.dumps(index, indent=2), "utf-8")


def _pooling_head(vision: Any, dtype: torch.dtype) -> dict[str, Tensor]:
    whole = SiglipVisionConfig.from_dict(vision.to_dict() | {"vision_use_head": True})
    with torch.device("meta"):
        head = SiglipVisionModel(whole).head.state_dict()
    return {POOLING_HEAD + name: torch.zeros(w.shape, dtype=dtype) for name, w in head.items()}


def _official_fields(config: Eagle2_5Config) -> dict[str, Any]:
    """config.json as software of transformers 4's time writes it."""
    fields = json.loads(config.to_json_string(use_diff=False))
    text, vision = fields["text_config"], fields["vision_config"]
    rope = text.pop("rope_parameters")
    text |= {"rope_theta": rope["rope_theta"], "rope_scaling": None, "use_cache": False}
    del text["layer_types"], vision["vision_use_head"]
    for part in (text, vision):
        del part["dtype"]
        part |= {"torch_dtype": "bfloat16", "_attn_implementation_autoset": True}
    return fields | {
        "architectures": ["Eagle2_5_VLForConditionalGeneration"],
        "auto_map": {"AutoConfig": "configuration_eagle2_5_vl.Eagle2_5_VLConfig"},
        "_attn_implementation": "flash_attention_2",
        "torch_dtype": fields.pop("dtype"),
        "max_dynamic_tiles": 12,
        "template": "qwen2-chat",
        "transformers_version": "4.51.0",
    }
