"""Token dropping thins frames before the decoder and keeps places."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossframe.framework import FrameTokens
from crossframe.methods import RecencyMemory, TokenDroppingMemory


def _pair(changed: list[int], tokens: int = 6) -> list[FrameTokens]:
    """Two frames that differ only in the given tokens."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(1, tokens, 24, generator=generator, dtype=torch.float64)
    second = first.clone()
    second[:, changed] *= -1
    positions = torch.arange(2 * tokens)[None, None]
    return [
        FrameTokens(first, positions[..., :tokens]),
        FrameTokens(second, positions[..., tokens:]),
    ]


def _archived(session) -> list[int]:
    return session.archive.columns["index"].view()[0].tolist()


def test_only_changed_tokens_enter_with_their_places(open_session) -> None:
    session = open_session(TokenDroppingMemory(threshold=0.5))
    session.push(_pair([1, 4]))
    assert _archived(session) == [0, 1, 2, 3, 4, 5, 7, 10]
    positions = session.archive.columns["positions"].view()[0, 0].tolist()
    assert positions == [0, 1, 2, 3, 4, 5, 7, 10]
    assert session.cursor.tokens == 12


def test_a_ratio_drops_that_share_of_the_most_similar(open_session) -> None:
    session = open_session(TokenDroppingMemory(ratio=0.5))
    session.push(_pair([0, 2, 5]))
    assert _archived(session) == [0, 1, 2, 3, 4, 5, 6, 8, 11]


def test_a_still_frame_keeps_one_visual_token(open_session) -> None:
    session = open_session(TokenDroppingMemory(threshold=-1.0))
    session.push(_pair([]))
    assert len(_archived(session)) == 7


def test_the_comparison_is_with_the_whole_previous_frame(open_session) -> None:
    first, second = _pair([1])
    third = replace(second, positions=second.positions + 6)
    session = open_session(TokenDroppingMemory(threshold=0.5))
    session.push([first, second, third])
    # The third frame repeats the second, of which only one token entered; again one enters.
    assert len(_archived(session)) == 6 + 1 + 1


def test_text_markers_always_enter(open_session) -> None:
    visual = torch.tensor([[True, True, True, True, False, False]])
    frames = [replace(frame, visual=visual) for frame in _pair([])]
    session = open_session(TokenDroppingMemory(ratio=0.9))
    session.push(frames)
    assert _archived(session)[6:][-2:] == [10, 11]
    assert len(_archived(session)) == 6 + 1 + 2


def test_frames_of_another_token_count_enter_whole(frames, open_session) -> None:
    session = open_session(TokenDroppingMemory(ratio=0.9))
    session.push(frames(4, 6))
    assert len(_archived(session)) == 10


def test_a_longer_lead_in_does_not_hide_the_visual_tokens(open_session) -> None:
    # From frame 10 on the marker "Frame10: " has one token more than the frame before.
    first, second = _pair([1])
    lead = torch.zeros(1, 1, 24, dtype=torch.float64)
    longer = FrameTokens(
        embeds=torch.cat([lead, second.embeds], 1),
        positions=torch.arange(6, 13)[None, None],
        visual=torch.tensor([[False] + [True] * 6]),
    )
    session = open_session(TokenDroppingMemory(threshold=0.5))
    session.push([first, longer])
    assert _archived(session)[6:] == [6, 8]


def test_uniform_dropping_is_even(frames, open_session) -> None:
    session = open_session(TokenDroppingMemory(ratio=0.5, rule="uniform"))
    session.push(frames(8, 8))
    assert _archived(session)[8:] == [8, 10, 12, 14]


def test_random_dropping_depends_on_seed_and_frame(frames, open_session) -> None:
    def entered(seed: int) -> list[int]:
        session = open_session(TokenDroppingMemory(ratio=0.5, rule="random", seed=seed))
        session.push(frames(16, 16, 16))
        return _archived(session)[16:]

    assert entered(1) == entered(1) != entered(2)
    second, third = entered(1)[:8], entered(1)[8:]
    assert [n - 16 for n in third] != second


def test_the_inner_memory_decides_about_the_rest(open_session) -> None:
    session = open_session(TokenDroppingMemory(RecencyMemory(3), threshold=0.5))
    session.push(_pair([1, 4]))
    assert session.slots(0).index[0, 0].tolist() == [5, 7, 10]


def test_rows_that_would_drop_different_counts_are_an_error(open_session) -> None:
    one, other = _pair([1]), _pair([1, 2])
    both = [
        FrameTokens(torch.cat([a.embeds, b.embeds]), a.positions.expand(1, 2, -1))
        for a, b in zip(one, other, strict=True)
    ]
    session = open_session(TokenDroppingMemory(threshold=0.5))
    session.push(both[0])
    with pytest.raises(ValueError, match=r"rows of the batch would keep \[1, 2\] visual tokens"):
        session.push(both[1])
    assert session.cursor.frames == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give either ratio or threshold"),
        ({"ratio": 0.5, "threshold": 0.5}, "give either ratio or threshold"),
        ({"ratio": 1.0}, r"ratio must lie in \[0, 1\), got 1.0"),
        ({"ratio": -0.1}, r"ratio must lie in \[0, 1\), got -0.1"),
        ({"threshold": 1.5}, r"threshold is a cosine in \[-1, 1\].*1.5"),
        ({"threshold": 0.5, "rule": "random"}, "needs rule='cosine'"),
        ({"ratio": 0.5, "rule": "often"}, "rule must be one of .* got 'often'"),
        ({"ratio": 0.5, "inner": RecencyMemory}, "inner must be a CrossFrameMemory instance"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenDroppingMemory(**settings)
