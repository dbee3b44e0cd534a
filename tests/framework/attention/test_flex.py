"""What is flex attention's own: one compilation for all lengths, and its kernel where CUDA is."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx

from crossframe.framework.attention import flex, flex_calls

from .problems import Problem, problem
from .test_precision import SHAPES, computed, eager


def step(task: Problem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Folded query, keys, values and what each row sees, as the compiled functions take them."""
    query, keys, values, _ = task
    # As models lay it out; a mere view would be compiled anew where its base has other sizes.
    by_token = query.transpose(1, 2).contiguous().transpose(1, 2)
    folded = by_token.reshape(1, keys.shape[1], -1, query.shape[-1])
    new = torch.arange(query.shape[2]) + keys.shape[2] - query.shape[2] + 1
    return folded, keys, values, new.repeat(query.shape[1] // keys.shape[1])


def test_one_compilation_serves_all_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that fills, a text and a frame differ in length alone."""
    module = "torch.nn.attention.flex_attention"
    monkeypatch.setattr(f"{module}._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", False)
    graphs: list[fx.GraphModule] = []

    def counting(graph: fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    read = flex.dynamic(flex_calls.read_folded, counting)
    hand_out = flex.dynamic(flex_calls.mass_of_folded, counting)
    scale = torch.tensor(0.25)
    for new, carried in ((9, 0), (9, 9), (5, 40), (12, 31)):
        task = problem(new, carried, group=7, head_dim=16).to(torch.float32)
        query, keys, values, reach = step(task)
        output, lse = read(query, keys, values, reach, None, scale)
        mass = hand_out(query, keys, lse, reach, scale)
        expected = eager(task)
        torch.testing.assert_close(output.flatten(1, 2), expected[0].flatten(1, 2))
        torch.testing.assert_close(mass, expected[1])
    assert len(graphs) == 2, "one for the reading, one for the mass"


def test_models_of_a_process_do_not_share_the_compilations_torch_allows() -> None:
    codes = [inspect.unwrap(flex.dynamic(flex_calls.read_folded)).__code__ for _ in range(2)]
    assert len({id(code) for code in (*codes, flex_calls.read_folded.__code__)}) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel is compiled for CUDA")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_compiled_kernel_errs_at_most_twice_as_much_as_plain_torch(
    dtype: torch.dtype, shape: str
) -> None:
    task = SHAPES[shape].to(dtype)
    exact, plain = eager(task.to(torch.float64)), eager(task)
    ours = computed("flex", task.on("cuda"))
    for name, true, torchs, got in zip(("output", "mass", "lse"), exact, plain, ours, strict=True):
        error, allowed = ((part.cpu().double() - true).abs().max().item() for part in (got, torchs))
        near = 2 * torch.finfo(got.dtype).eps * true.abs().max().item()
        assert error <= 2 * allowed + near, f"{name}: {error:.2e}, plain torch {allowed:.2e}"
