"""Tiny untrained checkpoints that ``from_pretrained`` loads like downloaded ones, to try a command
or a loader without downloading anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...models.tiny import (
    tiny_eagle2_5,
    tiny_glm4v,
    tiny_internvl,
    tiny_llava_onevision,
    tiny_perception_lm,
    tiny_qwen2,
    tiny_qwen2_5_vl,
    tiny_qwen3_5,
    tiny_qwen3_vl,
    tiny_smolvlm,
    tiny_tokenizer,
)


def save_tiny_checkpoint(folder: str | Path, family: str = "internvl3", **options: Any) -> Path:
    """Write an untrained "internvl3", "qwen2", "eagle2_5", "glm4v", "llava_onevision",
    "perception_lm", "qwen2_5_vl", "qwen3_5", "qwen3_vl" or "smolvlm", a model and its
    processor, with the options of `crossframe.models.tiny`."""
    if family == "qwen2":
        return save_parts(folder, tiny_qwen2(**options), tiny_tokenizer())
    families: dict[str, Callable[..., tuple[Any, Any]]] = {
        "internvl3": tiny_internvl,
        "eagle2_5": tiny_eagle2_5,
        "glm4v": tiny_glm4v,
        "llava_onevision": tiny_llava_onevision,
        "perception_lm": tiny_perception_lm,
        "qwen2_5_vl": tiny_qwen2_5_vl,
        "qwen3_5": tiny_qwen3_5,
        "qwen3_vl": tiny_qwen3_vl,
        "smolvlm": tiny_smolvlm,
    }
    if family not in families:
        known = ", ".join(map(repr, ["qwen2", *families]))
        raise ValueError(f"no tiny model of family {family!r}; choose one of {known}")
    return save_parts(folder, *families[family](**options))


def save_parts(folder: str | Path, *parts: Any) -> Path:
    """Write a model and its processor as one checkpoint."""
    for part in parts:
        part.save_pretrained(folder)
    return Path(folder)
