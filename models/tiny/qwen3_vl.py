"""A tiny untrained Qwen3-VL that needs no download: for tests and examples.

The native classes with Qwen3-VL's prompt, DeepStack at two levels and interleaved M-RoPE; small
frames and random weights. Never trained: answers mean nothing.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import transformers

from .qwen2 import TextOptions, random_model, special_tokenizer, text_fields

VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")

# Qwen3-VL's layout: no default system turn; vision markers around a picture or a video.
CHAT_TEMPLATE = """\
{%- set pad = {'video': '<|video_pad|>', 'image': '<|image_pad|>'} -%}
{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}{{- message.content -}}{%- else -%}
{%- for item in message.content -%}
{%- if item.type in pad -%}{{- '<|vision_start|>' + pad[item.type] + '<|vision_end|>' -}}
{%- else -%}{{- item.text -}}{%- endif -%}{%- endfor -%}
{%- endif -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def tiny_qwen3_vl_processor(
    *, max_tokens: int = 48, max_frames: int = 24
) -> transformers.Qwen3VLProcessor:
    """The native processor; a video gets at most `max_tokens` * 1024 pixels over all its frames.

    A pair of frames [height, width] becomes about height * width / 1024 tokens.
    """
    size = {"shortest_edge": 4 * 1024, "longest_edge": max_tokens * 1024}
    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=16, size=size),
        tokenizer=special_tokenizer(CHAT_TEMPLATE, *VISION_TOKENS),
        video_processor=transformers.Qwen3VLVideoProcessor(
            size=size, max_frames=max_frames, cap_pixels_per_frame=False
        ),
        chat_template=CHAT_TEMPLATE,
    )


class Qwen3VLOptions(TextOptions, total=False):
    """Sizes of the tiny Qwen3-VL; one left out takes the value in brackets."""

    max_tokens: int  # [48] a video's budget of pixels over all its frames, in tokens of 1024
    max_frames: int  # [24] the processor samples from a video
    experts: int  # [0] of each layer, two of which a token passes; 0: a dense decoder


def tiny_qwen3_vl(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Unpack[Qwen3VLOptions]
) -> tuple[Any, transformers.Qwen3VLProcessor]:
    """An untrained Qwen3-VL in eval mode and its processor.

    Takes ``pixel_values_videos`` [patches, 1536] with their grids; gives logits [B, tokens, vocab].
    """
    sparse = options.get("experts", 0) > 0
    family = transformers.Qwen3VLMoeConfig if sparse else transformers.Qwen3VLConfig
    vision = {"depth": 4, "deepstack_visual_indexes": [0, 2]}
    processor = processor_of(options)
    text_config = _text_config(processor.tokenizer.get_vocab(), options)
    return joined(family, vision, text_config, processor, seed, dtype), processor


def processor_of(options: Qwen3VLOptions) -> Any:
    """The processor of a tiny model of these sizes."""
    return tiny_qwen3_vl_processor(
        max_tokens=options.get("max_tokens", 48), max_frames=options.get("max_frames", 24)
    )


def joined(
    family: Any,
    vision: dict[str, Any],
    text_config: dict[str, Any],
    processor: Any,
    seed: int,
    dtype: torch.dtype,
) -> Any:
    """An untrained model with a tower of 32 channels and a text decoder; `vision` has what the
    towers of families differ in."""
    config = family(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": text_config["hidden_size"],
            "num_position_embeddings": 16,
            **vision,
        },
        **token_fields(processor, text_config),
    )
    model = random_model(transformers.AutoModelForImageTextToText, config, seed, dtype)
    if "num_experts" in text_config:
        model.set_experts_implementation("eager")  # the grouped product has no float64
    return model


def token_fields(processor: Any, text_config: dict[str, Any]) -> dict[str, Any]:
    """Fields of a configuration of Qwen's that join a text decoder to its vision tokens."""
    vocab = processor.tokenizer.get_vocab()
    return {
        "text_config": text_config,
        "image_token_id": vocab["<|image_pad|>"],
        "video_token_id": vocab["<|video_pad|>"],
        "vision_start_token_id": vocab["<|vision_start|>"],
        "vision_end_token_id": vocab["<|vision_end|>"],
        "tie_word_embeddings": text_config["tie_word_embeddings"],
    }


def mrope(text_config: dict[str, Any], theta: float, share: float) -> dict[str, Any]:
    """RoPE of three axes: height and width get `share` of the rotary pairs each, time the rest."""
    pairs = text_config["hidden_size"] // text_config["num_attention_heads"] // 2
    side = int(pairs * share)
    sections = [pairs - 2 * side, side, side]
    return {"rope_theta": theta, "rope_type": "default", "mrope_section": sections}


def _text_config(vocab: dict[str, int], options: Qwen3VLOptions) -> dict[str, Any]:
    fields = text_fields(vocab, {"layers": 3, **options})
    hidden, heads = fields["hidden_size"], fields["num_attention_heads"]
    # Of 64 pairs: 24 for time, 20 each for height and width.
    rope = mrope(fields, 5e6, 5 / 16) | {"mrope_interleaved": True}
    experts = options.get("experts", 0)
    mixture = {
        "num_experts": experts,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": hidden // 2,
    }
    fields |= {"rope_parameters": rope, "head_dim": hidden // heads}
    return fields | mixture if experts else fields
