"""InternVL3's original checkpoints: written in their layout by the test, loaded, and refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossframe.framework import FullMemory, VideoSession
from crossframe.framework.cost import PAPER_MODELS
from crossframe.models import load_model
from crossframe.models.checkpoint import INDEX
from crossframe.models.hf import spec_of
from crossframe.models.internvl3 import InternVL3
from crossframe.models.internvl3_original import (
    load_original_internvl3,
    native_config,
    native_names,
)
from crossframe.models.paper_models import paper_config
from crossframe.models.tiny import tiny_internvl

CPU = torch.device("cpu")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
LAYERS = "vision_model.encoder.layers.0."
QKV, PROJ, HEAD = f"{LAYERS}attn.qkv.weight", "mlp1.1.weight", "language_model.lm_head.weight"


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


def original_fields(config: Any) -> dict[str, Any]:
    """config.json with the fields of InternVL3-1B's."""
    text, vision = config.text_config, config.vision_config
    return {
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoModel": "modeling_internvl_chat.InternVLChatModel"},
        "downsample_ratio": 0.5,
        "force_image_size": vision.image_size[0],
        "llm_config": {
            "_name_or_path": "./pretrained/Qwen2.5-32B-Instruct",
            "architectures": ["Qwen2ForCausalLM"],
            "attn_implementation": "flash_attention_2",
            "bos_token_id": 151643,
            "eos_token_id": 151643,
            "hidden_act": "silu",
            "hidden_size": text.hidden_size,
            "intermediate_size": text.intermediate_size,
            "max_position_embeddings": text.max_position_embeddings,
            "max_window_layers": 70,
            "model_type": "qwen2",
            "moe_config": None,
            "num_attention_heads": text.num_attention_heads,
            "num_hidden_layers": text.num_hidden_layers,
            "num_key_value_heads": text.num_key_value_heads,
            "rms_norm_eps": 1e-06,
            "rope_scaling": {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"},
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "torch_dtype": "bfloat16",
            "use_bfloat16": True,
            "use_cache": False,
            "use_sliding_window": False,
            "vocab_size": text.vocab_size,
        },
        "model_type": "internvl_chat",
        "ps_version": "v2",
        "select_layer": -1,
        "template": "internvl2_5",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "vision_config": {
            "architectures": ["InternVisionModel"],
            "auto_map": {"AutoModel": "modeling_intern_vit.InternVisionModel"},
            "drop_path_rate": 0.1,
            "hidden_act": "gelu",
            "hidden_size": vision.hidden_size,
            "image_size": vision.image_size[0],
            "initializer_factor": 0.1,
            "intermediate_size": vision.intermediate_size,
            "layer_norm_eps": 1e-06,
            "model_type": "intern_vit_6b",
            "norm_type": "layer_norm",
            "num_attention_heads": vision.num_attention_heads,
            "num_channels": 3,
            "num_hidden_layers": vision.num_hidden_layers,
            "patch_size": 14,
            "qk_normalization": False,
            "qkv_bias": True,
            "use_flash_attn": True,
        },
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


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_original(tmp_path_factory.mktemp("original"))


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(original, tmp_path / "copied"))


def edit_weight(folder: Path, name: str, value: Tensor | None) -> None:
    """Replace, add or take out a weight, in its file and in the index."""
    index = json.loads((folder / INDEX).read_text("utf-8"))
    file = folder / index["weight_map"].pop(name, SHARDS[0])
    weights = load_file(file)
    weights.pop(name, None)
    if value is not None:
        weights[name], index["weight_map"][name] = value, file.name
    save_file(weights, file, {"format": "pt"})
    (folder / INDEX).write_text(json.dumps(index), "utf-8")


def edit_config(folder: Path, part: str | None, **changes: Any) -> None:
    fields = json.loads((folder / "config.json").read_text("utf-8"))
    (fields[part] if part else fields).update(changes)
    (folder / "config.json").write_text(json.dumps(fields), "utf-8")


def video(frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randint(0, 256, (frames, 40, 60, 3), generator=generator).to(torch.uint8)


# What loads


@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16], ids=str)
def test_every_weight_and_buffer_is_the_native_models(original, dtype):
    model = load_original_internvl3(original, CPU, dtype).hf_model
    expected, _ = tiny_internvl(dtype=dtype or torch.float32)
    weights = model.state_dict()
    assert weights.keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        rounded = value if dtype is None else tiny_internvl()[0].state_dict()[name].to(dtype)
        assert torch.equal(weights[name], rounded), name
    buffers = dict(expected.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    assert not model.training and {p.dtype for p in model.parameters()} == {expected.dtype}


def test_a_stream_gives_the_native_models_logits_bit_for_bit(original):
    loaded, native = load_model(original, device="cpu"), InternVL3(*tiny_internvl())
    assert isinstance(loaded, InternVL3)
    logits, answers = [], []
    for model in (loaded, native):
        session = VideoSession(model, FullMemory())
        session.push(video(3))
        answers.append(session.ask("What happens?", max_new_tokens=5).token_ids)
        logits.append(session.question_logits(model.question_ids("What happens?")[0]))
    assert torch.equal(*logits) and torch.equal(*answers)


def test_prompt_and_pixels_are_those_of_the_hf_checkpoints(original):
    loaded, native = load_model(original, device="cpu"), InternVL3(*tiny_internvl())
    assert isinstance(loaded, InternVL3)
    text = "<video>\nWhat's up?\n\nSelect: (A) no <|im_end|>"
    ours, stock = loaded.processor, native.processor
    message = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Why?"}]}]
    assert ours.apply_chat_template(message) == stock.apply_chat_template(message)
    inputs = [p(text=text, videos=[video(2)], return_tensors="pt") for p in (ours, stock)]
    assert inputs[0].keys() == inputs[1].keys()
    assert all(torch.equal(inputs[0][name], inputs[1][name]) for name in inputs[0])


def test_training_leftovers_are_not_taken_over(original):
    config: Any = load_original_internvl3(original, CPU, None).hf_model.config
    expected: Any = tiny_internvl()[0].config
    assert config.text_config.use_cache
    assert config.text_config.eos_token_id == expected.text_config.eos_token_id
    assert config.text_config.rope_parameters["rope_type"] == "dynamic"
    assert config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["InternVL3-1B", "InternVL3-2B", "InternVL3-8B"])
def test_the_papers_models_come_out_of_their_original_fields(name):
    expected: Any = paper_config(name)
    found: Any = native_config(original_fields(expected), tiny_internvl()[1].tokenizer)
    assert spec_of(found.text_config) == PAPER_MODELS[name][0]
    assert found.text_config.rope_parameters.items() >= expected.text_config.rope_parameters.items()
    assert found.vision_config.to_diff_dict() == expected.vision_config.to_diff_dict()
    assert found.image_seq_length == 256 and not found.tie_word_embeddings


def test_names_of_the_large_tower_follow_the_same_rule():
    layer = "model.vision_tower.encoder.layer.44."
    stored = "vision_model.encoder.layers.44."
    assert native_names(stored + "attn.q_norm.weight") == [layer + "attention.q_norm.weight"]
    assert native_names(stored + "norm1.weight") == [layer + "layernorm_before.weight"]


# What does not


@pytest.mark.parametrize("name", ["mlp1.4.weight", "model.norm.weight", f"{LAYERS}ls3", "new"])
def test_an_unknown_weight_is_refused(copied, name):
    edit_weight(copied, name, torch.zeros(1))
    with pytest.raises(ValueError, match=f"{SHARDS[0]} holds {name}, which InternVL3 does not"):
        load_model(copied, device="cpu")


@pytest.mark.parametrize("name", [QKV, PROJ, HEAD])
def test_a_missing_weight_is_named(copied, name):
    edit_weight(copied, name, None)
    count = len(native_names(name))
    with pytest.raises(ValueError, match=rf"holds {min(native_names(name))} \({count} weights are"):
        load_model(copied, device="cpu")


@pytest.mark.parametrize("rows", [95, 32, 97])
def test_a_misshapen_weight_is_named(copied, rows):
    edit_weight(copied, QKV, torch.zeros(rows, 32))
    with pytest.raises(ValueError, match=rf"{QKV} as \[{rows}, 32\], by config.json it is \[96"):
        load_model(copied, device="cpu")


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("llm_config", {"model_type": "internlm3"}, "llm_config.model_type='internlm3', Intern"),
        (None, {"select_layer": -4}, "select_layer=-4"),
        (None, {"ps_version": "v1"}, "ps_version='v1'"),
        (None, {"force_image_size": 448}, "force_image_size=448, .* have 56"),
        (None, {"model_type": "internvl"}, "of family 'internvl', not 'internvl_chat'"),
    ],
)
def test_a_config_the_native_model_does_not_build_is_refused(copied, part, change, words):
    edit_config(copied, part, **change)
    with pytest.raises(ValueError, match=words):
        load_original_internvl3(copied, CPU, None)


@pytest.mark.parametrize("part", ["llm_config", "vision_config", "downsample_ratio"])
def test_a_config_without_a_part_is_refused(copied, part):
    fields = json.loads((copied / "config.json").read_text("utf-8"))
    del fields[part]
    (copied / "config.json").write_text(json.dumps(fields), "utf-8")
    with pytest.raises(ValueError, match=f"config.json has no {part}; download"):
        load_original_internvl3(copied, CPU, None)


@pytest.mark.parametrize("token", ["<img>", "<IMG_CONTEXT>", "<|im_start|>"])
def test_a_tokenizer_without_the_special_tokens_is_refused(copied, token):
    file = copied / "tokenizer_config.json"
    fields = json.loads(file.read_text("utf-8"))
    known = fields["added_tokens_decoder"].items()
    fields["added_tokens_decoder"] = {k: v for k, v in known if v["content"] != token}
    fields["additional_special_tokens"] = []
    file.write_text(json.dumps(fields), "utf-8")
    (copied / "added_tokens.json").unlink()
    with pytest.raises(ValueError, match=rf"has no special token {re.escape(token)}: give"):
        load_original_internvl3(copied, CPU, None)


def test_code_in_the_folder_is_never_run(copied, tmp_path):
    ran = tmp_path / "ran"
    for name in ("modeling_internvl_chat", "modeling_intern_vit", "configuration_internvl_chat"):
        (copied / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')\n", "utf-8")
    assert isinstance(load_model(copied, device="cpu"), InternVL3)
    assert not ran.exists()
