"""Token dropping thins frames before the decoder and keeps places."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from crossframe.framework import FrameTokens, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import RecencyMemory, TokenDroppingMemory

from ..loops import cosine


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
    return session.archive.columns["index"].joined()[0].tolist()


def test_only_changed_tokens_enter_with_their_places(open_session) -> None:
    session = open_session(TokenDroppingMemory(threshold=0.5))
    session.push(_pair([1, 4]))
    assert _archived(session) == [0, 1, 2, 3, 4, 5, 7, 10]
    positions = session.archive.columns["positions"].joined()[0, 0].tolist()
    assert positions == [0, 1, 2, 3, 4, 5, 7, 10]
    assert session.cursor.tokens == 12


def test_a_ratio_drops_that_share_of_the_most_similar(open_session) -> None:
    session = open_session(TokenDroppingMemory(ratio=0.5))
    session.push(_pair([0, 2, 5]))
    assert _archived(session) == [0, 1, 2, 3, 4, 5, 6, 8, 11]


def _near(frames: int, tokens: int, dtype: torch.dtype) -> list[FrameTokens]:
    """Frames in which tokens have changed between not at all and wholly."""
    generator = torch.Generator().manual_seed(0)
    embeds = [torch.randn(1, tokens, 24, generator=generator, dtype=torch.float64)]
    for _ in range(frames - 1):
        share = torch.rand(1, tokens, 1, generator=generator, dtype=torch.float64) ** 2
        share = share.masked_fill(share < 0.05, 0)
        fresh = torch.randn(1, tokens, 24, generator=generator, dtype=torch.float64)
        embeds.append((1 - share) * embeds[-1] + share * fresh)
    places = torch.arange(frames * tokens).split(tokens)
    return [FrameTokens(e.to(dtype), p[None, None]) for e, p in zip(embeds, places, strict=True)]


def _released(
    frames: list[FrameTokens], *, threshold: float | None = None, ratio: float = 0.0
) -> list[list[int]]:
    """Places that stay in each frame by the released rule: above the threshold a token is dropped,
    or int(ratio * tokens) of the most similar are."""
    kept = [list(range(frames[0].num_tokens))]
    for before, frame in pairwise(frames):
        pairs = zip(before.embeds[0].tolist(), frame.embeds[0].tolist(), strict=True)
        likeness = [cosine(*pair) for pair in pairs]
        if threshold is not None:
            dropped = {place for place, cosine in enumerate(likeness) if cosine > threshold}
        else:
            ranked = sorted(range(len(likeness)), key=lambda place: -likeness[place])
            dropped = set(ranked[: int(len(likeness) * ratio)])
        kept.append([place for place in range(len(likeness)) if place not in dropped])
    return kept


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "settings", [{"threshold": t} for t in (0.25, 0.5, 0.95)] + [{"ratio": r} for r in (0.3, 0.85)]
)
def test_what_enters_is_what_the_release_keeps_frame_by_frame(settings: dict, dtype) -> None:
    frames = _near(8, 60, dtype)
    session = VideoSession(ReferenceDecoder(float_type=dtype), TokenDroppingMemory(**settings))
    session.push(frames)
    kept = _released(frames, **settings)
    assert all(kept)  # else the release drops the whole frame
    expected = [60 * frame + place for frame, places in enumerate(kept) for place in places]
    assert 60 < len(expected) < 8 * 60
    assert _archived(session) == expected


def test_only_the_least_similar_token_of_a_frame_stays_that_the_release_drops() -> None:
    frames = _near(4, 60, torch.float64)
    session = VideoSession(ReferenceDecoder(), TokenDroppingMemory(threshold=-1.0))
    session.push(frames)
    assert _released(frames, threshold=-1.0)[1:] == [[]] * 3
    expected = list(range(60))
    for number, (before, frame) in enumerate(pairwise(frames), start=1):
        pairs = zip(before.embeds[0].tolist(), frame.embeds[0].tolist(), strict=True)
        likeness = [cosine(*pair) for pair in pairs]
        expected.append(60 * number + likeness.index(min(likeness)))
    assert _archived(session) == expected


def test_cosines_are_compared_in_float32_whatever_the_models_dtype() -> None:
    # In bfloat16 both cosines and the threshold would be rounded to 1/256.
    frames = _near(30, 60, torch.bfloat16)
    model = ReferenceDecoder(float_type=torch.bfloat16)
    session = VideoSession(model, TokenDroppingMemory(threshold=0.95))
    session.push(frames)
    wide = [replace(frame, embeds=frame.embeds.float()) for frame in frames]
    exact = [60 * n + place for n, ps in enumerate(_released(wide, threshold=0.95)) for place in ps]
    assert _archived(session) == exact
    differ = 0
    for before, frame in pairwise(frames):
        narrow = torch.cosine_similarity(before.embeds, frame.embeds, dim=-1)
        exactly = torch.cosine_similarity(before.embeds.float(), frame.embeds.float(), dim=-1)
        differ += int(((narrow > 0.95) != (exactly > 0.95)).sum())
    assert differ > 0


def test_a_threshold_of_one_drops_nothing() -> None:
    # Rounding puts cosines of a vector with itself on either side of 1.
    still = _near(1, 300, torch.float32)[0]
    again = replace(still, positions=still.positions + 300)
    assert bool((torch.cosine_similarity(still.embeds, still.embeds, dim=-1) > 1).any())
    session = VideoSession(
        ReferenceDecoder(float_type=torch.float32), TokenDroppingMemory(threshold=1.0)
    )
    session.push([still, again])
    assert _archived(session) == list(range(600))


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
