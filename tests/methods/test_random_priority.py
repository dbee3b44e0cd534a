"""Hashed priorities behave like independent uniform numbers, and memories draw by them."""

from __future__ import annotations

import pytest
import torch

from crossframe.methods import RandomMemory, ReservoirMemory
from crossframe.methods.random_priority import hashed_priority

EACH = pytest.mark.parametrize("kind", [RandomMemory, ReservoirMemory])


def test_priorities_are_uniform_and_independent_of_each_other() -> None:
    first = hashed_priority(torch.arange(20_000), 0)
    second = hashed_priority(torch.arange(20_000), 1)
    assert first.min() >= 0 and first.max() < 1
    assert abs(first.mean() - 0.5) < 0.01
    assert abs(first.std() - 12**-0.5) < 0.01
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([first[1:], first[:-1]]))[0, 1]) < 0.03


def test_the_first_numbers_are_those_of_splitmix64() -> None:
    # Published test vector: SplitMix64 seeded with 0 begins with this number.
    first = hashed_priority(torch.tensor([0]))
    assert first.item() == (0xE220A8397B1DCDAF >> 11) / 2**53


def test_salts_larger_than_any_integer_register_are_taken() -> None:
    assert torch.isfinite(hashed_priority(torch.tensor([1]), 2**70, -5)).all()


def test_a_salt_draws_the_same_as_an_integer_and_as_a_tensor() -> None:
    index, salts = torch.arange(50), torch.tensor([[0], [7], [-3], [2**62]])
    together = hashed_priority(index, salts, 5)
    for row, salt in zip(together, salts.flatten().tolist(), strict=True):
        assert torch.equal(row, hashed_priority(index, salt, 5))


@EACH
def test_the_seed_alone_decides(frames, open_session, kind: type) -> None:
    def kept(seed: int) -> torch.Tensor:
        session = open_session(kind(6, seed=seed))
        for frame in frames(*[5] * 8):
            session.push(frame)
        return session.slots(1).index

    assert torch.equal(kept(1), kept(1))
    assert not torch.equal(kept(1), kept(2))


@EACH
def test_layers_and_heads_draw_apart(frames, open_session, kind: type) -> None:
    session = open_session(kind(6))
    session.push(frames(*[5] * 8))
    first, second = (session.slots(layer).index[0] for layer in range(2))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])
