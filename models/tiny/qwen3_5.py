"""A tiny untrained Qwen3.5 that needs no download: for tests and examples.

The native classes with layers of Gated DeltaNet before each of full attention, a quarter of the
heads rotated, and Qwen3-VL's processor; small frames and random weights. Never trained: answers
mean nothing.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import transformers

from .qwen2 import text_fields
from .qwen3_vl import Qwen3VLOptions, joined, processor_of


class Qwen3_5Options(Qwen3VLOptions, total=False):
    """Sizes of the tiny Qwen3.5; one left out takes the value in brackets."""

    every: int  # [2] layers, of which the last is full attention; a layer alone is that


def tiny_qwen3_5(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Unpack[Qwen3_5Options]
) -> tuple[Any, transformers.Qwen3VLProcessor]:
    """An untrained Qwen3.5 in eval mode and its processor.

    Takes ``pixel_values_videos`` [patches, 1536] with their grids; gives logits [B, tokens, vocab].
    """
    sparse = options.get("experts", 0) > 0
    family = transformers.Qwen3_5MoeConfig if sparse else transformers.Qwen3_5Config
    processor = processor_of(options)
    text_config = _text_config(processor.tokenizer.get_vocab(), options)
    return joined(family, {"depth": 2}, text_config, processor, seed, dtype), processor


def _text_config(vocab: dict[str, int], options: Qwen3_5Options) -> dict[str, Any]:
    fields = text_fields(vocab, {"layers": 4, **options})
    every = min(options.get("every", 2), fields["num_hidden_layers"])
    fields |= {"head_dim": 32, "full_attention_interval": every}
    # Of 4 rotary pairs, a quarter of the head: 2 for time, 1 each for height and width.
    fields["rope_parameters"] = {
        "rope_theta": 1e7,
        "rope_type": "default",
        "mrope_section": [2, 1, 1],
        "mrope_interleaved": True,
        "partial_rotary_factor": 0.25,
    }
    fields |= {
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    experts, width = options.get("experts", 0), fields["hidden_size"] // 2
    mixture = {
        "num_experts": experts,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": width,
        "shared_expert_intermediate_size": width,
    }
    return fields | mixture if experts else fields
