"""Streams counted from elsewhere: only differences of positions matter, and they stay small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    FrameTokens,
    FullMemory,
    NoArchive,
    ReadAll,
    ScoringMemory,
    Slots,
    VideoModel,
    VideoSession,
)
from crossframe.framework.frame_tokens import Cursor, advance
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.origin import FARTHEST, Origin
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    MergedEvictions,
    ProtectedSinks,
    ReadCarried,
    ReadLastFrames,
    ReadSinksAndRecent,
    ReKVReader,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
    StreamMemMemory,
    TokenDroppingMemory,
)

PLAN = 48
QUESTION = torch.tensor([[3, 1, 4]])
FAR = [2**20, 2**24, 2**31]


@dataclass(frozen=True)
class Probed(ScoringMemory):
    """Keep what a text behind the stream looks at."""

    def probe(self, model: VideoModel) -> Tensor:
        return torch.tensor([[5, 6]])

    def score(self, slots: Slots) -> Tensor:
        assert slots.probe_mass is not None
        return slots.probe_mass


MOVING = [
    ContiguousPositions(StateKVMemory(9)),
    ContiguousPositions(StateKVMemory(9), max_reach=30),
    ContiguousPositions(ProtectedSinks(StateKVMemory(9), tokens=2)),
    ContiguousPositions(AdaptiveHeadBudgets(StateKVMemory(6), floor=0.0), max_reach=30),
    ContiguousPositions(SlidingWindowMemory(2), max_reach=30),
    ContiguousPositions(TokenDroppingMemory(StateKVMemory(9), ratio=0.5)),
    ContiguousPositions(Probed(9)),
    MergedEvictions(SinksAndRecentMemory(9, positions="contiguous"), threshold=-1.0),
]
SHORT = [
    ReadCarried(),
    ReadLastFrames(2, prompt=False),
    ReadSinksAndRecent(num_sinks=0, recent=6),
    ReKVReader(blocks=2),
]


class Angles(ReferenceDecoder):
    """Notes the largest angle, in positions, that anything was ever rotated by."""

    largest = 0

    def rotate(self, keys: Tensor, delta: Tensor, max_tokens: int) -> Tensor:
        if delta.numel():
            self.largest = max(self.largest, int(delta.abs().max()))
        return super().rotate(keys, delta, max_tokens)


def stream(count: int, start: int = 0, axes: int = 1, batch: int = 1) -> list[FrameTokens]:
    """Frames of a marker and a 1 x 3 grid each."""
    generator, cursor, made = torch.Generator().manual_seed(0), Cursor(position=start), []
    for _ in range(count):
        place = cursor.position + torch.arange(4).expand(axes, batch, 4)
        if axes == 3:
            place = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 2, 3]])[:, None]
            place = (cursor.position + place).expand(3, batch, 4)
        visual = torch.tensor([False, True, True, True]).expand(batch, 4)
        embeds = torch.randn(batch, 4, 24, generator=generator, dtype=torch.float64)
        made.append(FrameTokens(embeds, place, visual))
        cursor = advance(cursor, made[-1])
    return made


def opened(memory, model=None, plan: int | None = PLAN, **options) -> VideoSession:
    return VideoSession(model or ReferenceDecoder(), memory, max_tokens=plan, **options)


def differ(one: VideoSession, other: VideoSession) -> float:
    """Largest difference of the question's logits; kept slots and their places must agree."""
    by = one.cursor.position - other.cursor.position
    for layer in range(2):
        got, expected = one.slots(layer), other.slots(layer)
        assert torch.equal(got.index, expected.index)
        real = expected.index >= 0
        assert torch.equal(got.positions[:, real] - by, expected.positions[:, real])
    logits = one.question_logits(QUESTION), other.question_logits(QUESTION)
    return float((logits[0] - logits[1]).abs().max())


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("memory", MOVING, ids=repr)
def test_a_stream_whose_origin_moves_equals_one_counted_from_zero(memory, axes) -> None:
    frames, model = stream(75, axes=axes, batch=2), Angles(axes=axes)
    moves, zero = opened(memory, model, reader=ReadCarried()), ReferenceDecoder(axes=axes)
    stays = opened(memory, zero, None, reader=ReadCarried())
    origins = set()
    for number, frame in enumerate(frames):
        moves.push(frame)
        stays.push(frame)
        origins.add(moves.state.origin.now)
        if number % 5 == 4 or moves.state.origin.now == int(frame.positions[0].min()):
            assert differ(moves, stays) < 1e-9
    assert len(origins) >= 5 and stays.state.origin == Origin()
    assert model.largest <= 2 * PLAN


@pytest.mark.parametrize("reader", SHORT, ids=repr)
@pytest.mark.parametrize("axes", [1, 3])
def test_what_readers_pick_of_the_archive_reads_as_if_counted_from_zero(reader, axes) -> None:
    frames, model = stream(60, axes=axes), Angles(axes=axes)
    memory = MOVING[0]
    moves, stays = opened(memory, model, reader=reader), opened(memory, None, None, reader=reader)
    stays.model = ReferenceDecoder(axes=axes)
    for frame in frames:
        moves.push(frame)
        stays.push(frame)
        assert differ(moves, stays) < 1e-9
    assert model.largest <= 2 * PLAN


@pytest.mark.parametrize("start", FAR)
@pytest.mark.parametrize("memory", MOVING, ids=repr)
def test_a_stream_that_starts_far_away_equals_one_that_starts_at_zero(memory, start) -> None:
    model = Angles()
    far, near = (opened(memory, m, reader=ReadCarried()) for m in (model, ReferenceDecoder()))
    for one, other in zip(stream(40, start), stream(40), strict=True):
        far.push(one)
        near.push(other)
    assert differ(far, near) == 0  # all angles are the same numbers
    assert far.state.origin.moved == near.state.origin.now > 0
    assert model.largest <= 2 * PLAN


STAYING = [
    FullMemory(),
    StateKVMemory(9),
    StreamMemMemory(9, probe_ids=(5, 6)),
    MergedEvictions(StateKVMemory(9), threshold=-1.0),
]


@pytest.mark.parametrize("start", FAR)
@pytest.mark.parametrize("memory", STAYING, ids=repr)
def test_also_without_moving_slots_a_short_stream_may_start_anywhere(memory, start) -> None:
    far, near = opened(memory), opened(memory)
    far.push(stream(9, start))
    near.push(stream(9))
    assert differ(far, near) == 0
    assert int(far.slots(0).positions.min()) >= start  # told as the stream has them
    assert far.state.origin == Origin(start, start)


def test_while_the_stream_fits_its_plan_nothing_is_moved_or_added() -> None:
    session = opened(MOVING[1])
    session.push(stream(PLAN // 4))
    assert session.state.origin == Origin()
    assert "origin" not in session.archive.columns
    session.push(stream(1, PLAN))
    assert session.state.origin == Origin(0, PLAN)
    assert session.archive.columns["origin"].joined().unique().tolist() == [0, PLAN]


def test_forks_and_saved_sessions_go_on_across_a_move(tmp_path: Path) -> None:
    frames, memory = stream(70, start=2**31), MOVING[0]
    whole = opened(memory, reader=SHORT[3])
    whole.push(frames)
    session = opened(memory, reader=SHORT[3])
    for number, frame in enumerate(frames):
        session.push(frame)
        if number % 10 == 5:
            session.save(tmp_path / "saved")
            session = VideoSession.load(tmp_path / "saved", session.model)
        if number % 10 == 9:
            other, session = session, session.fork()
            other.push(frame)
    assert session.state.origin == whole.state.origin
    assert differ(session, whole) == 0


def test_a_failed_push_leaves_the_origin_and_the_archive_as_they_were() -> None:
    frames = stream(13)
    session, quiet = (opened(MOVING[0], reader=ReadCarried()) for _ in range(2))
    for one in (session, quiet):
        one.push(frames[:12])
    bad = replace(frames[12], embeds=frames[12].embeds * float("nan"))
    with pytest.raises(ValueError, match="NaN or Inf"):
        session.push([frames[12], bad])
    assert session.state.origin == Origin()
    assert "origin" not in session.archive.columns
    assert differ(session, quiet) == 0


@pytest.mark.parametrize("memory", [FullMemory(), StateKVMemory(9)], ids=repr)
def test_slots_that_stay_in_place_are_refused_before_precision_is_lost(memory) -> None:
    session = opened(memory)
    session.push(stream(2))
    session.push(stream(1, FARTHEST - 4))
    session.question_logits(QUESTION)
    with pytest.raises(ValueError, match=r"position 4194308 .* up to 4194304 .* Contiguous"):
        session.push(stream(1, FARTHEST + 1))
    assert session.cursor.tokens == 12


def test_a_question_far_behind_the_frames_is_refused() -> None:
    session = opened(FullMemory())
    session.push([replace(frame, next_position=2**24) for frame in stream(1)])
    with pytest.raises(ValueError, match="position 16777216 lies 16777216 positions from 0"):
        session.question_logits(QUESTION)


def leaps(by: int, count: int) -> Sequence[FrameTokens]:
    return [stream(1, number * by)[0] for number in range(count)]


@dataclass(frozen=True)
class Stays(ScoringMemory):
    """Promises a reach and moves nothing."""

    def reach(self, frame_tokens: int) -> int:
        return 30

    def score(self, slots: Slots) -> Tensor:
        return slots.index


def test_slots_that_were_not_moved_along_are_refused() -> None:
    session = opened(Stays(30), reader=ReadCarried())
    session.push(leaps(FARTHEST // 3, 3))
    assert session.question_logits(QUESTION).isfinite().all()
    with pytest.raises(ValueError, match=r"so far behind the next token .* 4194304 positions"):
        session.push(leaps(FARTHEST // 3, 5)[3:])
    assert session.cursor.tokens == 12


def test_a_leap_too_far_to_rotate_across_is_refused() -> None:
    session = opened(MOVING[0], reader=ReadCarried())
    session.push(leaps(FARTHEST // 3, 9))
    assert session.slots(0).positions.diff(dim=-1).unique().tolist() == [1]
    before = session.cursor
    with pytest.raises(ValueError, match=r"position 2000000000 lies \d+ positions from"):
        session.push(stream(1, 2_000_000_000))
    assert session.cursor == before


def test_what_a_leaping_stream_archived_far_back_is_not_read() -> None:
    session = opened(ContiguousPositions(StateKVMemory(6)), reader=ReadAll())
    session.push(leaps(FARTHEST // 2, 4))
    with pytest.raises(ValueError, match="positions from 0, but float32 rotary"):
        session.question_logits(QUESTION)
    assert session.fork(reader=ReadCarried()).question_logits(QUESTION).isfinite().all()


def test_a_plan_beyond_precision_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"at most 4194304, got 4194305.* ContiguousPositions"):
        opened(FullMemory(), plan=FARTHEST + 1)
    opened(FullMemory(), plan=FARTHEST)


def test_an_endless_stream_of_constant_memory() -> None:
    model = Angles()
    session = opened(MOVING[0], model, reader=ReadCarried(), archive=NoArchive())
    session.push(stream(600, start=2**31 - 100))
    assert len({cost.state_bytes for cost in session.costs[20:]}) == 1
    assert model.largest <= 2 * PLAN
    assert session.ask([3, 1, 4], max_new_tokens=3).first_logits.isfinite().all()
