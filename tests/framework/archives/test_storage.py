"""The archive's storage: columns beside layers, undoing, forking, and picking frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    Archive,
    CPUArchive,
    LayerArchive,
    PlainArchive,
    WrappedArchive,
)
from crossframe.framework.archives.storage import ArchiveStorage


def rows(numbers: list[int]) -> Tensor:
    """[batch 2, 3 KV heads, tokens, 4], told apart by token, row and head."""
    own = torch.tensor(numbers).double()[:, None] + torch.tensor([0.0, 0.1, 0.2, 0.3])
    heads = 100 * torch.arange(6).view(2, 3, 1, 1)
    return own + heads


def append(
    storage: ArchiveStorage, numbers: list[int], frame: int = 0, **stats: float | Tensor
) -> None:
    """One step of two layers; the second holds the negatives."""
    for layer, sign in enumerate((1, -1)):
        storage.append_layer(layer, sign * rows(numbers), 10 * sign * rows(numbers))
    index = torch.tensor(numbers).expand(2, -1)
    columns = {
        "index": index,
        "frame": torch.full_like(index, frame),
        "visual": index % 2 == 0,
        "positions": torch.stack([index, index + 50, index + 60]),
    }
    columns |= {f"stat:{n}": torch.as_tensor(v).expand(2, len(numbers)) for n, v in stats.items()}
    storage.append_columns(columns)


def filled() -> ArchiveStorage:
    storage = ArchiveStorage(PlainArchive(), 2)
    append(storage, [0, 1, 2], frame=-1)
    append(storage, [3, 5], frame=0)
    append(storage, [6], frame=1)
    return storage


def test_a_layer_shows_all_tokens_with_what_is_known_of_them() -> None:
    storage = filled()
    slots = LayerArchive(storage, 1).slots()
    own = torch.tensor([0, 1, 2, 3, 5, 6])
    assert torch.equal(slots.keys, -rows(own.tolist()))
    assert torch.equal(slots.values, -10 * rows(own.tolist()))
    assert torch.equal(slots.index, own.expand(2, 3, -1))
    assert slots.frame[1, 2].tolist() == [-1, -1, -1, 0, 0, 1]
    assert torch.equal(slots.visual[0, 1], own % 2 == 0)
    assert torch.equal(slots.positions[:, 1, 2], torch.stack([own, own + 50, own + 60]))
    assert (slots.layer, slots.num_layers) == (1, 2)
    assert LayerArchive(storage, 0).num_tokens == 6


def test_a_page_comes_without_a_copy() -> None:
    storage = filled()
    keys = LayerArchive(storage, 0).slots().keys
    assert keys.data_ptr() == storage.layers[0]["keys"].parts()[0].data_ptr()


@pytest.mark.parametrize("kind", [list, set, tuple, torch.tensor])
def test_chosen_frames_come_in_stream_order(kind: type) -> None:
    slots = LayerArchive(filled(), 0).slots(frames=kind([1, -1]))
    assert slots.index[0, 0].tolist() == [0, 1, 2, 6]
    assert torch.equal(slots.keys, rows([0, 1, 2, 6]))
    assert torch.equal(slots.values, 10 * rows([0, 1, 2, 6]))
    assert slots.frame[0, 0].tolist() == [-1, -1, -1, 1]
    assert slots.positions[2, 0, 0].tolist() == [60, 61, 62, 66]


def test_unknown_frames_and_no_frames_pick_nothing() -> None:
    archive = LayerArchive(filled(), 0)
    assert archive.slots(frames=[]).num_slots == 0
    assert archive.slots(frames=[7, 99]).num_slots == 0
    assert archive.frames.tolist() == [-1, -1, -1, 0, 0, 1]


def test_a_stat_that_comes_late_is_0_before() -> None:
    storage = filled()
    append(storage, [7, 8], frame=2, saliency=torch.tensor([0.5, 0.75]))
    append(storage, [9], frame=3)
    stats = LayerArchive(storage, 0).slots().stats
    assert list(stats) == ["saliency"]
    assert stats["saliency"][1, 2].tolist() == [0, 0, 0, 0, 0, 0, 0.5, 0.75, 0]


def test_undoing_a_step_leaves_no_trace() -> None:
    storage = filled()
    append(storage, [7], frame=2, known=1.0)
    draft = storage.draft()
    append(draft, [8, 9], frame=3, known=2.0, fresh=3.0)
    draft.append_layer(0, rows([10]), rows([10]))  # and half of another step
    slots = LayerArchive(storage, 0).slots()
    assert slots.index[0, 0].tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert list(slots.stats) == ["known"]
    append(storage, [8], frame=3)
    again = LayerArchive(storage, 0).slots()
    assert torch.equal(again.keys, rows([0, 1, 2, 3, 5, 6, 7, 8]))
    assert again.stats["known"][0, 0].tolist() == [0] * 6 + [1, 0]


def test_undoing_the_first_step_frees_everything() -> None:
    storage = ArchiveStorage(PlainArchive(), 2)
    append(storage.draft(), [0, 1], known=1.0)
    assert storage.num_tokens == storage.bytes_held == 0
    append(storage, [0])  # any batch and codec may begin anew
    assert LayerArchive(storage, 1).slots().stats == {}


@dataclass(frozen=True)
class Bounded(WrappedArchive):
    """Has room for a number of pages, of 1, 1, 2, 3, 3, ... tokens."""

    page_bytes: int = 3 * (2 * 3 * 4) * 8
    left: list[int] = field(default_factory=list)

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        if 0 not in shape:
            if not self.left:
                raise OSError("no room")
            self.left.pop()
        return super().room(example, shape)


@pytest.mark.parametrize("more", range(4))
def test_a_step_that_finds_no_room_half_way_can_be_undone(more: int) -> None:
    """Two layers of two tensors grow in each step; the step fails after `more` of them."""
    codec = Bounded(left=[1] * 12)
    storage, steady = ArchiveStorage(codec, 2), ArchiveStorage(PlainArchive(), 2)
    for each in (storage, steady):
        append(each, [0, 1, 2])
    fork = storage.fork()
    for each, numbers in ((storage, [3, 4]), (fork, [30, 40])):
        codec.left[:] = [1] * more
        with pytest.raises(OSError, match="no room"):
            append(each.draft(), numbers, frame=1)
        for layer in (0, 1):
            got, expected = (LayerArchive(s, layer).slots() for s in (each, steady))
            assert torch.equal(got.keys, expected.keys)
            assert torch.equal(got.values, expected.values)
    codec.left[:] = [1] * 8
    append(storage, [5], frame=1)
    append(fork, [50], frame=1)
    assert torch.equal(LayerArchive(storage, 1).slots().keys, -rows([0, 1, 2, 5]))
    assert torch.equal(LayerArchive(fork, 0).slots().values, 10 * rows([0, 1, 2, 50]))


def test_a_first_step_that_finds_no_room_can_be_undone() -> None:
    codec = Bounded(left=[1] * 3)
    storage = ArchiveStorage(codec, 2)
    with pytest.raises(OSError, match="no room"):
        append(storage.draft(), [0, 1])
    assert storage.num_tokens == storage.bytes_held == storage.bytes_copied == 0


def test_forks_share_until_they_diverge() -> None:
    storage = filled()
    fork = storage.fork()
    held = [paged.joined().data_ptr() for paged in storage.layers[0].values()]
    assert [paged.joined().data_ptr() for paged in fork.layers[0].values()] == held
    append(storage, [7], frame=2, late=1.0)
    append(fork, [70, 80], frame=9)
    assert LayerArchive(storage, 0).slots().index[0, 0].tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert torch.equal(LayerArchive(fork, 0).slots().keys, rows([0, 1, 2, 3, 5, 6, 70, 80]))
    assert LayerArchive(fork, 0).slots().stats == {}


@dataclass(frozen=True)
class Uneven(WrappedArchive):
    """Packs keys in half as many bytes as values."""

    page_bytes = 1000

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return {"keys": keys.float(), "values": values}


def test_all_tensors_of_a_layer_have_their_pages_at_the_same_tokens() -> None:
    storage = ArchiveStorage(Uneven(), 2)
    for start in range(0, 21, 3):
        append(storage, list(range(start, start + 3)))
    bounds = [0, 1, 2, 4, 8, 13, 18, 21]  # a token of values has 6 x 4 x 8 = 192 bytes
    for stored in storage.layers:
        assert [paged.bounds for paged in stored.values()] == [bounds, bounds]
    slots = LayerArchive(storage, 0).slots()
    assert torch.equal(slots.keys, rows(list(range(21))).float())
    assert torch.equal(slots.values, 10 * rows(list(range(21))))
    part = LayerArchive(storage, 1).slots(tokens=torch.tensor([0, 3, 7, 8, 20]))
    assert torch.equal(part.values, -10 * rows([0, 3, 7, 8, 20]))
    assert part.index[0, 0].tolist() == [0, 3, 7, 8, 20]


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_a_wrapper_has_the_pages_of_what_it_wraps(copies: int) -> None:
    archive: Archive = Uneven()
    for _ in range(copies):
        archive = CPUArchive(inner=archive)
    assert archive.page_bytes == 1000
    assert CPUArchive().page_bytes == PlainArchive().page_bytes == 1 << 24
