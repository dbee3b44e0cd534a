"""Quantised archives: codes against plain loops, errors within bounds, bytes by closed form."""

from __future__ import annotations

import math
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import (
    Archive,
    FrameTokens,
    FullMemory,
    Int4Archive,
    Int8Archive,
    VideoSession,
)
from crossframe.framework.archives.storage import ArchiveStorage
from crossframe.framework.flops import DecoderSpec
from crossframe.framework.reference import ReferenceDecoder

QUESTION = torch.tensor([[3, 1, 4, 1, 5]])


def bfloat16_below(number: float) -> float:
    """The largest bfloat16 not above the number: upper half, one more for a cut negative."""
    bits = struct.unpack("<I", struct.pack("<f", number))[0]
    short, rest = bits >> 16, bits & 0xFFFF
    if rest and bits >> 31:
        short += 1
    return struct.unpack("<f", struct.pack("<I", short << 16))[0]


def by_loops(vector: list[float], group: int, top: int) -> list[float]:
    """The vector as an archive of `top` + 1 levels gives it back."""
    back = []
    for start in range(0, len(vector), group):
        part = vector[start : start + group]
        low = bfloat16_below(min(part))
        step = -bfloat16_below(float32((float32(low) - max(part)) / top))
        for number in part:
            code = round(float32((number - low) / step)) if step else 0
            back.append(low + min(code, top) * step)
    return back


def float32(number: float) -> float:
    return struct.unpack("<f", struct.pack("<f", number))[0]


def levels(archive: Archive, head_dim: int) -> tuple[int, int]:
    """The group and the highest code that an archive uses."""
    return (archive.group, 15) if isinstance(archive, Int4Archive) else (head_dim, 255)


def there_and_back(archive: Archive, rows: Tensor) -> Tensor:
    keys, values = archive.unpack(archive.pack(rows, -rows))
    assert torch.equal(archive.unpack(archive.pack(-rows, rows))[1], keys)
    assert keys.dtype == values.dtype == torch.float32
    return keys


def outlier_keys(tokens: int, head_dim: int, seed: int = 0) -> Tensor:
    """[1, 2, tokens, head_dim]: unit noise, and three slow channel pairs around 6 to 20, rotated by
    position as RoPE does; trained keys have such channels."""
    generator = torch.Generator().manual_seed(seed)
    rows, half = torch.randn(1, 2, tokens, head_dim, generator=generator), head_dim // 2
    for channel, mean in ((half - 1, 20.0), (half - 5, 12.0), (half // 2, 6.0)):
        rows[..., channel] += mean
        rows[..., channel + half] -= 0.6 * mean
    angles = torch.arange(tokens)[:, None] * 10000.0 ** (-torch.arange(half) / half)
    first, second = rows.chunk(2, -1)
    return torch.cat(
        [
            first * angles.cos() - second * angles.sin(),
            second * angles.cos() + first * angles.sin(),
        ],
        -1,
    )


ARCHIVES: list[Archive] = [
    Int8Archive(),
    Int4Archive(),
    Int4Archive(group=5),
    Int4Archive(group=1),
    Int4Archive(group=999),
]


@pytest.mark.parametrize("archive", ARCHIVES, ids=repr)
@pytest.mark.parametrize("head_dim", [2, 80])
def test_every_number_comes_back_as_by_plain_loops(archive: Archive, head_dim: int) -> None:
    rows = torch.randn(2, 3, 7, head_dim) * torch.logspace(-3, 3, 7)[:, None]
    got = there_and_back(archive, rows)
    for row, vector in zip(got.view(-1, head_dim), rows.view(-1, head_dim), strict=True):
        expected = by_loops(vector.tolist(), *levels(archive, head_dim))
        torch.testing.assert_close(row, torch.tensor(expected), rtol=1e-6, atol=0)


NUMBERS = st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)


@pytest.mark.parametrize("archive", ARCHIVES, ids=repr)
@given(st.lists(NUMBERS, min_size=1, max_size=9), st.sampled_from([torch.float32, torch.float64]))
def test_no_number_is_off_by_more_than_half_a_step(
    archive: Archive, numbers: list[float], dtype: torch.dtype
) -> None:
    vector = torch.tensor(numbers + numbers[::-1], dtype=dtype)
    got = there_and_back(archive, vector.view(1, 1, 1, -1))[0, 0, 0]
    group, top = levels(archive, len(vector))
    for part, back in zip(vector.split(group), got.double().split(group), strict=True):
        # bfloat16 rounds low and step by less than 1/128 of either.
        low, high = float(part.min()), float(part.max())
        step = (high - low + abs(low) / 128) / top * (1 + 1 / 128)
        rounding = 1e-6 * float(part.abs().max()) + 1e-38
        assert float((back - part).abs().max()) <= step / 2 + rounding


def test_equal_numbers_come_back_as_they_are() -> None:
    for number in (0.0, -0.75, 1.5, 2.0**70):
        rows = torch.full((1, 1, 2, 6), number)
        for archive in ARCHIVES:
            assert torch.equal(there_and_back(archive, rows), rows)


def test_a_number_that_is_none_stays_visible() -> None:
    rows = torch.ones(1, 1, 1, 64)
    rows[..., 40] = float("nan")
    for archive, lost in ((Int8Archive(), range(64)), (Int4Archive(), range(32, 64))):
        for back in archive.unpack(archive.pack(rows, rows)):
            assert back[0, 0, 0].isnan().nonzero()[:, 0].tolist() == list(lost)


def test_the_last_smaller_group_has_a_range_of_its_own() -> None:
    rows = torch.randn(1, 1, 4, 80)
    rows[..., :64] *= 1000
    got = there_and_back(Int4Archive(group=32), rows)
    assert float((got - rows)[..., 64:].abs().max()) < 0.3
    assert torch.equal(got[..., 64:], there_and_back(Int4Archive(group=32), rows[..., 64:]))


@pytest.mark.parametrize("archive", ARCHIVES, ids=repr)
@pytest.mark.parametrize("head_dim", [2, 8, 64, 80, 128])
def test_bytes_per_token_follow_the_closed_form(archive: Archive, head_dim: int) -> None:
    storage = ArchiveStorage(archive, 1)
    for _ in range(3):
        storage.append_layer(0, torch.randn(2, 3, 5, head_dim), torch.randn(2, 3, 5, head_dim))
    packed = [paged.joined() for paged in storage.layers[0].values()]
    measured = sum(tensor.numel() * tensor.element_size() for tensor in packed)
    per_vector = head_dim + 4
    if isinstance(archive, Int4Archive):
        per_vector = head_dim // 2 + 4 * math.ceil(head_dim / archive.group)
    assert measured == (2 * 3 * 15) * 2 * per_vector


def test_an_odd_head_dim_is_refused_where_two_numbers_share_a_byte() -> None:
    spec = DecoderSpec(1, 8, 8, 1, 1, 3, 5)
    session = VideoSession(ReferenceDecoder(spec), FullMemory(), archive=Int4Archive())
    rows = torch.randn(1, 1, 2, 3)
    with pytest.raises(ValueError, match="head_dim must be even, got 3; use Int8Archive"):
        session.archive.append_layer(0, rows, rows)
    assert there_and_back(Int8Archive(), rows).shape == rows.shape


@pytest.mark.parametrize("group", [0, -32, 2.0, True, None])
def test_a_group_that_is_no_count_is_refused(group: int) -> None:
    with pytest.raises(ValueError, match=r"Int4Archive: group must be an integer of at least 1, g"):
        Int4Archive(group=group)


# Measured, with 10 to 25 % to spare: relative Frobenius error of keys, and of logits of random
# queries over them.
ERRORS = [
    ("noise", Int8Archive(), 0.0065, 0.0065),
    ("noise", Int4Archive(), 0.087, 0.087),
    ("outliers", Int8Archive(), 0.016, 0.02),
    ("outliers", Int4Archive(), 0.12, 0.15),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kind", "archive", "of_keys", "of_logits"), ERRORS)
def test_relative_errors_stay_as_small_as_measured(
    kind: str, archive: Archive, of_keys: float, of_logits: float, dtype: torch.dtype
) -> None:
    keys = outlier_keys(512, 128) if kind == "outliers" else torch.randn(1, 2, 512, 128)
    keys = keys.to(dtype)
    got, keys = there_and_back(archive, keys), keys.float()
    queries = torch.randn(1, 2, 32, 128)
    logits, near = (queries @ rows.transpose(-1, -2) for rows in (keys, got))
    assert 0.5 * of_keys < (got - keys).norm() / keys.norm() < of_keys
    assert 0.5 * of_logits < (near - logits).norm() / logits.norm() < of_logits


# Measured 0.0106 and 0.246, in bfloat16 0.0242 and 0.251, all with random weights.
@pytest.mark.parametrize(
    ("archive", "dtype", "bound"),
    [
        (Int8Archive(), torch.float64, 0.013),
        (Int8Archive(), torch.float32, 0.013),
        (Int8Archive(), torch.bfloat16, 0.03),
        (Int4Archive(), torch.float64, 0.3),
        (Int4Archive(), torch.float32, 0.3),
        (Int4Archive(), torch.bfloat16, 0.3),
    ],
)
def test_question_logits_stay_near_those_of_a_plain_archive(
    archive: Archive, bound: float, dtype: torch.dtype
) -> None:
    spec = DecoderSpec(3, 64, 96, 4, 2, 32, 101)
    near, plain = (
        VideoSession(ReferenceDecoder(spec, float_type=dtype), FullMemory(), archive=each)
        for each in (archive, None)
    )
    for session in (near, plain):
        generator = torch.Generator().manual_seed(0)
        for start in range(0, 160, 16):
            embeds = torch.randn(1, 16, 64, generator=generator).to(dtype)
            session.push(FrameTokens(embeds, torch.arange(start, start + 16)[None, None]))
    got, expected = (session.question_logits(QUESTION).double() for session in (near, plain))
    error = float((got - expected).norm() / expected.norm())
    assert 0 < error < bound
