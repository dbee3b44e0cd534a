"""A model spread over several devices: what `load_model` passes on, and what it refuses."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.framework import VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import load_model, load_options

from .eagle2_5.layout import save_official_eagle2_5

has_accelerate = importlib.util.find_spec("accelerate") is not None
FRAME = torch.arange(40 * 60 * 3).view(1, 40, 60, 3).to(torch.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def answer(model: Any) -> torch.Tensor:
    session = VideoSession(model, StateKVMemory(9))
    for _ in range(3):
        session.push(FRAME)
    return session.question_logits(model.question_ids("Why?")[0])


def split_map(second: str) -> dict[str, int | str]:
    """The tiny InternVL3 with its last layer and head on a second device."""
    text = "model.language_model"
    first = ("embed_tokens", "layers.0", "rotary_emb")
    return {
        "model.vision_tower": "cpu",
        "model.multi_modal_projector": "cpu",
        **{f"{text}.{part}": "cpu" for part in first},
        **{f"{text}.{part}": second for part in ("layers.1", "norm")},
        "lm_head": second,
    }


def test_the_missing_package_is_named(folder, monkeypatch):
    monkeypatch.setattr("crossframe.models.load_options.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs the package accelerate, .*pip install accelerate"):
        load_model(folder, device_map="auto")


def test_a_device_and_a_map_exclude_each_other(folder):
    with pytest.raises(ValueError, match="got device='cpu' and a device_map: give one of them"):
        load_model(folder, device="cpu", device_map="auto")


def test_other_families_are_refused(tmp_path):
    official = save_official_eagle2_5(tmp_path, layers=1)
    with pytest.raises(ValueError, match=r"native families \['glm46v', .*not for 'eagle_2_5_vl'"):
        load_model(official, device_map="auto")


def test_the_map_reaches_transformers_and_the_model_is_not_moved_after(folder, monkeypatch):
    family, seen = transformers.InternVLForConditionalGeneration, []
    stock: Any = family.from_pretrained

    def record(name: Any, *, device_map: Any, **options: Any) -> Any:
        seen.append(device_map)
        return stock(name, **options)

    monkeypatch.setattr(family, "from_pretrained", record)
    monkeypatch.setattr(family, "to", None)
    monkeypatch.setattr(load_options, "find_spec", lambda name: object())
    load_model(folder, device_map={"": "cpu"})
    assert seen == [{"": "cpu"}]


@pytest.mark.skipif(not has_accelerate, reason="needs accelerate")
@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}], ids=str)
def test_a_mapped_model_streams_like_any_other(folder, device_map):
    mapped = load_model(folder, device_map=device_map)
    expected = answer(load_model(folder, device="cpu"))
    assert torch.allclose(answer(mapped).cpu(), expected, atol=1e-4)


@pytest.mark.skipif(
    not (has_accelerate and torch.cuda.is_available()), reason="needs accelerate and a GPU"
)
def test_two_devices_hold_what_their_layers_carry_and_archive(folder):
    mapped = load_model(folder, device_map=split_map("cuda:0"))
    session = VideoSession(mapped, StateKVMemory(9))
    session.push(FRAME)
    archived = [layer["keys"].joined() for layer in session.archive.layers]
    assert [keys.device.type for keys in archived] == ["cpu", "cuda"]
    expected = answer(load_model(folder, device="cpu"))
    assert torch.allclose(answer(mapped).cpu(), expected, atol=1e-3)
