"""The backends of attention against loops, what they cost and hold, and which is chosen."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crossframe.framework.attention import chunked, flex, sdpa
from crossframe.framework.attention.attend import BACKENDS, choose, say_once
from crossframe.framework.attention.backend import Inputs, Place, Visibility
from crossframe.framework.attention.plain import weights_of
from crossframe.framework.attention.reductions import REDUCTIONS
from crossframe.framework.testing.flop_counting import flop_counter

from .problems import KINDS, Problem, by_loops, problem, problems


@given(problems(), st.sampled_from([torch.float64, torch.float32]), st.integers(1, 60))
def test_every_backend_equals_the_loops(task: Problem, dtype: torch.dtype, most: int) -> None:
    task = task.to(dtype)
    expected, expected_mass, _ = by_loops(task)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for kind in KINDS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunked, "CHUNK_NUMBERS", most)
            output, mass, _ = task.solve(kind)
            silent, none, _ = task.solve(kind, needs_mass=False)
        assert mass is not None
        assert none is None
        assert output.dtype == mass.dtype == dtype
        torch.testing.assert_close(output.double(), expected, atol=tolerance, rtol=0)
        torch.testing.assert_close(mass.double(), expected_mass, atol=tolerance, rtol=1e-6)
        torch.testing.assert_close(silent, output, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_group_of_queries_sees_the_slots_of_its_own_ragged_head(kind: str) -> None:
    valid = torch.arange(7) >= torch.tensor([[0, 4], [3, 1]])[..., None]
    task = problem(3, 4, batch=2, heads=2, group=3, visibility=Visibility(valid=valid))
    output, mass, _ = task.solve(kind)
    expected, expected_mass, _ = by_loops(task)
    torch.testing.assert_close(output, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(mass, expected_mass, atol=1e-12, rtol=0)
    assert not expected_mass[~valid].any()


@given(problems(), st.sampled_from(KINDS))
def test_mass_sums_to_the_steps_queries_per_kv_head(task: Problem, kind: str) -> None:
    mass = task.to(torch.bfloat16).solve(kind)[1]
    assert mass is not None
    assert mass.dtype == torch.float32, "float32 sums whatever the model's dtype"
    rows = task.query.shape[1] * task.query.shape[2] / task.keys.shape[1]
    torch.testing.assert_close(mass.sum(-1), torch.full(mass.shape[:2], rows), atol=1e-4, rtol=0)


@given(problems(), st.data())
def test_the_weights_of_chosen_rows_equal_the_loops(task: Problem, data: st.DataObject) -> None:
    count = task.query.shape[2]
    rows = torch.tensor(
        data.draw(st.lists(st.integers(0, count - 1), max_size=4)), dtype=torch.int64
    )
    got = weights_of(
        task.query,
        task.keys,
        rows,
        scale=task.query.shape[-1] ** -0.5,
        visibility=task.visibility,
    )
    expected = by_loops(task)[2][:, :, rows].unflatten(1, (task.keys.shape[1], -1))
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


@given(problems(), st.sampled_from(KINDS), st.sets(st.sampled_from(REDUCTIONS)), st.integers(1, 60))
def test_reductions_of_the_weights_equal_the_loops(
    task: Problem, kind: str, names: set[str], most: int
) -> None:
    weights = by_loops(task)[2].unflatten(1, (task.keys.shape[1], -1))
    expected = {
        "max": weights.amax((2, 3)),
        "squares": weights.square().sum((2, 3)),
        "output_change": moved_without(weights, task.values).sum((2, 3)),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, "CHUNK_NUMBERS", most)
        got = task.solve(kind, needs_mass=False, reductions=sorted(names)).reduced
    assert got.keys() == names
    for name in names:
        # Distances come from differences of squares, which halves the digits.
        near = 1e-6 if name == "output_change" else 1e-12
        torch.testing.assert_close(got[name], expected[name], atol=near, rtol=0)


def moved_without(weights: Tensor, values: Tensor) -> Tensor:
    """[B, K, G, T, S] how far each output moves when one slot is left out."""
    outputs = weights @ values[:, :, None]
    moved = torch.zeros_like(weights)
    for slot in range(weights.shape[-1]):
        others = weights.clone()
        others[..., slot] = 0
        left = others.sum(-1, keepdim=True)
        without = torch.where(left > 0, others @ values[:, :, None] / left, 0)
        moved[..., slot] = (outputs - without).norm(dim=-1)
    return moved


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [(), *[(name,) for name in REDUCTIONS], REDUCTIONS], ids=str)
@pytest.mark.parametrize("mass", [True, False])
def test_a_backend_costs_what_it_says(kind: str, names: Sequence[str], mass: bool) -> None:
    task = problem(33, 64, group=7, head_dim=80).to(torch.bfloat16)
    with flop_counter() as counter:
        task.solve(kind, mass, names)
    product = 2 * task.query.numel() * task.keys.shape[2]
    products = 2 + BACKENDS[kind].extra_products(mass, names, 80)
    assert counter.get_total_flops() == products * product


@pytest.mark.parametrize("kind", KINDS)
def test_reductions_are_float32_in_half_precision(kind: str) -> None:
    task = problem(33, 64, group=7, head_dim=80).to(torch.bfloat16)
    attended = task.solve(kind, reductions=REDUCTIONS)
    assert attended.output.dtype == torch.bfloat16
    assert {value.dtype for value in attended.reduced.values()} == {torch.float32}
    torch.testing.assert_close(attended.mass, task.solve(kind).mass, atol=0, rtol=2e-6)
    weights = task.to(torch.float64).solve("plain", reductions=REDUCTIONS).reduced
    for name, value in attended.reduced.items():
        near = 1e-3 if name == "output_change" else 1e-5
        torch.testing.assert_close(value.double(), weights[name], atol=near, rtol=near)


class Largest(TorchDispatchMode):
    """Numbers in the largest tensor that came into being."""

    numbers = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return made


@pytest.mark.parametrize("needs_mass", [True, False])
def test_the_chunked_variant_never_holds_the_whole_matrix(
    needs_mass: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked, "CHUNK_NUMBERS", 4_000)
    task = problem(100, 300, group=2, head_dim=2)
    matrix = 4 * 100 * 400
    with Largest() as held:
        task.solve("chunked", needs_mass)
    assert held.numbers <= 4_000
    with Largest() as held:
        task.solve("plain", needs_mass)
    assert held.numbers >= matrix, "the meter sees the whole matrix where there is one"


def test_the_second_pass_for_mass_is_lean_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "CHUNK_NUMBERS", 4_000)
    monkeypatch.setattr(sdpa, "_mask", lambda _: None)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", lambda query, *_, **__: query)
    with Largest() as held:
        problem(100, 300, group=2, head_dim=2).solve("sdpa")
    assert held.numbers <= 4_000


@pytest.mark.parametrize(
    ("heads", "kv_heads", "keys", "rows"),
    [
        (14, 2, 1_295, 252),  # 36 queries of a group of 7
        (14, 2, 16_576, 126),  # not fewer, though they leave the cache
        (4, 4, 100, 100),
        (8, 8, 4_000_000, 1),  # one query, however much that is
    ],
)
def test_rows_at_a_time_suit_the_cache_and_matrix_products(
    heads: int, kv_heads: int, keys: int, rows: int
) -> None:
    shapes = (1, heads, 100, 8), (1, kv_heads, keys, 8)
    query, told = (torch.empty(1).expand(*shape) for shape in shapes)
    chunks = chunked.row_chunks(Inputs(query, told, told, 1.0, Visibility()))
    assert len(chunks[0]) * heads // kv_heads == rows
    assert torch.equal(torch.cat(chunks), torch.arange(100))


CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_is_the_backend_of_fewest_products_on_the_cpu() -> None:
    for place in (None, Place(CPU, torch.bfloat16, 64)):
        assert choose("auto", place=place).name == "sdpa"
        assert choose("auto", needs_mass=True, place=place).name == "chunked"
        assert choose("auto", reductions=("output_change",), place=place).name == "chunked"
        assert choose("auto", in_blocks=True, place=place).name == "chunked"
        assert choose("plain", needs_mass=True, place=place).name == "plain"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_auto_is_flex_on_cuda_where_frames_pass_or_keys_come_in_blocks(dtype: torch.dtype) -> None:
    place = Place(CUDA, dtype, 64)
    assert choose("auto", place=place).name == "flex"
    assert choose("auto", needs_mass=True, place=place).name == "flex"
    assert choose("auto", in_blocks=True, question=True, place=place).name == "flex"
    assert choose("auto", question=True, place=place).name == "sdpa"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (Place(CUDA, torch.float64, 64), r"its CUDA kernel has no torch\.float64; take a model in"),
        (Place(CUDA, torch.float32, 8), "its CUDA kernel takes heads of 16 to 256 numbers, not 8"),
        (Place(CUDA, torch.float32, 512), "heads of 16 to 256 numbers, not 512"),
    ],
)
def test_a_wish_for_flex_where_it_cannot_run_is_refused_and_auto_says_what_it_took(
    place: Place, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match=rf"='flex': .*{why}.*, or one of \('auto', 'sdpa'"):
        choose("flex", place=place)
    say_once.cache_clear()
    with caplog.at_level(logging.INFO):
        taken = [choose("auto", needs_mass=True, place=place).name for _ in range(3)]
    assert taken == ["chunked"] * 3
    warning, info = caplog.messages
    assert re.search(f"attention='auto' cannot take flex: .*{why}", warning)
    assert info == "attention with mass on cuda: chunked"


def test_flex_needs_triton_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(CUDA, torch.bfloat16, 64)
    monkeypatch.setattr(flex, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="compiled by triton, which is not installed, or one of"):
        choose("flex", place=place)
    assert choose("flex", place=Place(CPU, torch.float64, 8)).name == "flex"


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"attention must be one of .*'chunked'.*, got 'flash'"):
        choose("flash")


def test_a_backend_is_only_asked_for_what_it_supports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked.Chunked, "reductions", {"max": 0})
    assert choose("auto", reductions=("max",)).name == "chunked"
    assert choose("auto", reductions=("max", "squares")).name == "plain"
    with pytest.raises(
        ValueError,
        match=r"attention='chunked' supports the reductions \('max',\), not all of "
        r"\('squares',\): take one of \('auto', 'sdpa', 'plain', 'flex'\)",
    ):
        choose("chunked", reductions=("squares",))
