"""The plain-torch decoder keeps the contract that adapters keep."""

from __future__ import annotations

import pytest
import torch

from crossframe.framework.reference import ReferenceDecoder


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("axes", [1, 3])
def test_keys_are_rotated_in_wide_numbers_and_rounded_once(dtype: torch.dtype, axes: int) -> None:
    keys = torch.randn(1, 2, 5, 8).to(dtype)
    delta = torch.randint(-60_000, 60_000, (axes, 1, 2, 5))
    turned = ReferenceDecoder(axes=axes, float_type=dtype).rotate(keys, delta, 0)
    exact = ReferenceDecoder(axes=axes).rotate(keys.double(), delta, 0)
    assert turned.dtype == dtype
    assert torch.equal(turned, exact.to(dtype))


def test_turning_by_nothing_changes_no_bit() -> None:
    keys = torch.randn(1, 2, 5, 8).bfloat16()
    delta = torch.zeros(1, 1, 2, 5, dtype=torch.int64)
    assert torch.equal(ReferenceDecoder(float_type=torch.bfloat16).rotate(keys, delta, 0), keys)
