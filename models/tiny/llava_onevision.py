"""A tiny untrained LLaVA-OneVision that needs no download: for tests and examples.

The native classes with LLaVA-OneVision's prompt, a SigLIP tower and a Qwen2 decoder; small frames
and random weights. Never trained: answers mean nothing.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import transformers

from .qwen2 import TextOptions, random_model, special_tokenizer, text_fields

VISION_TOKENS = ("<image>", "<video>")
PATCH = 14

# LLaVA-OneVision's layout: pictures before text, a blank behind the role, no default system turn.
CHAT_TEMPLATE = """\
{%- for message in messages -%}{{- '<|im_start|>' + message.role + ' ' -}}
{%- for item in message.content if item.type == 'image' -%}{{- '<image>' -}}{%- endfor -%}
{%- for item in message.content if item.type == 'video' -%}{{- '<video>' -}}{%- endfor -%}
{%- for item in message.content if item.type == 'text' -%}{{- '\\n' + item.text -}}{%- endfor -%}
{{- '<|im_end|>' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


class LlavaOnevisionOptions(TextOptions, total=False):
    """Sizes of the tiny LLaVA-OneVision; one left out takes the value in brackets."""

    image_size: int  # [42] pixels of a side; a frame becomes ceil(image_size / 28)² tokens


def tiny_llava_onevision_processor(*, image_size: int = 42) -> transformers.LlavaOnevisionProcessor:
    """The native processor; a frame becomes [3, image_size, image_size] pixels."""
    if image_size < PATCH or image_size % PATCH:
        raise ValueError(f"image_size={image_size} is not a multiple of {PATCH}; take 28, 42 or 56")
    pixels: Any = {
        "size": {"height": image_size, "width": image_size},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    return transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(**pixels),
        tokenizer=special_tokenizer(CHAT_TEMPLATE, *VISION_TOKENS),
        video_processor=transformers.LlavaOnevisionVideoProcessor(**pixels),
        num_image_tokens=(image_size // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    )


def tiny_llava_onevision(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Unpack[LlavaOnevisionOptions]
) -> tuple[
    transformers.LlavaOnevisionForConditionalGeneration, transformers.LlavaOnevisionProcessor
]:
    """An untrained LLaVA-OneVision in eval mode and its processor.

    Takes ``pixel_values_videos`` [videos, frames, 3, image_size, image_size]; gives logits
    [B, tokens, vocab].
    """
    image_size = options.get("image_size", 42)
    processor: Any = tiny_llava_onevision_processor(image_size=image_size)
    text_config = text_fields(processor.tokenizer.get_vocab(), options)
    config = transformers.LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": PATCH,
            "image_size": image_size,
            "vision_use_head": False,
        },
        text_config={"model_type": "qwen2", **text_config},
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=[[image_size, image_size]],
        tie_word_embeddings=text_config["tie_word_embeddings"],
    )
    return random_model(transformers.AutoModelForImageTextToText, config, seed, dtype), processor
