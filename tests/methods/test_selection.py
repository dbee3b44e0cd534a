"""Hashed priorities behave like independent uniform numbers; pooling counts what is there."""

from __future__ import annotations

import torch

from crossframe.methods.selection import hashed_priority, pooled_mean


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


def test_a_pooled_mean_leaves_out_what_does_not_count() -> None:
    score = torch.tensor([[[9.0, 1.0, 2.0, 6.0, 4.0], [9.0, 9.0, 9.0, 6.0, 4.0]]])
    counted = torch.tensor([[[False, True, True, True, True], [False, False, False, True, True]]])
    expected = [[1.0, 1.5, 3.0, 4.0, 5.0], [0.0, 0.0, 6.0, 5.0, 5.0]]
    assert pooled_mean(score, counted, 3).tolist() == [expected]
    assert pooled_mean(score, counted, 1).tolist() == [[[0, 1, 2, 6, 4], [0, 0, 0, 6, 4]]]
    assert pooled_mean(score, counted, 11)[0, :, 0].tolist() == [3.25, 5.0]
