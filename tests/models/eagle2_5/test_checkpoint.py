"""Eagle2.5's files: the official names and shapes, what loads, what a broken folder is told."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen2Tokenizer

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models.checkpoints.shards import INDEX
from crossframe.models.eagle2_5.adapter import Eagle2_5, load_eagle2_5
from crossframe.models.eagle2_5.checkpoint import POOLING_HEAD, load_weights
from crossframe.models.eagle2_5.modules import Eagle2_5ForConditionalGeneration
from crossframe.models.tiny import tiny_tokenizer
from crossframe.models.tiny.eagle2_5 import tiny_eagle2_5

from ..damage import edit_config, edit_weights, shard_of
from .layout import SHARDS, save_official_eagle2_5

CPU = torch.device("cpu")
VISION, TEXT = "vision_model.vision_model.", "language_model."
FC1, NORM = "mlp1.1.weight", "language_model.model.norm.weight"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_official_eagle2_5(tmp_path_factory.mktemp("official"), layers=1)


@pytest.fixture
def copied(official: Path, tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(official, tmp_path / "copied"))


def same_weights(first: Any, second: Any) -> bool:
    others = second.state_dict()
    assert first.state_dict().keys() == others.keys()
    return all(torch.equal(value, others[name]) for name, value in first.state_dict().items())


# What loads


@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16], ids=str)
def test_the_official_layout_loads_in_any_dtype(official, dtype):
    model = load_weights(official, CPU, dtype)
    expected, _ = tiny_eagle2_5(layers=1, dtype=dtype or torch.float32)
    assert same_weights(model, expected)
    assert {p.dtype for p in model.parameters()} == {dtype or torch.float32}
    assert model.language_model.model.rotary_emb.inv_freq.dtype == torch.float32
    buffers = dict(expected.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    assert not model.training


def test_the_official_config_is_read_and_its_training_leftovers_are_not(official):
    config = load_weights(official, CPU).config
    for part in (config, config.text_config, config.vision_config):
        assert part._attn_implementation == "sdpa"
    assert config.text_config.use_cache
    assert config.text_config.rope_parameters["rope_theta"] == 1e6
    assert "auto_map" not in config.to_dict()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shard_size", ["100KB", "1GB"])
def test_what_save_pretrained_writes_loads_again(tmp_path, tied, shard_size):
    model, _ = tiny_eagle2_5(layers=1, tie_word_embeddings=tied, seed=3)
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / INDEX).is_file() == (shard_size == "100KB")
    ours = load_weights(tmp_path, CPU)
    stock = Eagle2_5ForConditionalGeneration.from_pretrained(tmp_path)
    for loaded in (ours, stock):
        assert same_weights(loaded, model)
        head, table = loaded.get_output_embeddings(), loaded.get_input_embeddings()
        assert (head.weight is table.weight) == tied


def test_transformers_own_loading_reads_the_official_layout_too(official, tmp_path):
    model, found = Eagle2_5ForConditionalGeneration.from_pretrained(
        official, output_loading_info=True
    )
    assert not found["missing_keys"] and not found["unexpected_keys"]
    assert same_weights(model, load_weights(official, CPU))
    model.save_pretrained(tmp_path)
    assert same_weights(model, load_weights(tmp_path, CPU))


@pytest.mark.parametrize(
    "save", [save_official_eagle2_5, partial(save_tiny_checkpoint, family="eagle2_5")]
)
def test_a_folder_becomes_an_adapter(save, tmp_path):
    model = load_eagle2_5(save(tmp_path, layers=1), CPU, torch.float64, fps=2.0, system="Hi.")
    assert isinstance(model, Eagle2_5)
    assert model.dtype == torch.float64 and model.fps == 2.0
    assert model.processor.before_video(None).startswith("<|im_start|>system\nHi.<|im_end|>")
    assert same_weights(model.hf_model, tiny_eagle2_5(layers=1, dtype=torch.float64)[0])


def test_a_loaded_model_outlives_its_files(copied):
    model = load_weights(copied, CPU)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for shard in SHARDS:
        (copied / shard).write_bytes(bytes((copied / shard).stat().st_size))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_pooling_head_need_not_be_there(copied):
    for shard in SHARDS:
        head = [name for name in load_file(copied / shard) if name.startswith(POOLING_HEAD)]
        edit_weights(copied, dict.fromkeys(head))
    assert same_weights(load_weights(copied, CPU), tiny_eagle2_5(layers=1)[0])


# What does not


@pytest.mark.parametrize(
    "name", ["mlp1.4.weight", "vision_model.head.probe", "language_model.model.layers.1.x", "new"]
)
def test_an_unknown_weight_is_refused(copied, name):
    edit_weights(copied, {name: torch.zeros(1)}, copied / SHARDS[0])
    with pytest.raises(ValueError, match=f"{SHARDS[0]} holds {name}, which Eagle2.5 does not have"):
        load_weights(copied, CPU)


def test_a_missing_weight_is_named(copied):
    edit_weights(copied, {FC1: None})
    with pytest.raises(ValueError, match=f"no file of {copied} holds {FC1} .1 weights are missing"):
        load_weights(copied, CPU)


def test_a_missing_shard_is_named_with_a_weight(copied):
    shard_of(copied, FC1).unlink()
    with pytest.raises(ValueError, match=f"{shard_of(copied, FC1)} is missing, and .*weight with"):
        load_weights(copied, CPU)


@pytest.mark.parametrize("left", [0, 5, 1000, -1], ids=lambda left: f"{left} bytes")
def test_a_shard_that_was_cut_off_is_named(copied, left):
    file = copied / SHARDS[1]
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ValueError, match=f"{file} is damaged or cut off, download it anew"):
        load_weights(copied, CPU)


def test_index_and_shard_must_agree(copied):
    index = json.loads((copied / INDEX).read_text("utf-8"))
    index["weight_map"][FC1] = next(s for s in SHARDS if s != shard_of(copied, FC1).name)
    (copied / INDEX).write_text(json.dumps(index), "utf-8")
    with pytest.raises(ValueError, match=rf"safetensors and {INDEX} disagree about {FC1}"):
        load_weights(copied, CPU)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (VISION + "embeddings.patch_embedding.weight", (32, 3, 16, 16)),
        (VISION + "embeddings.position_embedding.weight", (17, 32)),
        ("mlp1.0.weight", (32,)),
        (FC1, (64, 100)),
        ("mlp1.3.bias", (63,)),
        (TEXT + "model.embed_tokens.weight", (500, 64)),
    ],
)
def test_a_weight_of_another_shape_is_named(copied, name, shape):
    edit_weights(copied, {name: torch.zeros(shape)})
    found = rf"holds {name} as \[{', '.join(map(str, shape))}\], by config.json it is \["
    with pytest.raises(ValueError, match=found):
        load_weights(copied, CPU)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        (None, {"select_layer": -4}, "select_layer=-4 is not supported; the 8B has -1"),
        (None, {"mlp_connector_layers": 1}, "mlp_connector_layers=1 is not supported"),
        (None, {"use_pixel_shuffle": False}, "use_pixel_shuffle=False is not supported"),
        (None, {"force_image_size": 448}, "tiles of 448 pixels do not fit .* image_size=56"),
        (None, {"downsample_ratio": 0.3}, "do not fit .*downsample_ratio=0.3"),
        (None, {"model_type": "internvl"}, "of family 'internvl', not 'eagle_2_5_vl'"),
        ("text_config", {"model_type": "qwen3"}, "model_type='qwen3' .* the 8B has 'qwen2'"),
        ("vision_config", {"model_type": "siglip2"}, "model_type='siglip2' is not supported"),
        ("vision_config", {"patch_size": 16}, "patch_size=16 and downsample_ratio=0.5"),
    ],
)
def test_a_config_this_module_does_not_build_is_refused(copied, part, change, words):
    edit_config(copied, part, **change)
    with pytest.raises(ValueError, match=words):
        load_weights(copied, CPU)


@pytest.mark.parametrize("text", ["{", "", None])
def test_a_damaged_config_or_index_is_named(copied, text):
    for name in (INDEX, "config.json"):
        file = copied / name
        file.write_text(text, "utf-8") if text is not None else file.unlink()
        if text is None and name == INDEX:
            continue
        with pytest.raises(ValueError, match=f"{file} is missing or damaged, download it anew"):
            load_weights(copied, CPU)


def test_code_and_pickles_in_the_folder_are_never_run(copied, tmp_path):
    ran = tmp_path / "ran"
    (copied / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n", "utf-8")
    names = ("AutoConfig", "AutoModel", "AutoProcessor", "AutoTokenizer")
    edit_config(copied, auto_map=dict.fromkeys(names, "evil.Thing"))
    assert isinstance(load_eagle2_5(copied, CPU, None), Eagle2_5)
    for file in (*SHARDS, INDEX):
        (copied / file).unlink()
    torch.save({}, copied / "pytorch_model.bin")
    with pytest.raises(ValueError, match=f"{copied} has no complete set of safetensors"):
        load_eagle2_5(copied, CPU, None)
    assert not ran.exists()


def test_a_folder_without_the_right_tokenizer_is_told(copied, tmp_path):
    plain = Qwen2Tokenizer(vocab=tiny_tokenizer().get_vocab(), merges=[])
    plain.save_pretrained(copied)
    with pytest.raises(ValueError, match="no special token <img>: load the tokenizer of an Eagle"):
        load_eagle2_5(copied, CPU, None)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (copied / file).unlink()
    with pytest.raises(ValueError, match=f"{copied} has no tokenizer of Qwen2|special token"):
        load_eagle2_5(copied, CPU, None)


def test_other_places_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"no checkpoint at nobody/nothing: .*is gated, so accept"):
        load_eagle2_5("nobody/nothing", CPU, None)
    other = save_tiny_checkpoint(tmp_path, layers=1)
    with pytest.raises(ValueError, match=f"{other} is of family 'internvl'.*use load_model"):
        load_eagle2_5(other, CPU, None)
