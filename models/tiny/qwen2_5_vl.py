"""A tiny untrained Qwen2.5-VL that needs no download: for tests and examples.

The native classes with Qwen2.5-VL's prompt, window attention in the tower and M-RoPE in three
sections; small frames and random weights. Never trained: answers mean nothing.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import transformers

from .qwen2 import TextOptions, random_model, special_tokenizer, text_fields
from .qwen3_vl import VISION_TOKENS, mrope, token_fields

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
    text = text_fields(processor.tokenizer.get_vocab(), options)
    # Of 64 pairs: 16 for time, 24 each for height and width.
    text |= {"rope_parameters": mrope(text, 1e6, 3 / 8), "bos_token_id": None}
    config = transformers.Qwen2_5_VLConfig(
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": text["hidden_size"],
            "window_size": 56,  # two by two tokens
            "fullatt_block_indexes": [1],
        },
        **token_fields(processor, text),
    )
    return random_model(transformers.AutoModelForImageTextToText, config, seed, dtype), processor
