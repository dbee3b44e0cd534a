"""Decoders of models that people use, as they take frames of a video: sizes for costs.

Sizes come from public configurations, as transformers' own defaults have them where it says that
they are those of a checkpoint; where a checkpoint is at hand, its own file counts. Towers and the
text between frames are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType

from transformers import LlamaConfig, PreTrainedConfig, Qwen3Config
from transformers.models.glm4v.configuration_glm4v import Glm4vTextConfig
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig

from ..framework.flops import DecoderSpec
from .hf import spec_of
from .paper_models import paper_config


@dataclass(frozen=True)
class RealModel:
    """A decoder and how it sees a video.

    Attributes:
        text_config: makes the decoder's configuration.
        step_tokens: visual tokens of a step.
        step_frames: raw frames of a step: 2 where the tower joins pairs.
        side: pixels of a frame, which is square.
    """

    text_config: Callable[[], PreTrainedConfig]
    step_tokens: int
    step_frames: int
    side: int

    @cached_property
    def spec(self) -> DecoderSpec:
        return spec_of(self.text_config())


def _of_the_paper(name: str) -> PreTrainedConfig:
    return paper_config(name).get_text_config()


def _smol_lm2_1_7b() -> PreTrainedConfig:
    return LlamaConfig(
        vocab_size=49280,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=24,
        num_attention_heads=32,
        num_key_value_heads=32,
    )


def _qwen3_8b() -> PreTrainedConfig:
    return Qwen3Config(
        vocab_size=151936,
        hidden_size=4096,
        intermediate_size=12288,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
    )


def _glm_4_1v_9b() -> PreTrainedConfig:
    rope = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
    return Glm4vTextConfig(rope_parameters={**rope, "mrope_section": [8, 12, 12]})


def _llama_3_1_8b() -> PreTrainedConfig:
    return LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )


REAL_MODELS: Mapping[str, RealModel] = MappingProxyType(
    {
        "InternVL3-8B": RealModel(partial(_of_the_paper, "InternVL3-8B"), 256, 1, 448),
        "InternVL3.5-8B": RealModel(_qwen3_8b, 256, 1, 448),
        "Qwen3-VL-8B": RealModel(partial(_of_the_paper, "Qwen3-VL-8B"), 196, 2, 448),
        "Qwen3.5-9B": RealModel(Qwen3_5TextConfig, 196, 2, 448),
        "GLM-4.1V-9B": RealModel(_glm_4_1v_9b, 256, 2, 448),
        "SmolVLM2-2.2B": RealModel(_smol_lm2_1_7b, 81, 1, 384),
        "PerceptionLM-8B": RealModel(_llama_3_1_8b, 256, 1, 448),
    }
)
