"""A question reads a run of the archive in blocks: the same numbers, two blocks at a time."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from crossframe.framework import (
    Archive,
    CPUArchive,
    DiskArchive,
    FullMemory,
    Int4Archive,
    Int8Archive,
    LayerArchive,
    PlainArchive,
    ReadAll,
    Reader,
    Slots,
    VideoSession,
    WrappedArchive,
)
from crossframe.framework.archives.archived_slots import ArchivedSlots
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream import unpacking
from crossframe.framework.testing.oracles import LoopReading
from crossframe.methods import ContiguousPositions, RecencyMemory, ReKVReader

from ..archives.small_pages import SmallPages
from ..streams import frames

QUESTION = torch.tensor([[3, 1, 4]])
EVERY: list[Archive] = [
    PlainArchive(),
    CPUArchive(),
    DiskArchive(),
    Int8Archive(),
    Int4Archive(group=4),
    CPUArchive(inner=Int8Archive()),
]
SIZES = (3, 4, 20, 5, 31)


def seen(archive: Archive, reader: Reader | None = None, **options: Any) -> VideoSession:
    model = ReferenceDecoder(float_type=options.pop("dtype", torch.float64))
    session = VideoSession(model, FullMemory(), archive=archive, reader=reader, **options)
    for frame in frames(*SIZES):
        session.push(replace(frame, embeds=frame.embeds.to(model.dtype)))
    return session


@dataclass(frozen=True)
class Touching(Reader):
    """Reads all, unpacked as a whole: what reading in blocks must equal."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = archive.slots()
        return replace(slots, values=slots.values.clone())


@pytest.mark.parametrize("attention", ["auto", "plain", "chunked", "sdpa"])
@pytest.mark.parametrize("archive", EVERY, ids=repr)
def test_reading_in_blocks_equals_reading_the_whole(archive: Archive, attention: str) -> None:
    session = seen(SmallPages(inner=archive), attention=attention)
    whole = session.fork(reader=Touching())
    got, expected = (each.question_logits(QUESTION) for each in (session, whole))
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)
    answers = [each.ask(QUESTION[0], max_new_tokens=4) for each in (session, whole)]
    assert torch.equal(answers[0].token_ids, answers[1].token_ids)
    again = session.question_logits(QUESTION)
    assert torch.equal(again, got), "the same question reads the same blocks"


@pytest.mark.parametrize("archive", [PlainArchive(), Int8Archive()], ids=repr)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)]
)
def test_blocks_in_other_dtypes(archive: Archive, dtype: torch.dtype, tolerance: float) -> None:
    session = seen(SmallPages(inner=archive), dtype=dtype)
    exact = seen(SmallPages(inner=archive), Touching())
    got, expected = (each.question_logits(QUESTION).double() for each in (session, exact))
    whole = session.fork(reader=Touching()).question_logits(QUESTION).double()
    error, allowed = ((one - expected).abs().max() for one in (got, whole))
    assert error <= 2 * allowed + tolerance


def test_blocks_equal_plain_loops() -> None:
    session = seen(SmallPages(inner=Int8Archive()))
    model = session.model
    positions = model.text_positions(session.cursor, *QUESTION.shape)
    loops = LoopReading(session, positions)
    text = frames(3)[0]
    text = replace(text, embeds=model.embed(QUESTION), positions=positions)
    expected = model.logits(model.step(text, loops, session.max_tokens))
    torch.testing.assert_close(session.question_logits(QUESTION), expected, atol=1e-11, rtol=0)


def test_keys_of_a_stream_whose_origin_moved_are_turned_in_every_block() -> None:
    memory = ContiguousPositions(RecencyMemory(8), max_reach=16)
    logits = []
    for archive in (SmallPages(), SmallPages(1 << 20, 1 << 20)):
        session = VideoSession(ReferenceDecoder(), memory, archive=archive, max_tokens=64)
        for number in range(30):
            session.push(frames(4, start=4 * number, seed=number))
        assert "origin" in session.archive.columns
        reader = LastRun(40)
        logits.append(session.fork(reader=reader).question_logits(QUESTION))
    torch.testing.assert_close(*logits, atol=1e-11, rtol=0)


@dataclass(frozen=True)
class LastRun(Reader):
    """The newest tokens, as a run."""

    count: int

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        return archive.slots(tokens=range(archive.num_tokens - self.count, archive.num_tokens))

    def reach(self, carried: int | None, frame_tokens: int) -> int | None:
        return self.count


def test_a_run_that_begins_inside_a_page() -> None:
    for archive in (SmallPages(), SmallPages(inner=Int8Archive())):
        session = seen(archive, LastRun(41))
        whole = seen(replace(archive, page_bytes=1 << 24, kept_bytes=1 << 28), LastRun(41))
        got, expected = (each.question_logits(QUESTION) for each in (session, whole))
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


@dataclass(frozen=True)
class Live(WrappedArchive):
    """Counts the unpacked bytes that are alive, and how many were most."""

    alive: list[int] = field(default_factory=lambda: [0, 0])

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        made = self.inner.unpack(packed)
        for one in made:
            self._count(one.untyped_storage().nbytes())
            weakref.finalize(one.untyped_storage(), self._count, -one.untyped_storage().nbytes())
        return made

    def _count(self, num_bytes: int) -> None:
        self.alive[0] += num_bytes
        self.alive[1] = max(self.alive)


class Made(TorchDispatchMode):
    """Most bytes alive of the storages that were made, in this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if isinstance(one, Tensor):
                self._count(one.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place = storage.data_ptr()
        if place in self.known:
            return
        self.known.add(place)
        self.alive += storage.nbytes()
        self.most = max(self.most, self.alive)
        weakref.finalize(storage, self._gone, place, storage.nbytes())

    def _gone(self, place: int, num_bytes: int) -> None:
        self.known.discard(place)
        self.alive -= num_bytes


BLOCK = 1 << 14  # 64 tokens of 256 bytes


@pytest.mark.parametrize("archive", [Int8Archive(), Int4Archive()], ids=repr)
def test_two_blocks_are_unpacked_whatever_the_archive_s_size(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "PIECE_BYTES", 1 << 11)
    most, unpacked, touched = [], [], []
    for count in (300, 3000):
        live = Live(inner=archive)
        session = VideoSession(
            ReferenceDecoder(), RecencyMemory(4), archive=SmallPages(1 << 12, BLOCK, inner=live)
        )
        for number in range(0, count, 100):
            session.push(frames(100, start=number, seed=number))
        with Made() as made:
            session.ask(QUESTION[0], max_new_tokens=3)
        unpacked.append(live.alive[1])
        most.append(made.most)
        with Made() as whole_made:
            session.fork(reader=Touching()).ask(QUESTION[0], max_new_tokens=3)
        touched.append(whole_made.most)
        assert live.alive[0] == 0
    whole = 3000 * 2 * 2 * 8 * 8
    assert unpacked[0] == unpacked[1] <= 4 << 11
    assert most[1] - most[0] < 0.5 * whole, "columns of what is known of tokens, not their keys"
    assert most[0] < 2 * BLOCK + whole
    assert touched[1] - touched[0] > whole, "the check can fail"


@dataclass(frozen=True)
class Counted(WrappedArchive):
    """Notes how many tokens each unpacking gave."""

    unpacked: list[int] = field(default_factory=list)

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        keys, values = self.inner.unpack(packed)
        self.unpacked.append(keys.shape[2])
        return keys, values


@pytest.mark.parametrize(("kept", "once"), [(1 << 28, True), (1 << 12, False)])
def test_what_kept_bytes_hold_is_unpacked_once_for_an_answer(kept: int, once: bool) -> None:
    tokens = []
    for count in (1, 4):
        archive = Counted(inner=Int8Archive())
        session = seen(SmallPages(kept_bytes=kept, inner=archive))
        archive.unpacked.clear()
        session.ask(QUESTION[0], max_new_tokens=count)
        tokens.append(sum(archive.unpacked))
    assert (tokens[0] == tokens[1]) is once


def test_what_is_touched_is_unpacked_once_and_keys_alone_where_keys_are_enough() -> None:
    session = seen(Int8Archive())
    slots = LayerArchive(session.archive, 0).slots()
    assert isinstance(slots, ArchivedSlots)
    assert slots.untouched
    assert slots.num_slots == sum(SIZES)
    assert slots.untouched
    alone = slots.keys_alone()
    assert slots.untouched
    assert torch.equal(slots.keys, alone)
    assert slots.keys is slots.keys
    assert slots.values is slots.values
    assert not slots.untouched
    with pytest.raises(AttributeError, match="has no attribute 'weights'"):
        _ = slots.weights


def test_whatever_is_made_of_archived_slots_has_keys_and_values() -> None:
    session = seen(Int8Archive())
    whole = LayerArchive(session.archive, 1).slots()
    keys, values = whole.keys, whole.values
    kept = LayerArchive(session.archive, 1).slots().keep(torch.tensor([0, 5, 7]))
    assert torch.equal(kept.keys, keys[:, :, [0, 5, 7]])
    assert torch.equal(kept.values, values[:, :, [0, 5, 7]])
    fresh = LayerArchive(session.archive, 1).slots()
    assert {"keys", "values"} <= {name for name, _ in fresh.tensors()}
    moved = replace(LayerArchive(session.archive, 1).slots(), positions=whole.positions + 1)
    assert moved.moved
    assert torch.equal(moved.values, values)


def test_rekv_scores_keys_without_unpacking_values() -> None:
    """Values only of what it retrieves."""
    calls: list[int] = []

    @dataclass(frozen=True)
    class Noting(WrappedArchive):
        def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            keys, values = self.inner.unpack(packed)
            calls.append(values.shape[2])
            return keys, values

        def unpack_keys(self, packed: Mapping[str, Tensor]) -> Tensor:
            return self.inner.unpack_keys(packed)

    session = seen(Noting(inner=Int8Archive()), ReKVReader(blocks=2))
    session.question_logits(QUESTION)
    assert len(calls) == session.model.spec.num_layers
    assert max(calls) <= 31 + 20 < sum(SIZES)


def test_a_question_that_fails_in_a_block_leaves_no_thread_and_no_trace() -> None:
    import threading

    @dataclass(frozen=True)
    class Failing(WrappedArchive):
        left: list[int] = field(default_factory=list)

        def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            if self.left and not self.left.pop():
                raise OSError("a disk that cannot be read")
            return self.inner.unpack(packed)

    archive = Failing(inner=Int8Archive())
    session = seen(SmallPages(inner=archive))
    expected = session.question_logits(QUESTION)
    before = threading.active_count()
    archive.left[:] = [0, 1, 1, 1, 1, 1]
    with pytest.raises(OSError, match="cannot be read"):
        session.question_logits(QUESTION)
    archive.left.clear()
    assert threading.active_count() == before
    assert torch.equal(session.question_logits(QUESTION), expected)
    assert torch.equal(session.fork(reader=ReadAll()).question_logits(QUESTION), expected)
