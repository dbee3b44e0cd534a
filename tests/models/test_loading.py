"""From a folder to an adapter: what loads, and what a damaged or foreign checkpoint is told."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.framework import FullMemory, VideoSession
from crossframe.models import InternVL3, load_model
from crossframe.models.tiny import tiny_internvl, tiny_processor, tiny_tokenizer

from ..every import FAMILIES, Family
from .damage import edit_config, edit_weights

HEAD = "language_model.lm_head.weight"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("whole"), layers=1)


@pytest.fixture
def copied(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copied"))


# What loads


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (None, torch.float32),
        ("float64", torch.float64),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
        (torch.float64, torch.float64),
        ("auto", torch.float32),
    ],
    ids=str,
)
def test_the_dtype_is_the_checkpoints_or_the_one_asked_for(checkpoint, dtype, expected):
    model = load_model(str(checkpoint), device=torch.device("cpu"), dtype=dtype)
    assert {parameter.dtype for parameter in model.hf_model.parameters()} == {expected}
    assert model.dtype == expected
    session = VideoSession(model, FullMemory())
    session.push(torch.zeros(2, 30, 40, 3, dtype=torch.uint8))
    assert session.ask("What?", max_new_tokens=2).first_logits.isfinite().all()


def test_shards_load_like_one_file(tmp_path):
    model, processor = tiny_internvl(layers=1)
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    processor.save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    loaded = load_model(tmp_path).hf_model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())
    shards[1].write_bytes(shards[1].read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{shards[1].name} is damaged or cut off, download"):
        load_model(tmp_path)
    shards[1].unlink()
    with pytest.raises(ValueError, match=f"no complete set of safetensors.*{shards[1].name}"):
        load_model(tmp_path)


# Settings


@pytest.mark.parametrize("dtype", ["int4", "torch.int8", "float8_e4m3fn", ""])
def test_an_unknown_dtype_is_refused(checkpoint, dtype):
    with pytest.raises(ValueError, match=f"one of .*'bfloat16'.*, got '{dtype}'"):
        load_model(checkpoint, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_a_dtype_the_device_cannot_run_is_refused_before_anything_is_read(copied, dtype):
    (copied / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(ValueError, match=f"cpu cannot run {dtype}: choose another dtype"):
        load_model(copied, device="cpu", dtype=dtype)


def test_a_checkpoint_whose_own_dtype_the_device_cannot_run_is_refused(checkpoint, monkeypatch):
    def softmax(*_: Any, **__: Any) -> None:
        raise RuntimeError('"softmax_kernel_impl" not implemented for this device')

    monkeypatch.setattr(torch.Tensor, "softmax", softmax)
    with pytest.raises(ValueError, match=r"cpu cannot run torch\.float32.*softmax_kernel_impl"):
        load_model(checkpoint, device="cpu")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"layout": "vertical"}, "layout must be one of"),
        ({"layuot": "chat"}, r"InternVL3 has no option \['layuot'\]"),
        (
            {"planned_frames": 4},
            r"InternVL3 has no option \['planned_frames'\]; it has \['layout",
        ),
    ],
)
def test_an_unknown_option_or_one_of_another_family_is_named(checkpoint, option, message):
    with pytest.raises(ValueError, match=message):
        load_model(checkpoint, **option)


# Other families


def test_a_raw_decoder_is_sent_to_decoder_model(tmp_path):
    folder = save_tiny_checkpoint(tmp_path, "qwen2", layers=1)
    with pytest.raises(ValueError, match=r"family 'qwen2', which has no adapter.*DecoderModel"):
        load_model(folder)


@pytest.mark.parametrize("family", ["Bert", "Llama", "Llava"])
def test_a_family_without_an_adapter_is_named(tmp_path, family):
    config = getattr(transformers, family + "Config")()
    config.save_pretrained(tmp_path)
    message = rf"{tmp_path} is of family '{config.model_type}'.*adapters for .*'internvl'"
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)


# Broken and foreign folders


def test_a_place_without_a_checkpoint_is_named(tmp_path, checkpoint):
    with pytest.raises(ValueError, match=f"no checkpoint at {tmp_path / 'nowhere'}: give a local"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no checkpoint at nobody/nothing"):
        load_model("nobody/nothing")
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder without config.json"):
        load_model(tmp_path)
    for file in ("config.json", "model.safetensors"):
        with pytest.raises(ValueError, match=f"{file} is a file: give the checkpoint's folder"):
            load_model(checkpoint / file)


@pytest.mark.parametrize("text", ["{", "", "[]", "{}", '{"model_type": "unheard_of"}'])
def test_a_config_that_is_none_is_refused(copied, text):
    (copied / "config.json").write_text(text, "utf-8")
    with pytest.raises(ValueError, match=f"{copied}|unheard_of"):
        load_model(copied)


@pytest.mark.parametrize("left", [0, 5, 1000, -1], ids=lambda left: f"{left} bytes")
def test_weights_that_were_cut_off_are_named(copied, left):
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ValueError, match=f"{file} is damaged or cut off, download it anew"):
        load_model(copied)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (None, r"do not fit its config.json, missing.*lm_head.weight"),
        (torch.zeros(5, 64), r"mismatched.*lm_head.weight.*\[5, 64\].*anew"),
    ],
    ids=["missing", "of another shape"],
)
def test_a_weight_that_is_not_as_declared_is_named(copied, weight, message):
    edit_weights(copied, {HEAD: weight})
    with pytest.raises(ValueError, match=message):
        load_model(copied)


def test_weights_that_are_not_safetensors_are_not_read(copied):
    """A pickle may run code when it is read."""
    file = copied / "model.safetensors"
    torch.save(load_file(file), copied / "pytorch_model.bin")
    file.unlink()
    with pytest.raises(ValueError, match=f"{copied} has no complete set of safetensors"):
        load_model(copied)


@pytest.mark.parametrize("model_type", ["internvl", "unheard_of"])
def test_code_in_the_folder_is_never_run(copied, tmp_path, model_type, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    ran = tmp_path / "ran"
    (copied / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n", "utf-8")
    names = ("AutoConfig", "AutoModel", "AutoModelForImageTextToText", "AutoProcessor")
    edit_config(copied, model_type=model_type, auto_map=dict.fromkeys(names, "evil.Thing"))
    if model_type == "internvl":
        assert isinstance(load_model(copied), InternVL3)
    else:
        with pytest.raises(ValueError, match=r"unheard_of|custom code"):
            load_model(copied)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("processor_config.json", "copied has no whole processor for InternVL3: give"),
        ("tokenizer_config.json", "copied has no whole processor for InternVL3: give"),
        ("chat_template.jinja", "chat template"),
    ],
)
def test_a_folder_without_its_whole_processor_is_told(copied, file, message):
    (copied / file).unlink()
    with pytest.raises(ValueError, match=message):
        load_model(copied)


def test_a_tokenizer_without_the_image_tokens_is_told(copied):
    plain = transformers.Qwen2Tokenizer(vocab=tiny_tokenizer().get_vocab(), merges=[])
    plain.save_pretrained(copied)
    with pytest.raises(ValueError, match="no whole processor for InternVL3: give"):
        load_model(copied)


def test_a_processor_of_another_checkpoint_is_told(copied):
    edit_config(copied, image_token_id=3)
    expected = tiny_processor().image_token_id
    with pytest.raises(ValueError, match=f"the id {expected}, the model expects 3: load the"):
        load_model(copied)


@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, device: str) -> None:
    folder = save_tiny_checkpoint(tmp_path / "checkpoint", "internvl3")
    with pytest.raises(ValueError, match=f"there is no device '{device}' here: use 'cpu'"):
        load_model(folder, device=device)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_found_by_its_checkpoint(family: Family, tmp_path: Path) -> None:
    model = load_model(family.save(tmp_path), dtype="float32")
    assert isinstance(model, family.shipped)
    session = VideoSession(model, FullMemory())
    session.push(torch.zeros(2, 64, 64, 3, dtype=torch.uint8), [0.0, 0.5])
    assert session.ask("What?", max_new_tokens=2).token_ids.numel() >= 1


def test_loading_says_what_it_does(checkpoint, caplog) -> None:
    with caplog.at_level("INFO", logger="crossframe"):
        load_model(checkpoint, device="cpu")
    first, last = caplog.messages[0], caplog.messages[-1]
    assert first == f"loading {checkpoint} (internvl) onto cpu"
    assert "M parameters, torch.float32 on cpu, trained for streams of 32768 tokens" in last
