"""A tiny untrained GLM-4.1V, 4.5V or 4.6V that needs no download: for tests and examples.

The native classes with GLM's prompt, half of the heads rotated in neighbouring pairs and M-RoPE;
small frames and random weights. Never trained: answers mean nothing.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import transformers

from .qwen2 import TextOptions, random_model, special_tokenizer, text_fields

TOKENS = (
    *("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|image|>"),
    *("<|begin_of_video|>", "<|end_of_video|>", "<|video|>"),
)
PIXELS_PER_TOKEN = 2 * 28 * 28  # of a pair of frames

# GLM's layout: no default system turn; markers around a picture or a video; thinking begins.
CHAT_TEMPLATE = """\
[gMASK]<sop>
{%- for message in messages -%}{{- '<|' + message.role + '|>\\n' -}}
{%- if message.content is string -%}{{- message.content -}}{%- else -%}
{%- for item in message.content -%}
{%- if item.type == 'video' -%}{{- '<|begin_of_video|><|video|><|end_of_video|>' -}}
{%- elif item.type == 'image' -%}{{- '<|begin_of_image|><|image|><|end_of_image|>' -}}
{%- else -%}{{- item.text -}}{%- endif -%}{%- endfor -%}
{%- endif -%}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\\n<think>' -}}{%- endif -%}
"""


class GLM4VOptions(TextOptions, total=False):
    """Sizes of the tiny GLM-V; one left out takes the value in brackets."""

    max_tokens: int  # [24] a video's budget of pixels over all its frames, in tokens of a pair
    release: str  # ["4.1"] or "4.6"
    experts: int  # [0] of each layer but the first, two of which a token passes; 0: a dense decoder


def tiny_glm4v_processor(*, max_tokens: int = 24, release: str = "4.1") -> Any:
    """The native processor; a video gets at most `max_tokens` tokens over all its frames."""
    if release not in ("4.1", "4.6"):
        raise ValueError(f"release must be '4.1' or '4.6', got {release!r}")
    size: Any = {"shortest_edge": PIXELS_PER_TOKEN, "longest_edge": max_tokens * PIXELS_PER_TOKEN}
    name = "Glm4v" if release == "4.1" else "Glm46V"
    parts = (getattr(transformers, name + part) for part in ("Processor", "VideoProcessor"))
    processor, video_processor = parts
    return processor(
        image_processor=getattr(transformers, name + "ImageProcessor")(size=size),
        tokenizer=special_tokenizer(CHAT_TEMPLATE, *TOKENS),
        video_processor=video_processor(size=size),
        chat_template=CHAT_TEMPLATE,
    )


def tiny_glm4v(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Unpack[GLM4VOptions]
) -> tuple[Any, Any]:
    """An untrained GLM-V in eval mode and its processor; of release 4.1 with experts it is 4.5V.

    Takes ``pixel_values_videos`` [patches, 1176] with their grids; gives logits [B, tokens, vocab].
    """
    release = options.get("release", "4.1")
    processor = tiny_glm4v_processor(max_tokens=options.get("max_tokens", 24), release=release)
    vocab = processor.tokenizer.get_vocab()
    text = _text_config(vocab, options)
    config = _family(options)(
        vision_config={
            "model_type": "glm4v_moe_vision" if options.get("experts") else "glm4v_vision",
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "image_size": 56,
            "out_hidden_size": text["hidden_size"],
        },
        text_config=text,
        image_token_id=vocab["<|image|>"],
        video_token_id=vocab["<|video|>"],
        image_start_token_id=vocab["<|begin_of_image|>"],
        image_end_token_id=vocab["<|end_of_image|>"],
        video_start_token_id=vocab["<|begin_of_video|>"],
        video_end_token_id=vocab["<|end_of_video|>"],
        tie_word_embeddings=text["tie_word_embeddings"],
    )
    model = random_model(transformers.AutoModelForImageTextToText, config, seed, dtype)
    if options.get("experts"):
        model.set_experts_implementation("eager")  # the grouped product has no float64
    return model, processor


def _family(options: GLM4VOptions) -> Any:
    dense = "Glm4v" if options.get("release", "4.1") == "4.1" else "Glm46V"
    return getattr(transformers, ("Glm4vMoe" if options.get("experts") else dense) + "Config")


def _text_config(vocab: dict[str, int], options: GLM4VOptions) -> dict[str, Any]:
    fields = text_fields(vocab, options)
    pairs = fields["hidden_size"] // fields["num_attention_heads"] // 4  # of half of the head
    side = pairs * 3 // 8
    rope = {
        "rope_theta": 1e4,
        "rope_type": "default",
        "partial_rotary_factor": 0.5,
        "mrope_section": [pairs - 2 * side, side, side],
    }
    experts = options.get("experts", 0)
    if not experts:
        return fields | {"model_type": "glm4v_text", "rope_parameters": rope}
    mixture = {
        "n_routed_experts": experts,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": fields["hidden_size"] // 2,
    }
    return fields | mixture | {"model_type": "glm4v_moe_text", "rope_parameters": rope}
