"""A tiny untrained PerceptionLM that needs no download: for tests and examples.

The native classes with PerceptionLM's prompt and a Llama decoder; small frames and random weights.
The tower is CLIP's, with a class token as PerceptionLM's has, so that timm is not needed; or timm's
own. Never trained: answers mean nothing.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import transformers

from .qwen2 import TextOptions, random_model, special_tokenizer, text_fields

HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
PICTURES = {"image_token": "<|image|>", "video_token": "<|video|>"}
PATCH, POOLING = 7, 2

# PerceptionLM's layout, that of Llama 3: a system turn by default, pictures before text.
CHAT_TEMPLATE = """\
{%- set pad = {'video': '<|video|>', 'image': '<|image|>'} -%}
{{- '<|begin_of_text|>' -}}
{%- if messages[0].role != 'system' -%}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nYou are a helpful assistant.<|eot_id|>' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' -}}
{%- for item in message.content -%}{{- pad[item.type] or item.text -}}{%- endfor -%}
{{- '<|eot_id|>' -}}{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
"""


class PerceptionLMOptions(TextOptions, total=False):
    """Sizes of the tiny PerceptionLM; one left out takes the value in brackets."""

    image_size: int  # [28] pixels of a side; a frame becomes (image_size / 14)² tokens
    tower: str  # ["clip"] or "timm"


def tiny_perception_lm_processor(*, image_size: int = 28) -> transformers.PerceptionLMProcessor:
    """The native processor; a frame becomes [3, image_size, image_size] pixels.

    Raises:
        ValueError: for a side that is not whole tokens.
    """
    side = PATCH * POOLING
    if image_size < side or image_size % side:
        raise ValueError(f"image_size={image_size} is not a multiple of {side}; take 14, 28 or 42")
    video: Any = {"size": {"height": image_size, "width": image_size}}
    image: Any = {"tile_size": image_size}
    return transformers.PerceptionLMProcessor(
        image_processor=transformers.PerceptionLMImageProcessor(**image),
        tokenizer=special_tokenizer(CHAT_TEMPLATE, *HEADERS, **PICTURES),
        video_processor=transformers.PerceptionLMVideoProcessor(**video),
        patch_size=PATCH,
        pooling_ratio=POOLING,
        chat_template=CHAT_TEMPLATE,
    )


def tiny_perception_lm(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Unpack[PerceptionLMOptions]
) -> tuple[transformers.PerceptionLMForConditionalGeneration, transformers.PerceptionLMProcessor]:
    """An untrained PerceptionLM in eval mode and its processor.

    Takes ``pixel_values_videos`` [videos, frames, 3, image_size, image_size]; gives logits
    [B, tokens, vocab].

    Raises:
        ValueError: for another tower.
    """
    image_size = options.get("image_size", 28)
    processor: Any = tiny_perception_lm_processor(image_size=image_size)
    text = text_fields(processor.tokenizer.get_vocab(), options)
    config = transformers.PerceptionLMConfig(
        vision_config=_tower(image_size, options.get("tower", "clip")),
        text_config={"model_type": "llama", "bos_token_id": None, **text},
        projector_pooling_ratio=POOLING,
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        tie_word_embeddings=text["tie_word_embeddings"],
    )
    return random_model(transformers.AutoModelForImageTextToText, config, seed, dtype), processor


def _tower(image_size: int, kind: str) -> Any:
    """As an object: older versions of transformers read fields as those of timm's towers."""
    if kind == "timm":
        return _perception_encoder(image_size)
    if kind != "clip":
        raise ValueError(f"tower must be 'clip' or 'timm', got {kind!r}")
    fields: Any = {"model_args": {"embed_dim": 32}}  # where the projector looks for the width
    return transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=PATCH,
        image_size=image_size,
        **fields,
    )


def _perception_encoder(image_size: int) -> Any:
    side = image_size // PATCH
    sizes = {
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "mlp_ratio": 2.0,
        "img_size": [image_size, image_size],
        "patch_size": PATCH,
        "ref_feat_shape": [side, side],
        "global_pool": "",
    }
    architecture = "vit_pe_lang_large_patch14_448"
    return transformers.TimmWrapperConfig(
        architecture=architecture, do_pooling=False, model_args=sizes
    )
