"""A tiny InternVL3 checkpoint in the original layout, written out as the released files have it."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from crossframe.models.checkpoints.shards import INDEX
from crossframe.models.tiny import tiny_internvl

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

# config.json of InternVL3-1B without the sizes.
FIELDS = {
    "architectures": ["InternVLChatModel"],
    "auto_map": {"AutoModel": "modeling_internvl_chat.InternVLChatModel"},
    "downsample_ratio": 0.5,
    "model_type": "internvl_chat",
    "ps_version": "v2",
    "select_layer": -1,
    "template": "internvl2_5",
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}
LLM_FIELDS = {
    "_name_or_path": "./pretrained/Qwen2.5-32B-Instruct",
    "architectures": ["Qwen2ForCausalLM"],
    "attn_implementation": "flash_attention_2",
    "bos_token_id": 151643,
    "eos_token_id": 151643,
    "hidden_act": "silu",
    "max_window_layers": 70,
    "model_type": "qwen2",
    "moe_config": None,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"},
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "torch_dtype": "bfloat16",
    "use_bfloat16": True,
    "use_cache": False,
    "use_sliding_window": False,
}
VISION_FIELDS = {
    "architectures": ["InternVisionModel"],
    "auto_map": {"AutoModel": "modeling_intern_vit.InternVisionModel"},
    "drop_path_rate": 0.1,
    "hidden_act": "gelu",
    "initializer_factor": 0.1,
    "layer_norm_eps": 1e-06,
    "model_type": "intern_vit_6b",
    "norm_type": "layer_norm",
    "num_channels": 3,
    "patch_size": 14,
    "qk_normalization": False,
    "qkv_bias": True,
    "use_flash_attn": True,
}
SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers")
LLM_SIZES = (*SIZES, "max_position_embeddings", "num_key_value_heads", "vocab_size")


def original_fields(config: Any) -> dict[str, Any]:
    """config.json with the fields of InternVL3-1B's and the sizes of a native configuration."""
    text, vision = config.text_config, config.vision_config
    side = vision.image_size[0]
    sizes = {name: getattr(vision, name) for name in SIZES} | {"image_size": side}
    return FIELDS | {
        "force_image_size": side,
        "llm_config": LLM_FIELDS | {name: getattr(text, name) for name in LLM_SIZES},
        "vision_config": VISION_FIELDS | sizes,
    }


def original_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The native weights under the original names, written out as the files have them."""
    stored = {
        "vision_model.embeddings.class_embedding": "vision_tower.embeddings.cls_token",
        "vision_model.embeddings.position_embedding": "vision_tower.embeddings.position_embeddings",
        "language_model.lm_head.weight": "lm_head.weight",
    }
    pairs = {
        "vision_model.embeddings.patch_embedding": "vision_tower.embeddings"
        ".patch_embeddings.projection",
        "mlp1.0": "multi_modal_projector.layer_norm",
        "mlp1.1": "multi_modal_projector.linear_1",
        "mlp1.3": "multi_modal_projector.linear_2",
    }
    for layer in range(2):
        ours, native = f"vision_model.encoder.layers.{layer}", f"vision_tower.encoder.layer.{layer}"
        stored |= {f"{ours}.ls{n}": f"{native}.lambda_{n}" for n in (1, 2)}
        pairs |= {f"{ours}.mlp.fc{n}": f"{native}.mlp.fc{n}" for n in (1, 2)}
        pairs[f"{ours}.attn.proj"] = f"{native}.attention.projection_layer"
        pairs[f"{ours}.norm1"] = f"{native}.layernorm_before"
        pairs[f"{ours}.norm2"] = f"{native}.layernorm_after"
    for kind in ("weight", "bias"):
        stored |= {f"{ours}.{kind}": f"{native}.{kind}" for ours, native in pairs.items()}
    state = {name.removeprefix("model."): value for name, value in state.items()}
    weights = {ours: state[native] for ours, native in stored.items()}
    for layer in range(2):
        for kind in ("weight", "bias"):
            native = f"vision_tower.encoder.layer.{layer}.attention"
            parts = [state[f"{native}.{part}_proj.{kind}"] for part in "qkv"]
            weights[f"vision_model.encoder.layers.{layer}.attn.qkv.{kind}"] = torch.cat(parts)
    text = {name: value for name, value in state.items() if name.startswith("language_model.")}
    return weights | {
        name.replace("language_model.", "language_model.model.", 1): value
        for name, value in text.items()
    }


def save_tokenizer(folder: Path, tokenizer: Any) -> None:
    """As transformers 4 wrote slow tokenizers: plain pieces, and special tokens with numbers."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    special = {token: tokenizer.get_vocab()[token] for token in tokenizer.all_special_tokens}
    del special["<video>"]  # the original tokenizers have none
    pieces = {piece: number for piece, number in model["vocab"].items() if piece not in special}
    pieces.pop("<video>", None)
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "vocab.json").write_text(json.dumps(pieces), "utf-8")
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", "utf-8")
    (folder / "added_tokens.json").write_text(json.dumps(special), "utf-8")
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    fields = {
        "added_tokens_decoder": {
            str(number): {"content": token, "special": True, **flags}
            for token, number in special.items()
        },
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "chat_template": "{{ 'not the one of the -hf checkpoints' }}",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": 12288,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(fields), "utf-8")


def save_original(folder: Path) -> Path:
    model, processor = tiny_internvl()
    weights = {k: v.contiguous() for k, v in original_weights(model.state_dict()).items()}
    names, listed = sorted(weights), {}
    for file, part in zip(SHARDS, (names[::2], names[1::2]), strict=True):
        save_file({name: weights[name] for name in part}, folder / file, {"format": "pt"})
        listed |= dict.fromkeys(part, file)
    (folder / INDEX).write_text(json.dumps({"weight_map": listed}), "utf-8")
    (folder / "config.json").write_text(json.dumps(original_fields(model.config)), "utf-8")
    save_tokenizer(folder, processor.tokenizer)
    return folder
