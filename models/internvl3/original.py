"""InternVL3's original checkpoints (`OpenGVLab/InternVL3-8B`, without `-hf`) on the native model.

Same weights under other names: queries, keys and values of the vision tower are one matrix, the
decoder lies inside a whole `Qwen2ForCausalLM`. The processor is built as that of the `-hf`
checkpoints, whose prompt has no system turn. The checkpoint's own code is never run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    Qwen2Tokenizer,
)
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from ..checkpoints.faults import explained
from ..checkpoints.shards import Layout, fill_weights, local_folder, read_json
from .adapter import InternVL3

FAMILY = "internvl_chat"

# ImageNet's, as the released checkpoints have them; the video class alone would take CLIP's.
PIXELS: dict[str, Any] = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
IMAGE_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
# InternVL3's layout: no default system turn; a picture or video and a newline, then the text.
CHAT_TEMPLATE = """\
{%- set marker = {'video': '<video>\\n', 'image': '<IMG_CONTEXT>\\n', 'text': ''} -%}
{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}{{- message.content -}}{%- else -%}
{%- for item in message.content -%}{{- marker[item.type] + (item.text or '') -}}{%- endfor -%}
{%- endif -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
END_OF_TURN, END_OF_TEXT = "<|im_end|>", "<|endoftext|>"

PREFIXES = {
    "language_model.model.": "model.language_model.",
    "language_model.lm_head.": "lm_head.",
    "mlp1.0.": "model.multi_modal_projector.layer_norm.",
    "mlp1.1.": "model.multi_modal_projector.linear_1.",
    "mlp1.3.": "model.multi_modal_projector.linear_2.",
    "vision_model.": "model.vision_tower.",
}
VISION_PARTS = {
    "embeddings.class_embedding": "embeddings.cls_token",
    "embeddings.position_embedding": "embeddings.position_embeddings",
    "embeddings.patch_embedding.": "embeddings.patch_embeddings.projection.",
    "encoder.layers.": "encoder.layer.",
    ".attn.proj.": ".attention.projection_layer.",
    ".attn.": ".attention.",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
    ".ls1": ".lambda_1",
    ".ls2": ".lambda_2",
}
# Of config.json's vision part; other fields steer training.
VISION_FIELDS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("hidden_act", "norm_type", "layer_norm_eps", "image_size", "patch_size", "num_channels"),
)
VISION_SWITCHES = {"qkv_bias": "attention_bias", "qk_normalization": "use_qk_norm"}
LEFT_OUT = ("_attn_implementation_autoset", "attn_implementation", "auto_map", "moe_config")


def native_names(key: str) -> list[str]:
    """The parameters of `InternVLForConditionalGeneration` that a stored tensor holds."""
    for prefix, native in PREFIXES.items():
        if key.startswith(prefix):
            name = native + key.removeprefix(prefix)
            break
    else:
        return [""]  # unknown: no parameter has this name
    if key.startswith("vision_model."):
        for part, native in VISION_PARTS.items():
            name = name.replace(part, native)
    if ".attention.qkv." in name:
        return [name.replace(".qkv.", f".{part}_proj.") for part in "qkv"]
    return [name]


def load_original_internvl3(
    name: str | Path, device: torch.device, dtype: torch.dtype | None, **options: Any
) -> InternVL3:
    """The adapter of an original checkpoint.

    Args:
        name: hub name or local folder with config.json, safetensors and tokenizer.
        dtype: of the weights; None is what config.json says, or else as they are stored.
        options: of `InternVL3`.

    Raises:
        ValueError: if anything is missing or does not belong together, before weights are read.
    """
    folder = local_folder(name)
    with explained(folder / "config.json"):
        fields = _fields(folder)
    tokenizer = _tokenizer(folder, fields["llm_config"]["vocab_size"])
    with explained(folder / "config.json"):
        config: Any = native_config(fields, tokenizer)
    with explained(folder / "config.json"), torch.device("meta"):
        model: Any = InternVLForConditionalGeneration(config)
    layout = Layout("InternVL3", native_names)
    fill_weights(model, folder, layout, device, dtype or config.dtype)
    model.tie_weights()
    # What no checkpoint stores: rotary frequencies, in float32 always.
    model.model.language_model.rotary_emb = Qwen2RotaryEmbedding(config.text_config).to(device)
    return InternVL3(model.eval(), _processor(config, tokenizer), **options)


def native_config(fields: dict[str, Any], tokenizer: Any) -> InternVLConfig:
    """The native configuration of an original config.json's fields."""
    text, vision = fields["llm_config"], fields["vision_config"]
    side = vision["image_size"] // vision["patch_size"] * fields["downsample_ratio"]
    switches = {new: vision[old] for old, new in VISION_SWITCHES.items() if old in vision}
    tied = bool(text.get("tie_word_embeddings", fields.get("tie_word_embeddings", False)))
    own = {
        "use_cache": True,  # training switches it off; an answer wants it
        "tie_word_embeddings": tied,
        "eos_token_id": tokenizer.convert_tokens_to_ids(END_OF_TURN),
        "pad_token_id": tokenizer.convert_tokens_to_ids(END_OF_TEXT),
    }
    return InternVLConfig(
        text_config={key: value for key, value in text.items() if key not in LEFT_OUT} | own,
        vision_config={key: vision[key] for key in VISION_FIELDS if key in vision} | switches,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKENS["context_image_token"]),
        image_seq_length=round(side) ** 2,
        downsample_ratio=fields["downsample_ratio"],
        tie_word_embeddings=tied,
        dtype=fields.get("torch_dtype", fields.get("dtype")),
    )


def _fields(folder: Path) -> dict[str, Any]:
    """config.json, once it is found to describe a model that the native class builds."""
    fields = read_json(folder / "config.json")
    if fields.get("model_type") != FAMILY:
        raise ValueError(
            f"{folder} is of family {fields.get('model_type')!r}, not {FAMILY!r}; use load_model"
        )
    for part in ("llm_config", "vision_config", "downsample_ratio"):
        if part not in fields:
            raise ValueError(f"{folder}/config.json has no {part}; download the checkpoint anew")
    vision, decoder = fields["vision_config"], fields["llm_config"].get("model_type")
    if str(decoder).startswith("qwen3"):
        raise ValueError(
            f"{folder} is an InternVL3.5 in its original layout, of which only InternVL3 is read: "
            "take the checkpoint of the same name with -HF"
        )
    expected = [
        ("llm_config.model_type", decoder, "qwen2"),
        ("select_layer", fields.get("select_layer", -1), -1),
        ("ps_version", fields.get("ps_version", "v2"), "v2"),
        ("force_image_size", fields.get("force_image_size"), vision.get("image_size")),
    ]
    for name, value, wanted in expected:
        if value is not None and value != wanted:
            raise ValueError(
                f"{folder}/config.json has {name}={value!r}, InternVL3's 1B, 2B and 8B have "
                f"{wanted!r}; nothing else is supported, download the checkpoint anew"
            )
    return fields


def _tokenizer(folder: Path, vocab: int) -> Any:
    """With the roles of the image tokens, which the files do not tell."""
    with explained(f"the tokenizer of Qwen2 in {folder}"):
        plain: Any = Qwen2Tokenizer.from_pretrained(folder)
    ids = plain.get_vocab()
    for token in (*IMAGE_TOKENS.values(), "<|im_start|>", END_OF_TURN, END_OF_TEXT):
        # The files have no video token; it never reaches the model.
        if token != IMAGE_TOKENS["video_token"] and ids.get(token, vocab) >= vocab:
            raise ValueError(
                f"the tokenizer of {folder} has no special token {token}: give the folder all "
                "files of the checkpoint"
            )
    return Qwen2Tokenizer.from_pretrained(folder, model_specific_special_tokens=IMAGE_TOKENS)


def _processor(config: Any, tokenizer: Any) -> Any:
    height, width = config.vision_config.image_size
    size: Any = {"height": height, "width": width}
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, **PIXELS),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size, **PIXELS),
        image_seq_length=config.image_seq_length,
        chat_template=CHAT_TEMPLATE,
    )
