"""What a question reads: readers that pick, and archives that are stored in other ways."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    Archive,
    FullMemory,
    LayerArchive,
    ReadAll,
    Reader,
    Slots,
    VideoSession,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.oracles import one_shot_logits
from crossframe.framework.testing.session_laws import require_same
from crossframe.methods import IsolatedFramesMemory, ReadCarried, ReadLastFrames

from ..streams import frames

QUESTION = torch.tensor([[3, 1, 4]])


def seen(*sizes: int, reader: Reader | None = None, archive: Archive | None = None) -> VideoSession:
    """Isolated frames, so that what is archived of a frame does not depend on the others."""
    session = VideoSession(
        ReferenceDecoder(), IsolatedFramesMemory(), reader=reader, archive=archive
    )
    session.push(frames(*sizes))
    return session


@dataclass(frozen=True)
class OddOfLastHead(Reader):
    """Another choice in each head, by mask or by `valid`."""

    by_valid: bool

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = archive.slots()
        heads = torch.arange(slots.keys.shape[1])[:, None]
        mask = (slots.index % 2 == 1) | (heads == 0)
        return replace(slots, valid=mask) if self.by_valid else slots.keep(mask)


@dataclass(frozen=True)
class Nothing(Reader):
    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        return archive.slots(frames=[])


def test_a_reader_of_the_last_frames_sees_what_they_archived_and_nothing_else() -> None:
    """The earlier frames may be anything: replaced by zeros, the answer is the same."""
    session = seen(3, 4, 2, reader=ReadLastFrames(2))
    other = seen(3, 4, 2, reader=ReadLastFrames(2))
    for layer in other.archive.layers:
        for stored in layer.values():
            stored.joined()[:, :, :3] = 0
    assert torch.equal(session.question_logits(QUESTION), other.question_logits(QUESTION))
    everything = seen(3, 4, 2, reader=ReadLastFrames(3)).question_logits(QUESTION)
    assert torch.equal(everything, seen(3, 4, 2).question_logits(QUESTION))
    assert not torch.allclose(session.question_logits(QUESTION), everything)
    assert torch.equal(
        session.ask(QUESTION[0], max_new_tokens=4).token_ids,
        other.ask(QUESTION[0], max_new_tokens=4).token_ids,
    )


def test_reading_what_is_carried_equals_reading_all_while_nothing_is_dropped() -> None:
    sessions = [
        VideoSession(ReferenceDecoder(), FullMemory(), reader=r) for r in (ReadCarried(), ReadAll())
    ]
    for session in sessions:
        session.push(frames(3, 4))
    carried, archived = (session.question_logits(QUESTION) for session in sessions)
    assert torch.equal(carried, archived)
    expected = one_shot_logits(sessions[0].model, frames(3, 4), QUESTION)
    torch.testing.assert_close(carried, expected, atol=1e-12, rtol=0)


def test_a_reader_that_masks_reads_as_one_that_drops() -> None:
    masked, dropped = (seen(3, 4, 1, reader=OddOfLastHead(by)) for by in (True, False))
    got, expected = (session.question_logits(QUESTION) for session in (masked, dropped))
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)
    assert not torch.allclose(expected, seen(3, 4, 1).question_logits(QUESTION))
    assert torch.equal(
        masked.ask(QUESTION[0], max_new_tokens=5).token_ids,
        dropped.ask(QUESTION[0], max_new_tokens=5).token_ids,
    )


def test_a_reader_that_picks_nothing_is_named() -> None:
    session = seen(3, reader=Nothing())
    steady = seen(3)
    with pytest.raises(ValueError, match="Nothing picked no slots in layer 0; a reader must leave"):
        session.ask([1], max_new_tokens=1)
    for both in (session, steady):
        both.reader = ReadAll()
    require_same(session, steady, QUESTION, "a failed question left a trace")


def test_reading_a_plain_archive_copies_nothing() -> None:
    session = seen(30)
    session.question_logits(QUESTION)  # makes room for the text, once
    copied, held = session.archive.bytes_copied, session.archive.bytes_held
    session.question_logits(QUESTION)
    assert (session.archive.bytes_copied, session.archive.bytes_held) == (copied, held)


def test_parts_of_the_archive_by_their_places() -> None:
    session = seen(3, 4, 2)
    archive = LayerArchive(session.archive, 1)
    whole = archive.slots()
    run = archive.slots(tokens=range(2, 6))
    assert run.keys.data_ptr() == whole.keys[:, :, 2:].data_ptr()
    assert run.values.data_ptr() == whole.values[:, :, 2:].data_ptr()
    for tokens in (range(2, 6), torch.tensor([0, 5, 8]), range(4, 4), torch.tensor([]).long()):
        rows = torch.tensor(list(tokens), dtype=torch.int64)
        part = archive.slots(tokens=tokens)
        for name in ("index", "frame", "visual", "positions"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[..., rows])
        assert torch.equal(part.keys, whole.keys[:, :, rows])
        assert torch.equal(part.values, whole.values[:, :, rows])
    first = archive.slots(frames=[0, 2])
    assert first.index[0, 0].tolist() == [0, 1, 2, 7, 8]


@pytest.mark.parametrize("tokens", [range(0, 4, 2), range(3, 10), range(-1, 2), range(5, 4)])
def test_a_range_outside_the_archive_is_refused(tokens: range) -> None:
    archive = LayerArchive(seen(3, 4, 2).archive, 0)
    with pytest.raises(ValueError, match=r"is no range of step 1 in an archive of 9"):
        archive.slots(tokens=tokens)


def test_slots_are_chosen_by_frame_or_by_place() -> None:
    archive = LayerArchive(seen(3, 4, 2).archive, 0)
    with pytest.raises(ValueError, match="slots takes frames or tokens, not both"):
        archive.slots([1], tokens=range(2))


@dataclass(frozen=True)
class EightBit(Archive):
    """A byte per number and one scale per token, of values alone or of both."""

    keys_too: bool = True
    lossy = True

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        packed = {"values": _bytes(values), "value_scale": _scale(values)}
        if not self.keys_too:
            return {"keys": keys, **packed}
        return {"keys": _bytes(keys), "key_scale": _scale(keys), **packed}

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        keys = packed["keys"]
        if self.keys_too:
            keys = keys * packed["key_scale"]
        return keys, packed["values"] * packed["value_scale"]


def _scale(rows: Tensor) -> Tensor:
    return rows.abs().amax(-1, keepdim=True) / 127


def _bytes(rows: Tensor) -> Tensor:
    return (rows / _scale(rows)).round().to(torch.int8)


@pytest.mark.parametrize("keys_too", [True, False])
def test_a_lossy_archive_answers_nearly_the_same_from_fewer_bytes(keys_too: bool) -> None:
    exact, lossy = seen(20, 20), seen(20, 20, archive=EightBit(keys_too))
    expected, got = (session.question_logits(QUESTION) for session in (exact, lossy))
    error = (got - expected).abs().max()
    assert 0 < error < 0.05 * expected.abs().max()
    assert lossy.archive.bytes_appended < 0.75 * exact.archive.bytes_appended
    assert lossy.slots(0).keys.shape == exact.slots(0).keys.shape
    assert len(lossy.ask(QUESTION[0], max_new_tokens=3).token_ids) == 3
