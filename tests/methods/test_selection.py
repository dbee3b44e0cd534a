"""Pooling counts what is there."""

from __future__ import annotations

import torch

from crossframe.methods.selection import pooled_max, pooled_mean


def test_a_pooled_mean_leaves_out_what_does_not_count() -> None:
    score = torch.tensor([[[9.0, 1.0, 2.0, 6.0, 4.0], [9.0, 9.0, 9.0, 6.0, 4.0]]])
    counted = torch.tensor([[[False, True, True, True, True], [False, False, False, True, True]]])
    expected = [[1.0, 1.5, 3.0, 4.0, 5.0], [0.0, 0.0, 6.0, 5.0, 5.0]]
    assert pooled_mean(score, counted, 3).tolist() == [expected]
    assert pooled_mean(score, counted, 1).tolist() == [[[0, 1, 2, 6, 4], [0, 0, 0, 6, 4]]]
    assert pooled_mean(score, counted, 11)[0, :, 0].tolist() == [3.25, 5.0]


def test_a_pooled_maximum_leaves_out_what_does_not_count() -> None:
    score = torch.tensor([[[9.0, 1.0, 2.0, 6.0, 4.0], [9.0, 9.0, 9.0, 6.0, 4.0]]])
    counted = torch.tensor([[[False, True, True, True, True], [False, False, False, True, True]]])
    expected = [[1.0, 2.0, 6.0, 6.0, 6.0], [0.0, 0.0, 6.0, 6.0, 6.0]]
    assert pooled_max(score, counted, 3).tolist() == [expected]
    assert pooled_max(score, counted, 1).tolist() == [[[0, 1, 2, 6, 4], [0, 0, 0, 6, 4]]]
    assert pooled_max(score, counted, 11)[0, :, 0].tolist() == [6.0, 6.0]
