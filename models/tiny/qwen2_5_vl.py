"""A tiny untrained Qwen2.5-VL that needs no download: for tests, examples and the demo.

The native classes with Qwen2.5-VL's prompt, window attention in the tower and M-RoPE in three
sections; small frames and random weights. Never trained: answers mean nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import torch
import transformers

from .internvl3 import TextOptions, random_model, save_parts, special_tokenizer, text_fields
from .qwen3_vl import VISION_TOKENS

# Qwen2.5-VL's layout: a system turn by default; vision markers around a picture or a video.
CHAT_TEMPLATE = """\
{%- set pad = {'video': '<|video_pad|>', 'image': '<|image_pad|>'} -%}
{%- if messages[0].role != 'system' -%}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}{%- endif -%}
{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' -}}
{%- for item in message.content -%}
{%- if item.type in pad -%}{{- '<|vision_start|>' + pad[item.type] + '<|vision_end|>' -}}
{%- else -%}{{- item.text -}}{%- endif -%}{%- endfor -%}
{{- '<|im_end|>\\n' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


class Qwen2_5VLOptions(TextOptions, total=False):
    """Sizes of the tiny Qwen2.5-VL; one left out takes the value in brackets."""

    max_tokens: int  # [12] of one temporal patch, 28 x 28 pixels each


def tiny_qwen2_5_vl_processor(*, max_tokens: int = 12) -> transformers.Qwen2_5_VLProcessor:
    """The native processor; a pair of frames becomes at most `max_tokens` tokens."""
    size = {"shortest_edge": 784, "longest_edge": max_tokens * 784}
    return transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size),
        tokenizer=special_tokenizer(CHAT_TEMPLATE, *VISION_TOKENS),
        video_processor=transformers.Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    )


def tiny_qwen2_5_vl(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Unpack[Qwen2_5VLOptions]
) -> tuple[transformers.Qwen2_5_VLForConditionalGeneration, transformers.Qwen2_5_VLProcessor]:
    """An untrained Qwen2.5-VL in eval mode and its processor.

    Takes ``pixel_values_videos`` [patches, 1176] with their grids; gives logits [B, tokens, vocab].
    """
    processor: Any = tiny_qwen2_5_vl_processor(max_tokens=options.get("max_tokens", 12))
    vocab = processor.tokenizer.get_vocab()
    text_config = _text_config(vocab, options)
    config = transformers.Qwen2_5_VLConfig(
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": text_config["hidden_size"],
            "window_size": 56,  # two by two tokens
            "fullatt_block_indexes": [1],
        },
        text_config=text_config,
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        vision_start_token_id=vocab["<|vision_start|>"],
        vision_end_token_id=vocab["<|vision_end|>"],
        tie_word_embeddings=text_config["tie_word_embeddings"],
    )
    return random_model(transformers.AutoModelForImageTextToText, config, seed, dtype), processor


def save_tiny_qwen2_5_vl(folder: str | Path, **options: Any) -> Path:
    """Write an untrained checkpoint that ``from_pretrained`` loads like a downloaded one.

    ``options`` are those of :func:`tiny_qwen2_5_vl`.
    """
    return save_parts(folder, *tiny_qwen2_5_vl(**options))


def _text_config(vocab: dict[str, int], options: Qwen2_5VLOptions) -> dict[str, Any]:
    fields = text_fields(vocab, options)
    pairs = fields["hidden_size"] // fields["num_attention_heads"] // 2
    side = pairs * 3 // 8  # of 64 pairs: 16 for time, 24 each for height and width
    rope = {
        "rope_theta": 1e6,
        "rope_type": "default",
        "mrope_section": [pairs - 2 * side, side, side],
    }
    return fields | {"rope_parameters": rope, "bos_token_id": None}
