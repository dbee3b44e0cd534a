"""The families of checkpoints that `load_model` reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import (
    Glm4vForConditionalGeneration,
    Glm4vMoeForConditionalGeneration,
    Glm46VForConditionalGeneration,
    InternVLForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    PerceptionLMForConditionalGeneration,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeForConditionalGeneration,
    SmolVLMForConditionalGeneration,
)

from .eagle2_5.adapter import Eagle2_5
from .eagle2_5.modules import Eagle2_5ForConditionalGeneration
from .glm4v import GLM4V
from .hf import HFDecoder
from .internvl3.adapter import InternVL3
from .llava_onevision import LlavaOnevision
from .perception_lm import PerceptionLM
from .qwen_vl.qwen2_5_vl import Qwen2_5VL
from .qwen_vl.qwen3_5 import Qwen3_5
from .qwen_vl.qwen3_vl import Qwen3VL
from .smolvlm import SmolVLM

# Families that transformers loads itself: its class and our adapter.
NATIVE: dict[str, tuple[Any, Any]] = {
    "glm4v": (Glm4vForConditionalGeneration, GLM4V),
    "glm46v": (Glm46VForConditionalGeneration, GLM4V),
    "glm4v_moe": (Glm4vMoeForConditionalGeneration, GLM4V),
    "internvl": (InternVLForConditionalGeneration, InternVL3),
    "llava_onevision": (LlavaOnevisionForConditionalGeneration, LlavaOnevision),
    "perception_lm": (PerceptionLMForConditionalGeneration, PerceptionLM),
    "qwen2_5_vl": (Qwen2_5_VLForConditionalGeneration, Qwen2_5VL),
    "qwen3_5": (Qwen3_5ForConditionalGeneration, Qwen3_5),
    "qwen3_5_moe": (Qwen3_5MoeForConditionalGeneration, Qwen3_5),
    "qwen3_vl": (Qwen3VLForConditionalGeneration, Qwen3VL),
    "qwen3_vl_moe": (Qwen3VLMoeForConditionalGeneration, Qwen3VL),
    "smolvlm": (SmolVLMForConditionalGeneration, SmolVLM),
}
# Families that we load ourselves: the class they become and our adapter.
OWN: dict[str, tuple[Any, Any]] = {
    "eagle_2_5_vl": (Eagle2_5ForConditionalGeneration, Eagle2_5),
    "internvl_chat": (InternVLForConditionalGeneration, InternVL3),
}
STOCK, LAWS = "beside the stock model", "the laws"
# What the checkpoints are called, and what an untrained tiny one is held to.
NOTES = {
    "eagle_2_5_vl": ("Eagle2.5", f"beside its own modules in one go, {LAWS}, real sizes"),
    "glm4v": ("GLM-4.1V", f"{STOCK}, {LAWS}"),
    "glm46v": ("GLM-4.6V, dense", STOCK),
    "glm4v_moe": ("GLM-4.5V, GLM-4.6V, experts", f"{STOCK}, {LAWS}"),
    "internvl": (
        "InternVL3 (`-hf`), InternVL3.5 (`-HF`), dense or experts",
        f"{STOCK}, {LAWS}, real sizes",
    ),
    "internvl_chat": ("InternVL3, original layout", "every weight beside `internvl`'s"),
    "llava_onevision": ("LLaVA-OneVision", f"{STOCK}, {LAWS}"),
    "perception_lm": ("PerceptionLM (extra `families`)", f"{STOCK}, {LAWS}"),
    "qwen2_5_vl": ("Qwen2.5-VL", f"{STOCK}, {LAWS}"),
    "qwen3_5": ("Qwen3.5", f"{STOCK}, {LAWS}"),
    "qwen3_5_moe": ("Qwen3.5, experts", STOCK),
    "qwen3_vl": ("Qwen3-VL", f"{STOCK}, {LAWS}, real sizes"),
    "qwen3_vl_moe": ("Qwen3-VL, experts", STOCK),
    "smolvlm": ("SmolVLM2 (extra `families`)", f"{STOCK}, {LAWS}"),
}


@dataclass(frozen=True)
class ModelFamily:
    """A family of video models that `load_model` reads.

    Attributes:
        name: what its checkpoints are called.
        model_type: as config.json has it.
        model: the class of the loaded model.
        adapter: that wraps a loaded model and its processor.
        tested: what a tiny untrained model of the family is held to.
    """

    name: str
    model_type: str
    model: type
    adapter: type[HFDecoder]
    tested: str


def model_families() -> tuple[ModelFamily, ...]:
    """Every family of video models, by name; text decoders come beside them."""
    families = [
        ModelFamily(NOTES[model_type][0], model_type, *pair, NOTES[model_type][1])
        for model_type, pair in (NATIVE | OWN).items()
    ]
    return tuple(sorted(families, key=lambda family: family.name))
