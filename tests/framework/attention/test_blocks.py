"""Keys that come a block at a time give what they give joined, and are not all held at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from weakref import ref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework.attention.attend import BACKENDS, Attended
from crossframe.framework.attention.backend import Visibility
from crossframe.framework.attention.blocks import KeyBlock, attend_blocks
from crossframe.framework.attention.reductions import REDUCTIONS
from crossframe.framework.testing.flop_counting import flop_counter

from .problems import KINDS, Problem, by_loops, problem, problems


@dataclass
class Cut:
    """A problem whose keys come in blocks that end where `ends` says; counts the blocks alive."""

    task: Problem
    ends: list[int]
    most_alive: int = 0
    _seen: list[ref[Tensor]] = field(default_factory=list)

    def _columns(self, start: int, end: int | None) -> tuple[Tensor, Tensor, Tensor | None]:
        valid = self.task.visibility.valid
        keys, values = (part[:, :, start:end].clone() for part in self.task[1:3])
        return keys, values, None if valid is None else valid[:, :, start:end]

    def __iter__(self) -> Iterator[KeyBlock]:
        for start, end in pairwise([0, *self.ends]):
            block = KeyBlock(*self._columns(start, end))
            self._seen += [ref(block.keys), ref(block.values)]
            self.most_alive = max(self.most_alive, sum(one() is not None for one in self._seen))
            yield block
            del block

    @property
    def last(self) -> tuple[Tensor, Tensor, Visibility]:
        keys, values, valid = self._columns(self.ends[-1] if self.ends else 0, None)
        return keys, values, Visibility(self.task.visibility.block, valid)

    def solve(
        self, kind: str, needs_mass: bool = True, reductions: tuple[str, ...] = ()
    ) -> Attended:
        keys, values, visibility = self.last
        return attend_blocks(
            self.task.query,
            self,
            keys,
            values,
            backend=BACKENDS[kind],
            scale=self.task.query.shape[-1] ** -0.5,
            visibility=visibility,
            needs_mass=needs_mass,
            reductions=reductions,
        )


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """Blocks of any number of slots, one and none among them; the last may hold carried slots."""
    task = draw(problems())
    carried = task.keys.shape[2] - task.query.shape[2]
    return Cut(task, sorted(draw(st.lists(st.integers(0, carried), max_size=4))))


@given(cuts(), st.sampled_from([torch.float64, torch.float32]))
def test_blocks_equal_the_loops_over_all_keys(cut: Cut, dtype: torch.dtype) -> None:
    output, mass, _ = by_loops(cut.task)
    cut.task = cut.task.to(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for kind in KINDS:
        got = cut.solve(kind)
        assert got.mass is not None
        assert got.output.dtype == got.mass.dtype == dtype
        torch.testing.assert_close(got.output.double(), output, atol=tolerance, rtol=0)
        torch.testing.assert_close(got.mass.double(), mass, atol=tolerance, rtol=1e-6)
        torch.testing.assert_close(cut.solve(kind, needs_mass=False).output, got.output)


@given(cuts(), st.sampled_from(KINDS))
def test_reductions_over_blocks_equal_those_over_all_keys(cut: Cut, kind: str) -> None:
    expected = cut.task.solve(kind, reductions=REDUCTIONS)
    got = cut.solve(kind, reductions=REDUCTIONS)
    for name in REDUCTIONS:
        near = 1e-6 if name == "output_change" else 1e-12
        torch.testing.assert_close(got.reduced[name], expected.reduced[name], atol=near, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_may_have_nothing_in_a_block(kind: str) -> None:
    """Its LSE there is -inf, which must not make NaN of what it sees elsewhere."""
    valid = torch.arange(9) >= torch.tensor([[0, 6]])[..., None]
    task = problem(2, 7, group=7, visibility=Visibility(valid=valid))
    got, (output, mass, _) = Cut(task, [3, 4, 7]).solve(kind), by_loops(task)
    torch.testing.assert_close(got.output, output, atol=1e-12, rtol=0)
    torch.testing.assert_close(got.mass, mass, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("new", [1, 259])
def test_half_precision_in_blocks_errs_at_most_twice_as_much_as_joined(kind: str, new: int) -> None:
    """Both against float64 on the same rounded numbers."""
    task = problem(new, 300, group=7, head_dim=80).to(torch.bfloat16)
    exact, whole = task.to(torch.float64).solve("plain"), task.solve("plain")
    blocks = Cut(task, list(range(1, 300, 37))).solve(kind)
    assert blocks.output.dtype == torch.bfloat16
    for true, got, joined in zip(exact[:2], blocks[:2], whole[:2], strict=True):
        assert true is not None
        assert got is not None
        assert joined is not None
        error, allowed = ((part.double() - true).abs().max() for part in (got, joined))
        # An output is rounded once a block and once at the end; a mass of few queries is exact.
        assert error <= 2 * allowed + 1e-6, f"{error:.2e}, joined {allowed:.2e}"


@pytest.mark.parametrize("kind", KINDS)
def test_one_block_is_held_at_a_time(kind: str) -> None:
    cut = Cut(problem(3, 40, group=2), [10, 20, 30, 40])
    cut.solve(kind, reductions=REDUCTIONS)
    assert cut.most_alive == 2, "keys and values of one block"
    assert cut.most_alive == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mass", [True, False])
@pytest.mark.parametrize("reductions", [(), ("max",), REDUCTIONS], ids=str)
def test_blocks_cost_what_the_backend_says(
    kind: str, mass: bool, reductions: tuple[str, ...]
) -> None:
    task = problem(33, 64, group=7, head_dim=80).to(torch.bfloat16)
    with flop_counter() as counter:
        Cut(task, [5, 64]).solve(kind, mass, reductions)
    product = 2 * task.query.numel() * task.keys.shape[2]
    products = 2 + BACKENDS[kind].extra_products(mass, reductions, 80, in_blocks=True)
    assert counter.get_total_flops() == products * product


def test_mass_of_blocks_that_come_only_once_is_refused() -> None:
    cut = Cut(problem(3, 6), [2, 6])
    keys, values, visibility = cut.last
    with pytest.raises(ValueError, match=r"blocks is a generator.* two passes: give a list, or an"):
        attend_blocks(
            cut.task.query,
            iter(cut),
            keys,
            values,
            backend=BACKENDS["plain"],
            scale=1.0,
            visibility=visibility,
            needs_mass=True,
        )
