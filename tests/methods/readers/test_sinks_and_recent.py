"""The first and the newest tokens of the archive, by loops over the stream."""

from __future__ import annotations

import pytest
import torch

from crossframe.framework import FullMemory, PlainArchive, ReadAll, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.reader_laws import WatchedReader
from crossframe.methods import ReadSinksAndRecent, StateKVMemory, TokenDroppingMemory

from ...every import Counting

QUESTION = torch.tensor([[3, 1, 4]])
SIZES = [3, 4, 1, 2, 6, 5, 2]


@pytest.mark.parametrize(("num_sinks", "recent"), [(2, 5), (0, 3), (4, 0), (3, 4)])
@pytest.mark.parametrize(
    "memory", [StateKVMemory(4), TokenDroppingMemory(ratio=0.5, rule="random")], ids=repr
)
def test_it_reads_the_ends_of_the_archive_after_every_push(
    frames, open_session, memory, num_sinks, recent
) -> None:
    session = open_session(memory)
    for frame in frames(*SIZES):
        session.push(frame)
        archived = session.archive.columns["index"].joined()[0].tolist()
        last = len(archived) - recent
        expected = [n for place, n in enumerate(archived) if place < num_sinks or place >= last]
        watched = WatchedReader(ReadSinksAndRecent(num_sinks, recent))
        session.fork(reader=watched).question_logits(QUESTION)
        for pick in watched.picks:
            assert pick.slots.index[0].tolist() == [expected] * 2


@pytest.mark.parametrize(("num_sinks", "recent"), [(2, 5), (0, 7), (7, 0)])
def test_nothing_else_is_unpacked(frames, num_sinks, recent) -> None:
    archive = Counting(inner=PlainArchive())
    reader = ReadSinksAndRecent(num_sinks, recent)
    session = VideoSession(ReferenceDecoder(), FullMemory(), archive=archive, reader=reader)
    session.push(frames(*SIZES))
    session.question_logits(QUESTION)
    assert archive.unpacked == [7, 7]


def test_where_both_ends_meet_it_reads_all(frames, open_session) -> None:
    session = open_session(StateKVMemory(4))
    session.push(frames(*SIZES))
    expected = session.question_logits(QUESTION)
    for reader in (ReadSinksAndRecent(20, 3), ReadSinksAndRecent(0, 23), ReadSinksAndRecent(99, 9)):
        assert torch.equal(session.fork(reader=reader).question_logits(QUESTION), expected)
    fewer = session.fork(reader=ReadSinksAndRecent(19, 3)).question_logits(QUESTION)
    assert not torch.allclose(fewer, expected)
    assert torch.equal(session.fork(reader=ReadAll()).question_logits(QUESTION), expected)


def test_its_reach_is_known_without_sinks() -> None:
    # Of every frame at least one token is archived.
    assert ReadSinksAndRecent(0, 3).reach(None, 7) == 21
    assert ReadSinksAndRecent(1, 3).reach(None, 7) is None
