"""One table over all backends: how far each is off float64, beside plain torch in its own dtype."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from crossframe.framework.attention.backend import Visibility
from crossframe.framework.attention.merging import Reading

from .problems import KINDS, Problem, problem, read

RAGGED = torch.arange(47) >= torch.tensor([[0, 30]])[..., None]
FRAMES = torch.tensor([-2, -1, *[0] * 5, *[1] * 10])
SHAPES = {
    "1 token": problem(1, 0, group=7, head_dim=64),
    "1 token, 300 slots": problem(1, 300, group=7, head_dim=80),
    "1 slot": problem(63, 1, group=2, head_dim=96),
    "259 tokens": problem(259, 130, heads=1, group=7, head_dim=64),
    "259 tokens alone": problem(259, 0, heads=1, group=7, head_dim=128),
    "heads of 256": problem(17, 64, batch=2, group=1, head_dim=256),
    "ragged": problem(17, 30, group=7, head_dim=80, visibility=Visibility(valid=RAGGED)),
    "frames": problem(17, 30, group=7, head_dim=96, visibility=Visibility(FRAMES)),
    "ragged frames": problem(17, 30, group=3, visibility=Visibility(FRAMES, RAGGED), head_dim=64),
}


def eager(task: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Output, mass and LSE by plain torch in the problem's own dtype."""
    query, keys, values, visibility = task
    group, (new, slots) = query.shape[1] // keys.shape[1], (query.shape[2], keys.shape[2])
    keys, values = (part.repeat_interleave(group, 1) for part in (keys, values))
    seen = torch.ones(new, slots, dtype=torch.bool)
    seen[:, slots - new :] = visibility.own_rows(torch.arange(new), new)
    if visibility.valid is not None:
        seen = seen & visibility.valid.repeat_interleave(group, 1)[:, :, None]
    scores = query @ keys.transpose(-1, -2) * query.shape[-1] ** -0.5
    scores = scores.masked_fill(~seen, float("-inf"))
    weights = scores.softmax(-1)
    mass = weights.unflatten(1, (-1, group)).sum((2, 3))
    return weights @ values, mass, scores.logsumexp(-1)


def computed(kind: str, task: Problem) -> tuple[Tensor, Tensor, Tensor]:
    output, mass, _ = task.solve(kind)
    assert mass is not None
    reading: Reading = read(kind, task)
    torch.testing.assert_close(reading.output.to(output.dtype), output, atol=1e-2, rtol=1e-2)
    return output, mass, reading.lse


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_backend_errs_at_most_twice_as_much_as_plain_torch(
    kind: str, dtype: torch.dtype, shape: str
) -> None:
    """Both against float64 on the same rounded numbers."""
    task = SHAPES[shape].to(dtype)
    exact, plain, ours = eager(task.to(torch.float64)), eager(task), computed(kind, task)
    for name, true, torchs, got in zip(("output", "mass", "lse"), exact, plain, ours, strict=True):
        error, allowed = ((part.double() - true).abs().max().item() for part in (got, torchs))
        # A row of one key has no error to double; a rounding of the largest number is free.
        near = 2 * torch.finfo(got.dtype).eps * true.abs().max().item()
        assert error <= 2 * allowed + near, f"{name}: {error:.2e}, plain torch {allowed:.2e}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_backend_equals_plain_in_float64(kind: str, shape: str) -> None:
    for got, expected in zip(computed(kind, SHAPES[shape]), eager(SHAPES[shape]), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-11, rtol=0)
