"""What `load_model` takes as people write it, and what it says to what it does not take."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import InternVL3, load_model, load_options
from crossframe.models.load_options import as_dtype

from .eagle2_5.layout import save_official_eagle2_5
from .streams import asked, session_after, video

STOCK = transformers.InternVLForConditionalGeneration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), layers=1)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["bf16", "bfloat16", "torch.bfloat16", torch.bfloat16], torch.bfloat16),
        (["fp16", "float16", "half", torch.float16], torch.float16),
        (["fp32", "float32", "float", "torch.float32"], torch.float32),
        (["fp64", "float64", "double"], torch.float64),
        (["auto", None], None),
    ],
    ids=str,
)
def test_dtypes_are_known_by_their_usual_names(names, expected):
    assert [as_dtype(name) for name in names] == [expected] * len(names)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"torch_dtype": "bf16"}, "no option torch_dtype: give dtype"),
        ({"attn_implementation": "eager"}, r"attn_implementation: .*VideoSession\(..., attention="),
        ({"load_in_4bit": True}, r"load_in_4bit: give quantization_config=.*BitsAndBytesConfig"),
        ({"trust_remote_code": True}, "trust_remote_code: no remote code is ever run"),
        ({"revision": "main"}, "revision: download the checkpoint first and give its folder"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_of_transformers_are_told_what_does_the_same(folder, option, words):
    with pytest.raises(ValueError, match=words):
        load_model(folder, **option)


# Quantised weights


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What transformers is told, without doing it: quantisers are packages of their own."""
    told: list[dict[str, Any]] = []
    stock: Any = STOCK.from_pretrained

    def record(name: Any, *, device_map: Any, quantization_config: Any, **options: Any) -> Any:
        told.append({"device_map": device_map, "quantization_config": quantization_config})
        return stock(name, **options)

    monkeypatch.setattr(STOCK, "from_pretrained", record)
    monkeypatch.setattr(STOCK, "to", None)  # codes cannot be moved
    monkeypatch.setattr(load_options, "find_spec", lambda name: object())
    return told


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        ({}, None),
        ({"device": "cpu"}, {"": torch.device("cpu")}),
        ({"device_map": "auto"}, "auto"),
    ],
    ids=str,
)
def test_a_quantisation_reaches_transformers_on_its_device(folder, seen, placed, expected):
    config = object()
    model = load_model(folder, quantization_config=config, dtype="fp32", **placed)
    here = {"": torch.device("cuda" if torch.cuda.is_available() else "cpu")}
    assert seen == [{"device_map": expected or here, "quantization_config": config}]
    assert session_after(model, video(2)).cursor.frames == 2


def test_a_family_that_transformers_does_not_load_is_not_quantised(tmp_path):
    official = save_official_eagle2_5(tmp_path, layers=1)
    with pytest.raises(ValueError, match=r"quantization_config works for the native families"):
        load_model(official, quantization_config=object())


def test_what_a_quantiser_throws_is_not_taken_for_a_damaged_checkpoint(folder, monkeypatch):
    def fails(*args: Any, **options: Any) -> None:
        raise RuntimeError("unsupported dtype")

    monkeypatch.setattr(STOCK, "from_pretrained", fails)
    monkeypatch.setattr(load_options, "find_spec", lambda name: object())
    with pytest.raises(ValueError, match=r"unsupported dtype\): give another dtype"):
        load_model(folder, quantization_config=object())


def test_a_quantisation_needs_accelerate(folder, monkeypatch):
    monkeypatch.setattr(load_options, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="quantization_config needs the package accelerate"):
        load_model(folder, quantization_config=object())


# A model that the user loaded


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_model_loaded_by_the_user_is_wrapped_by_its_adapter(folder, dtype, attention):
    stock: Any = STOCK.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
    stock.model.vision_tower.set_attn_implementation("sdpa")  # which is the user's to choose
    processor: Any = transformers.AutoProcessor.from_pretrained(folder)
    wrapped = InternVL3(stock.eval(), processor)
    loaded = load_model(folder, device="cpu", dtype=dtype)
    got, expected = (asked(session_after(model, video(3))) for model in (wrapped, loaded))
    assert torch.equal(got, expected)
