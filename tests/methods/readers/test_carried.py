"""An answer from the memory alone."""

from __future__ import annotations

import pytest
import torch

from crossframe.framework import FullMemory, ReadAll, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.reader_laws import PlacedAnew, RaggedHeads
from crossframe.methods import IsolatedFramesMemory, ReadCarried, StateKVMemory

QUESTION = torch.tensor([[3, 1, 4]])


@pytest.mark.parametrize("memory", [StateKVMemory(5), RaggedHeads(), PlacedAnew()], ids=repr)
def test_what_the_archive_holds_does_not_matter(frames, memory) -> None:
    session, other = (
        VideoSession(ReferenceDecoder(), memory, reader=ReadCarried()) for _ in range(2)
    )
    for each in (session, other):
        each.push(frames(3, 4, 6, 2, 5))
    for layer in other.archive.layers:
        for stored in layer.values():
            stored.joined().fill_(7.0)
    expected = session.question_logits(QUESTION)
    assert torch.equal(other.question_logits(QUESTION), expected)
    assert not torch.equal(session.fork(reader=ReadAll()).question_logits(QUESTION), expected)
    assert torch.equal(session.ask(QUESTION).token_ids, other.ask(QUESTION).token_ids)


def test_while_nothing_is_evicted_it_reads_all(frames, open_session) -> None:
    session = open_session(FullMemory())
    session.push(frames(3, 4, 2))
    carried = session.fork(reader=ReadCarried()).question_logits(QUESTION)
    assert torch.equal(carried, session.question_logits(QUESTION))


def test_a_memory_that_carries_nothing_cannot_be_read(frames, open_session) -> None:
    session = open_session(IsolatedFramesMemory()).fork(reader=ReadCarried())
    session.push(frames(3, 4))
    with pytest.raises(ValueError, match="ReadCarried picked no slots in layer 0"):
        session.question_logits(QUESTION)


def test_it_reaches_as_far_as_the_memory() -> None:
    assert ReadCarried().reach(None, 9) is None
    assert ReadCarried().reach(17, 9) == 17


def test_an_endless_stream_can_be_asked(frames) -> None:
    """The memory's slots stay near the question, so that the stream may outgrow `max_tokens`."""
    session = VideoSession(ReferenceDecoder(), PlacedAnew(4), reader=ReadCarried(), max_tokens=30)
    session.push(frames(*[4] * 30))
    assert session.question_logits(QUESTION).isfinite().all()
    with pytest.raises(ValueError, match="question and answer would reach"):
        session.fork(reader=ReadAll()).question_logits(QUESTION)
