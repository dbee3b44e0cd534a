"""Hashed priorities behave like independent uniform numbers."""

from __future__ import annotations

import torch

from crossframe.methods.random_priority import hashed_priority


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
