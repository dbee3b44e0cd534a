"""Without an archive a stream is of constant memory from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crossframe.framework import FrameTokens, NoArchive, PlainArchive, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    ReadCarried,
    ReadLastFrames,
    StateKVMemory,
)

from ..streams import frames

QUESTION = torch.tensor([[3, 1, 4]])


def _frame(number: int, batch: int = 1) -> FrameTokens:
    return frames(4, start=4 * number, seed=number, batch=batch)[0]


def _session(**options: object) -> VideoSession:
    settings = {"archive": NoArchive(), "reader": ReadCarried(), **options}
    return VideoSession(ReferenceDecoder(), AdaptiveHeadBudgets(StateKVMemory(6)), **settings)


def test_answers_are_those_of_a_session_that_keeps_what_it_does_not_read() -> None:
    keeping, forgetting = _session(archive=PlainArchive()), _session()
    for number in range(12):
        for session in (keeping, forgetting):
            session.push(_frame(number, batch=2))
        expected = keeping.question_logits(QUESTION)
        assert torch.equal(forgetting.question_logits(QUESTION), expected)


def test_generation_needs_no_archive() -> None:
    keeping, forgetting = _session(archive=PlainArchive()), _session()
    for number in range(5):
        keeping.push(_frame(number))
        forgetting.push(_frame(number))
    expected = keeping.ask(QUESTION, max_new_tokens=6).token_ids
    assert torch.equal(forgetting.ask(QUESTION, max_new_tokens=6).token_ids, expected)


def test_all_bytes_stay_the_same_for_a_stream_past_its_planned_length() -> None:
    memory = ContiguousPositions(StateKVMemory(6), max_reach=64)
    session = VideoSession(
        ReferenceDecoder(), memory, archive=NoArchive(), reader=ReadCarried(), max_tokens=128
    )
    held = []
    for number in range(300):
        session.push(_frame(number))
        held.append((session.state_bytes, session.archive.bytes_held))
    assert session.cursor.tokens > 9 * 128
    assert set(held[2:]) == {(held[-1][0], 0)}
    assert session.ask(QUESTION, max_new_tokens=2).token_ids.shape == (2,)


def test_forks_failed_pushes_and_saved_sessions_go_on(tmp_path: Path) -> None:
    steady, disturbed = _session(), _session()
    for number in range(8):
        steady.push(_frame(number))
        bad = _frame(number)
        bad.embeds.fill_(float("nan"))
        with pytest.raises(ValueError, match="NaN"):
            disturbed.push([_frame(number), bad])
        disturbed.push(_frame(number))
        disturbed.fork().push(_frame(number + 1))
        disturbed.save(tmp_path / "session")
        disturbed = VideoSession.load(tmp_path / "session", disturbed.model)
    assert torch.equal(disturbed.question_logits(QUESTION), steady.question_logits(QUESTION))


def test_a_batch_of_another_size_is_still_refused() -> None:
    session = _session()
    session.push(_frame(0, batch=2))
    with pytest.raises(ValueError, match="this stream has batch 2, the pushed frame has batch 1"):
        session.push(_frame(1))


def test_readers_of_the_archive_are_told() -> None:
    for reader, name in ((None, "ReadAll"), (ReadLastFrames(2), "ReadLastFrames")):
        with pytest.raises(ValueError, match=f"NoArchive keeps nothing that {name} could read"):
            _session(reader=reader)


def test_a_reader_given_later_is_told() -> None:
    session = _session()
    session.push(_frame(0))
    with pytest.raises(ValueError, match="NoArchive keeps nothing that ReadLastFrames could read"):
        session.fork(reader=ReadLastFrames(2))
    with pytest.raises(ValueError, match="got the class ReadLastFrames: make an instance"):
        session.fork(reader=ReadLastFrames)  # type: ignore[arg-type]
