"""Weights that are NaN or Inf are refused when they are loaded, by tensor and file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import load_model
from crossframe.models.checkpoints.weights import require_finite_weights


class Quantised(torch.Tensor):
    """Codes and scales that compute nothing, as packages that quantise make them."""

    codes: torch.Tensor
    scale: torch.Tensor

    @staticmethod
    def of(codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        made: Any = torch.Tensor._make_wrapper_subclass(Quantised, codes.shape, dtype=scale.dtype)
        made.codes, made.scale = codes, scale
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["codes", "scale"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, meta: Any, size: Any, stride: Any) -> torch.Tensor:
        return Quantised.of(**inner)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{func} of quantised weights")


def holding(values: torch.Tensor) -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(torch.ones(2, 2), requires_grad=False)
    module.register_buffer("other", values)
    return module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), dtype=torch.bfloat16)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_damaged_weight_is_named_with_its_file(checkpoint: Path, value: float) -> None:
    file = checkpoint / "model.safetensors"
    whole = load_file(file)
    name = next(name for name in whole if name.endswith("layers.1.mlp.up_proj.weight"))
    damaged = {**whole, name: whole[name].clone()}
    damaged[name][5, 7] = value
    save_file(damaged, file, metadata={"format": "pt"})
    try:
        with pytest.raises(ValueError, match=r"NaN or Inf in 1 of \d+ weights") as refused:
            load_model(checkpoint, device="cpu")
    finally:
        save_file(whole, file, metadata={"format": "pt"})
    for said in (str(checkpoint), name, str(file), "download the checkpoint anew"):
        assert said in str(refused.value)
    load_model(checkpoint, device="cpu")


def test_weights_that_another_dtype_cannot_hold_are_told_so(checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    whole = load_file(file)
    name = next(name for name in whole if name.endswith("norm.weight"))
    large = {**whole, name: torch.full_like(whole[name], 1e6)}  # float16 ends at 65504
    save_file(large, file, metadata={"format": "pt"})
    try:
        with pytest.raises(ValueError, match=r"as loaded.*: load in another dtype than float16"):
            load_model(checkpoint, device="cpu", dtype="float16")
        load_model(checkpoint, device="cpu")
    finally:
        save_file(whole, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    "values",
    [
        torch.empty(3, device="meta"),
        torch.empty(0),
        torch.tensor([1, 2], dtype=torch.int8),
        torch.ones(3).to(torch.float8_e4m3fn),
        torch.ones(3).to(torch.float8_e5m2),
        torch.full((70_000,), 60_000.0, dtype=torch.float16),  # their sum would overflow
        torch.ones(()),
    ],
    ids=lambda values: f"{values.dtype} on {values.device}",
)
def test_what_has_no_numbers_or_sound_ones_passes(values: torch.Tensor) -> None:
    require_finite_weights(holding(values), "here")


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.bfloat16, torch.float16, torch.float8_e4m3fn], ids=str
)
def test_one_nan_among_many_is_found(dtype: torch.dtype) -> None:
    values = torch.ones(300)
    values[123] = float("nan")
    with pytest.raises(ValueError, match=r"1 of 2 weights, first in other \(as loaded\)"):
        require_finite_weights(holding(values.to(dtype)), "here")


@pytest.mark.parametrize("codes", [torch.int8, torch.float8_e4m3fn], ids=str)
def test_of_quantised_weights_codes_and_scales_are_looked_at(codes: torch.dtype) -> None:
    whole, scale = torch.ones(3, 4).to(codes), torch.ones(3)
    require_finite_weights(holding(Quantised.of(whole, scale)), "here")
    with pytest.raises(ValueError, match=r"in 1 of 2 weights, first in other"):
        require_finite_weights(holding(Quantised.of(whole, scale / 0)), "here")
