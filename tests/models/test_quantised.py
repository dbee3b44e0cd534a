"""Weights that a package really quantised, on the CPU; each is tried where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import InternVL3, load_model

from .stock import greedy, processed, stock_logits, worst
from .streams import QUESTION, TOLERANCES, asked, session_after, video

STOCK = transformers.InternVLForConditionalGeneration
# The package's module, what it is told, and the dtype around the codes. None quantises activations
# by what passes together: the stock model would differ from itself, cut in two.
Quantiser = tuple[str, Callable[[Any], Any], torch.dtype]
QUANTISERS: dict[str, Quantiser] = {
    "torchao int8": (
        "torchao.quantization",
        lambda package: transformers.TorchAoConfig(package.Int8WeightOnlyConfig()),
        torch.float32,
    ),
    "torchao float8": (
        "torchao.quantization",
        lambda package: transformers.TorchAoConfig(package.Float8WeightOnlyConfig()),
        torch.float64,
    ),
    "quanto int4": (
        "optimum.quanto",
        lambda package: transformers.QuantoConfig(weights="int4"),
        torch.float32,
    ),
    "bitsandbytes int8": (
        "bitsandbytes",
        lambda package: transformers.BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0),
        torch.float32,
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def config_of(name: str) -> Any:
    module, configured, _ = QUANTISERS[name]
    return configured(_installed(module))


def _installed(module: str) -> Any:
    return pytest.importorskip(module, reason=f"needs {module}, which is not in the lock")


def loaded(folder: Path, config: Any, dtype: torch.dtype, by_hand: bool) -> Any:
    if not by_hand:
        return load_model(folder, quantization_config=config, dtype=dtype, device="cpu")
    options = {"dtype": dtype, "quantization_config": config, "device_map": {"": "cpu"}}
    stock: Any = STOCK.from_pretrained(folder, **options)
    processor: Any = transformers.AutoProcessor.from_pretrained(folder)
    return InternVL3(stock.eval(), processor)


@pytest.mark.parametrize("by_hand", [False, True], ids=["load_model", "wrapped"])
@pytest.mark.parametrize("name", QUANTISERS)
def test_a_stream_is_what_the_quantised_stock_model_makes_in_one_go(
    folder: Path, name: str, by_hand: bool
) -> None:
    config, dtype = config_of(name), QUANTISERS[name][2]
    model = loaded(folder, config, dtype, by_hand)
    inputs = processed(model, video(3))
    session = session_after(model, video(2), video(3)[2:])
    got = asked(session)
    expected = stock_logits(model.hf_model, **inputs)[:, -got.shape[1] :]
    assert worst(got, expected) <= TOLERANCES[dtype]
    whole = stock_logits(STOCK.from_pretrained(folder, dtype=dtype), **inputs)
    assert worst(got, whole[:, -got.shape[1] :]) > 0.01, "nothing was quantised"
    answer = session.ask(QUESTION, max_new_tokens=8, min_new_tokens=8)
    assert answer.token_ids.tolist() == greedy(model.hf_model, 8, **inputs)
    assert session.slots(0).keys.dtype == model.dtype == dtype


def test_a_folder_of_quantised_weights_needs_no_config(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder, quantization_config=config_of("torchao int8"), dtype="float32")
    model.hf_model.save_pretrained(tmp_path)
    transformers.AutoProcessor.from_pretrained(folder).save_pretrained(tmp_path)
    again = load_model(tmp_path)
    assert again.dtype == torch.float32
    got, expected = (asked(session_after(each, video(2))) for each in (again, model))
    assert torch.equal(got, expected)


def test_a_dtype_that_the_package_cannot_quantise_is_told_so(folder: Path) -> None:
    with pytest.raises(ValueError, match="give another dtype or quantization_config"):
        load_model(folder, quantization_config=config_of("torchao int8"), dtype="float64")
