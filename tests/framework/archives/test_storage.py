"""The archive's storage: columns beside layers, undoing, forking, and picking frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from crossframe.framework import LayerArchive, PlainArchive, WrappedArchive
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


def test_all_frames_come_without_a_copy() -> None:
    storage = filled()
    keys = LayerArchive(storage, 0).slots().keys
    assert keys.data_ptr() == storage.layers[0]["keys"].view().data_ptr()


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
    """Has room for a number of allocations."""

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
    codec = Bounded(left=[1] * 4)
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
    held = [growing.view().data_ptr() for growing in storage.layers[0].values()]
    assert [growing.view().data_ptr() for growing in fork.layers[0].values()] == held
    append(storage, [7], frame=2, late=1.0)
    append(fork, [70, 80], frame=9)
    assert LayerArchive(storage, 0).slots().index[0, 0].tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert torch.equal(LayerArchive(fork, 0).slots().keys, rows([0, 1, 2, 3, 5, 6, 70, 80]))
    assert LayerArchive(fork, 0).slots().stats == {}


def test_reserved_room_is_scratch_of_one_layer() -> None:
    storage = filled()
    storage.reserve(0, 20)
    for growing in storage.layers[0].values():
        growing.tail()[:, :, 6:] = float("nan")
    assert torch.equal(LayerArchive(storage, 0).slots().keys, rows([0, 1, 2, 3, 5, 6]))
    append(storage, [7], frame=2)
    assert torch.equal(LayerArchive(storage, 0).slots().keys, rows([0, 1, 2, 3, 5, 6, 7]))
    assert LayerArchive(storage, 1).num_tokens == 7
