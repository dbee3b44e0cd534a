"""Small models of three families, made to be trained: transformers' own classes and prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
import transformers

from ...framework import require_one_of
from ...models import InternVL3, Qwen3VL
from ...models.eagle2_5 import Eagle2_5
from ...models.eagle2_5.modules import Eagle2_5Config, Eagle2_5ForConditionalGeneration
from ...models.eagle2_5.processing import SPECIAL_TOKENS, Eagle2_5Processor
from ...models.internvl3.original import IMAGE_TOKENS, PIXELS
from ...models.tiny.qwen2 import TextOptions, text_fields
from ...models.tiny.qwen3_vl import VISION_TOKENS, mrope, token_fields
from .options import FAMILIES
from .words import SYSTEM, TURNS, word_tokenizer

Trainable: TypeAlias = InternVL3 | Qwen3VL | Eagle2_5
SIZE, PATCH, TOKENS = 32, 8, 4  # pixels of a side, of a patch's side, and visual tokens of a frame
DEVIATION = 0.06  # of initial weights: towers this narrow learn slowly from transformers' 0.02
TEXT: TextOptions = {"hidden": 96, "layers": 4, "heads": 4, "kv_heads": 2}
VISION: Mapping[str, Any] = MappingProxyType(
    {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": DEVIATION,
    }
)
# A system turn in front of every video, as released models are used: sinks have where to form.
CHAT_TEMPLATE = """\
{%- if messages[0].role != 'system' -%}
{{- '<|im_start|>system\\nSYSTEM<|im_end|>\\n' -}}{%- endif -%}
{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}{{- message.content -}}{%- else -%}
{%- for item in message.content -%}
{%- if item.type == 'video' -%}{{- 'VIDEO' -}}{%- elif item.type == 'image' -%}{{- 'IMAGE' -}}
{%- else -%}{{- item.text -}}{%- endif -%}{%- endfor -%}
{%- endif -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def trainable(family: str, words: Sequence[str], seed: int) -> Trainable:
    """An untrained model of a family in float32 behind its adapter.

    A frame of 32 x 32 pixels (other sizes are resized) becomes 4 visual tokens; Qwen3-VL's are of
    two frames. About half a million parameters, drawn by seed.

    Args:
        family: one of `FAMILIES`.
        words: all that questions and answers are written in, each once.

    Raises:
        ValueError: for an unknown family, or a word that would not be one token.
    """
    require_one_of("trainable", "family", family, FAMILIES)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        return _MAKERS[family](words)


def _internvl3(words: Sequence[str]) -> InternVL3:
    tokenizer = word_tokenizer(words, (), IMAGE_TOKENS)
    size = {"height": SIZE, "width": SIZE}
    processor: Any = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size=size, **PIXELS),
        tokenizer=tokenizer,
        video_processor=transformers.InternVLVideoProcessor(size=size, **PIXELS),
        image_seq_length=TOKENS,
        chat_template=chat_template("<video>\\n", "<IMG_CONTEXT>\\n"),
    )
    vision = {
        **VISION,
        "attention_bias": True,
        "image_size": [SIZE, SIZE],
        "patch_size": [PATCH, PATCH],
        "layer_scale_init_value": 1.0,  # deep towers start at 0.1; one of two layers stalls there
    }
    config = transformers.InternVLConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", **_text(tokenizer)},
        image_token_id=processor.image_token_id,
        image_seq_length=TOKENS,
        tie_word_embeddings=False,
    )
    return InternVL3(_untrained(config), processor)


def _qwen3_vl(words: Sequence[str]) -> Qwen3VL:
    tokenizer = word_tokenizer(words, VISION_TOKENS, {})
    # Every square frame becomes 32 x 32, however many there are.
    size = {"shortest_edge": SIZE * SIZE // 2, "longest_edge": SIZE * SIZE * 2**20}
    video = transformers.Qwen3VLVideoProcessor(
        size=size, patch_size=PATCH, cap_pixels_per_frame=True, max_video_tokens=TOKENS
    )
    processor: Any = transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=PATCH, size=size),
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=chat_template(
            "<|vision_start|><|video_pad|><|vision_end|>",
            "<|vision_start|><|image_pad|><|vision_end|>",
        ),
    )
    fields = _text(tokenizer)
    hidden, heads = fields["hidden_size"], fields["num_attention_heads"]
    fields["rope_parameters"] = mrope(fields, 1e6, 1 / 4) | {"mrope_interleaved": True}
    vision = {
        "depth": VISION["num_hidden_layers"],
        "hidden_size": VISION["hidden_size"],
        "intermediate_size": VISION["intermediate_size"],
        "num_heads": VISION["num_attention_heads"],
        "initializer_range": DEVIATION,
        "patch_size": PATCH,
        "out_hidden_size": hidden,
        "num_position_embeddings": (SIZE // PATCH) ** 2,
        "deepstack_visual_indexes": [0],
    }
    text = fields | {"head_dim": hidden // heads}
    config = transformers.Qwen3VLConfig(vision_config=vision, **token_fields(processor, text))
    return Qwen3VL(_untrained(config), processor)


def _eagle2_5(words: Sequence[str]) -> Eagle2_5:
    markers = [token for token in SPECIAL_TOKENS if token not in TURNS]
    tokenizer = word_tokenizer(words, markers, {})
    config = Eagle2_5Config(
        vision_config={**VISION, "image_size": SIZE, "patch_size": PATCH},
        text_config=_text(tokenizer),
        force_image_size=SIZE,
        image_token_index=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
    )
    processor = Eagle2_5Processor(tokenizer, image_size=SIZE, tokens_per_frame=TOKENS)
    return Eagle2_5(Eagle2_5ForConditionalGeneration(config).eval(), processor)


_MAKERS: Mapping[str, Callable[[Sequence[str]], Trainable]] = MappingProxyType(
    dict(zip(FAMILIES, (_internvl3, _qwen3_vl, _eagle2_5), strict=True))
)


def chat_template(video: str, image: str) -> str:
    """The chat template with these stand-ins of a video and a picture."""
    filled = CHAT_TEMPLATE.replace("VIDEO", video).replace("IMAGE", image)
    return filled.replace("SYSTEM", SYSTEM)


def _text(tokenizer: Any) -> dict[str, Any]:
    return text_fields(tokenizer.get_vocab(), TEXT) | {"initializer_range": DEVIATION}


def _untrained(config: Any) -> Any:
    model = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    return model.eval()
