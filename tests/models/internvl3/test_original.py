"""InternVL3's original checkpoints: written in their layout by the test, loaded, and refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.framework import FullMemory, VideoSession
from crossframe.models import load_model
from crossframe.models.hf import spec_of
from crossframe.models.internvl3.adapter import InternVL3
from crossframe.models.internvl3.original import (
    load_original_internvl3,
    native_config,
    native_names,
)
from crossframe.models.paper_models import paper_config, paper_specs
from crossframe.models.tiny import tiny_internvl

from ..damage import edit_config, edit_weights
from ..streams import video
from .layout import SHARDS, original_fields, save_original

CPU = torch.device("cpu")
LAYERS = "vision_model.encoder.layers.0."
QKV, PROJ, HEAD = f"{LAYERS}attn.qkv.weight", "mlp1.1.weight", "language_model.lm_head.weight"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_original(tmp_path_factory.mktemp("original"))


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(original, tmp_path / "copied"))


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
    assert spec_of(found.text_config) == paper_specs(name)[0]
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
    edit_weights(copied, {name: torch.zeros(1)})
    with pytest.raises(ValueError, match=f"{SHARDS[0]} holds {name}, which InternVL3 does not"):
        load_model(copied, device="cpu")


@pytest.mark.parametrize("name", [QKV, PROJ, HEAD])
def test_a_missing_weight_is_named(copied, name):
    edit_weights(copied, {name: None})
    count = len(native_names(name))
    with pytest.raises(ValueError, match=rf"holds {min(native_names(name))} \({count} weights are"):
        load_model(copied, device="cpu")


@pytest.mark.parametrize("rows", [95, 32, 97])
def test_a_misshapen_weight_is_named(copied, rows):
    edit_weights(copied, {QKV: torch.zeros(rows, 32)})
    with pytest.raises(ValueError, match=rf"{QKV} as \[{rows}, 32\], by config.json it is \[96"):
        load_model(copied, device="cpu")


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("llm_config", {"model_type": "internlm3"}, "llm_config.model_type='internlm3', Intern"),
        (None, {"select_layer": -4}, "select_layer=-4"),
        (None, {"ps_version": "v1"}, "ps_version='v1'"),
        (None, {"force_image_size": 448}, "force_image_size=448, .* have 56"),
        ("llm_config", {"model_type": "qwen3"}, "an InternVL3.5 in its original .* with -HF"),
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
