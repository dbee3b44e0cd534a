"""Models of the paper's sizes with random weights: nothing but their speed is real."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from ...models import DecoderModel, InternVL3
from ...models.paper_models import SIDE, SIZES, paper_config
from ...models.tiny.internvl3 import tiny_processor

VOCAB = 512  # pushing does not depend on it
# The plain decoder that each of the paper's is, by the type of its text configuration.
PLAIN = {"qwen2": Qwen2Config, "qwen3_vl_text": Qwen3Config}
ROPE = ("rope_theta", "rope_type", "factor")
KEPT = (*SIZES, "max_position_embeddings", "rms_norm_eps")


def decoder_config(name: str, layers: int | None = None) -> PreTrainedConfig:
    """Of the decoder of one of the paper's models, with a small vocabulary.

    Qwen3-VL's is the Qwen3 inside it, without M-RoPE and DeepStack.

    Args:
        layers: another number of them.

    Raises:
        ValueError: for a model that the paper has not, or fewer than one layer.
    """
    if layers is not None and layers < 1:
        raise ValueError(f"layers must be at least 1, got {layers}: None takes all of {name}")
    text = paper_config(name).get_text_config().to_dict()
    fields: dict[str, Any] = {field: text[field] for field in KEPT}
    rope = {part: value for part, value in text["rope_parameters"].items() if part in ROPE}
    fields |= {"vocab_size": VOCAB, "rope_parameters": rope}
    fields |= {} if layers is None else {"num_hidden_layers": layers}
    return PLAIN[text["model_type"]](**fields)


def random_decoder(
    name: str, layers: int | None, device: torch.device, dtype: torch.dtype
) -> DecoderModel:
    """A decoder of `decoder_config`, made where it will run."""
    return DecoderModel(_made(AutoModelForCausalLM, decoder_config(name, layers), device, dtype))


def random_internvl3(
    name: str, layers: int | None, device: torch.device, dtype: torch.dtype
) -> InternVL3:
    """A whole InternVL3, frames of 448 x 448 pixels and 259 tokens, with the tiny vocabulary.

    Args:
        layers: of decoder and tower alike; None takes all.
    """
    processor = tiny_processor(image_size=SIDE)
    config: Any = paper_config(name)
    config.image_token_id = processor.image_token_id
    config.image_seq_length = processor.image_seq_length
    config.text_config = decoder_config(name, layers)
    if layers is not None:
        config.vision_config.num_hidden_layers = layers
    model = _made(AutoModelForImageTextToText, config, device, dtype)
    return InternVL3(model, processor, layout="video_first")


def _made(auto: Any, config: Any, device: torch.device, dtype: torch.dtype) -> Any:
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        return auto.from_config(config, dtype=dtype).eval().requires_grad_(False)
