"""What a question reads of an archive: only what was picked, in the model's dtype and place."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
)
from crossframe.framework.archives.storage import ArchiveStorage
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.step import AskStep

from ...every import Counting
from ..streams import frames

QUESTION = torch.tensor([[3, 1, 4]])
EVERY: list[Archive] = [
    PlainArchive(),
    CPUArchive(),
    DiskArchive(),
    Int8Archive(),
    Int4Archive(),
    CPUArchive(inner=Int4Archive(group=4)),
]


@dataclass(frozen=True)
class Some(Reader):
    """The named frames."""

    frames: tuple[int, ...]

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        return archive.slots(frames=self.frames)


def seen(
    archive: Archive,
    reader: Reader | None = None,
    dtype: torch.dtype = torch.float64,
    sizes: tuple[int, ...] = (3, 4, 2, 5),
) -> VideoSession:
    session = VideoSession(
        ReferenceDecoder(float_type=dtype), FullMemory(), archive=archive, reader=reader
    )
    for frame in frames(*sizes):
        session.push(replace(frame, embeds=frame.embeds.to(dtype)))
    return session


@pytest.mark.parametrize("inner", EVERY, ids=repr)
def test_only_picked_tokens_are_unpacked(inner: Archive) -> None:
    archive = Counting(inner=inner)
    session = seen(archive, Some((1, 3)))
    assert archive.unpacked == [], "pushing unpacks nothing"
    got = session.question_logits(QUESTION)
    assert archive.unpacked == [4 + 5] * session.model.spec.num_layers
    assert not torch.allclose(got, seen(inner).question_logits(QUESTION))


def test_an_answer_unpacks_once_however_long_it_is() -> None:
    archive = Counting(inner=Int8Archive())
    session = seen(archive)
    session.ask(QUESTION[0], max_new_tokens=6)
    assert archive.unpacked == [14] * session.model.spec.num_layers


@pytest.mark.parametrize("archive", [Int8Archive(), Int4Archive()], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_what_is_read_comes_in_the_model_s_dtype(archive: Archive, dtype: torch.dtype) -> None:
    session = seen(archive, dtype=dtype)
    slots = LayerArchive(session.archive, 0).slots()
    assert slots.keys.dtype == slots.values.dtype == torch.float32
    assert session.question_logits(QUESTION).dtype == dtype
    assert len(session.ask(QUESTION[0], max_new_tokens=3).token_ids) == 3


@pytest.mark.parametrize("archive", EVERY, ids=repr)
def test_costs_count_what_the_archive_holds(archive: Archive) -> None:
    session = seen(archive)
    columns = sum(g.bytes_held for g in session.archive.columns.values())
    packed = [g for layer in session.archive.layers for g in layer.values()]
    held = sum(paged.joined().untyped_storage().nbytes() for paged in packed)
    assert session.costs[-1].archive_bytes == session.archive.bytes_held == columns + held


@pytest.mark.parametrize(
    ("archive", "reader"),
    [(Int8Archive(), ReadAll()), (PlainArchive(), Some((0, 1))), (DiskArchive(), Some((2,)))],
    ids=repr,
)
def test_a_question_makes_no_room_in_an_archive_it_copies_from(
    archive: Archive, reader: Reader
) -> None:
    session = seen(archive, reader)
    before = session.archive.bytes_held, session.archive.bytes_copied
    session.ask(QUESTION[0], max_new_tokens=50)
    assert (session.archive.bytes_held, session.archive.bytes_copied) == before


@pytest.mark.parametrize("archive", [CPUArchive(), DiskArchive()], ids=repr)
def test_on_the_cpu_a_question_reads_without_a_copy(archive: Archive) -> None:
    session = seen(archive, sizes=(30,))
    session.question_logits(QUESTION)  # makes room for the text, once
    before = session.archive.bytes_held, session.archive.bytes_copied
    session.question_logits(QUESTION)
    assert (session.archive.bytes_held, session.archive.bytes_copied) == before


class Moves(TorchDispatchMode):
    """Sizes of all keys and values that arrive on the device "meta"."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        moved = func is torch.ops.aten._to_copy.default and made.is_meta
        if moved and made.is_floating_point():
            self.tokens.append(made.shape[2])
        return made


@pytest.mark.parametrize("archive", EVERY[1:3], ids=repr)
def test_only_what_is_picked_moves_to_the_layer_s_device(archive: Archive) -> None:
    """The device "meta" stands for the accelerator: it knows shapes and holds no numbers."""
    session = seen(archive, Some((1, 3)))
    asked_at = torch.arange(14, 17).expand(1, 1, -1)
    model, storage = session.model, session.archive
    options: dict[str, Any] = {"asked_at": asked_at, "room": 3, "max_tokens": 99}
    options["attention"] = "auto"
    step = AskStep(model, session.state, storage, session.reader, **options)
    query, text = (torch.empty(1, heads, 3, 8, device="meta").double() for heads in (4, 2))
    with Moves() as moves:
        output = step(1, query, text, text, 0.3)
    assert output.is_meta
    assert moves.tokens == [4 + 5, 4 + 5]


def test_layers_on_other_devices_than_the_columns() -> None:
    storage = ArchiveStorage(PlainArchive(), 2)
    for count in (2, 3):
        for layer, device in enumerate(("cpu", "meta")):
            storage.append_layer(layer, *(torch.zeros(1, 2, count, 4, device=device),) * 2)
        index = torch.full((1, count), count)
        columns = {"index": index, "frame": index, "positions": index[None], "visual": index > 0}
        storage.append_columns({**columns, "stat:age": index / 2})
    for wanted in (None, [3], torch.tensor([3])):
        slots = LayerArchive(storage, 1).slots(wanted)
        tokens = 5 if wanted is None else 3
        every = (slots.keys, slots.values, slots.index, slots.positions, slots.stats["age"])
        assert all(tensor.is_meta for tensor in every)
        assert slots.keys.shape == (1, 2, tokens, 4)
        assert slots.index.shape == (1, 2, tokens)
    assert LayerArchive(storage, 0).slots([3]).frame.tolist() == [[[3] * 3] * 2]


def test_a_wrapper_is_as_lossy_as_what_it_wraps() -> None:
    assert not CPUArchive().lossy
    assert CPUArchive(inner=Int8Archive()).lossy
    assert DiskArchive(inner=CPUArchive(inner=Int4Archive())).lossy


@pytest.mark.parametrize("archive", [CPUArchive(), DiskArchive()], ids=repr)
def test_room_outside_the_accelerator_is_made_on_the_cpu(archive: Archive) -> None:
    example = torch.empty(2, 0, device="meta", dtype=torch.bfloat16)
    for outer in (archive, Counting(inner=archive)):
        for shape in ([2, 5], [2, 0]):
            room = outer.room(example, shape)
            assert (room.device.type, room.dtype) == ("cpu", torch.bfloat16)
            assert list(room.shape) == shape


def test_a_wrapper_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="CPUArchive: inner must be an Archive instance, got 'in"):
        CPUArchive(inner="int8")  # pyright: ignore[reportArgumentType]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_pinned_memory_without_a_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="pinned=True needs a CUDA device"):
        CPUArchive(pinned=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("inner", EVERY, ids=repr)
def test_what_a_gpu_packs_is_held_on_the_cpu(inner: Archive, pinned: bool) -> None:
    archive = CPUArchive(pinned=pinned, inner=inner)
    storage = ArchiveStorage(archive, 1)
    rows = torch.randn(2, 3, 50, 16, device="cuda")
    for part in rows.split(7, 2):
        storage.append_layer(0, part, -part)
    for name, expected in archive.pack(rows, -rows).items():
        stored = storage.layers[0][name].joined()
        assert stored.device.type == "cpu"
        assert stored.is_pinned() == pinned
        assert torch.equal(stored, expected.cpu())
