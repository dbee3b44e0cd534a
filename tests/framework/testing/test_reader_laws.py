"""The kit accepts correct readers, and what breaks the laws, for `test_kit.py` to plant."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from crossframe.framework import LayerArchive, ReadAll, Reader, Slots, close_gaps
from crossframe.framework.testing import check_reader


@dataclass(frozen=True)
class Newest(Reader):
    """A correct reader to spoil: the newest tokens."""

    count: int = 4

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        end = archive.num_tokens
        return archive.slots(tokens=range(max(0, end - self.count), end))


@dataclass(frozen=True)
class NewestOfEachHead(Reader):
    """Correct: another number in each head, placed right before the question."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = archive.slots()
        heads = torch.arange(slots.keys.shape[1])[:, None]
        kept = slots.keep(torch.arange(slots.num_slots) >= slots.num_slots - 2 - heads)
        assert archive.asked_at is not None
        return close_gaps(kept, archive.asked_at.amin((0, 2)))


@dataclass(frozen=True)
class TurnedByItself(Newest):
    """Correct: turns the keys instead of declaring other positions."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = super().read(queries, archive, carried)
        assert archive.rotate is not None
        keys = archive.rotate(slots.keys, torch.full_like(slots.positions, 7))
        moved = slots.positions + 7
        return replace(slots, keys=keys, positions=moved, rotated=moved)


class Guessing(Newest):
    """Selection: other slots each time."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        rows = torch.randperm(archive.num_tokens)[: self.count]
        return archive.slots(tokens=rows.sort().values)


class LookingAnyway(Newest):
    """Selection: says that it needs no queries, and picks by them."""

    needs_queries = False

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        return archive.slots(tokens=range(1 + int(queries.sum() * 1e4) % archive.num_tokens))


class Backwards(Newest):
    """Selection: not in stream order."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        return archive.slots(tokens=torch.arange(archive.num_tokens).flip(0))


class Scaling(Newest):
    """Selection: keys that nobody archived."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = super().read(queries, archive, carried)
        return replace(slots, keys=slots.keys * 1.01)


class ForeignValues(Newest):
    """Selection: the values of other tokens."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = archive.slots()
        return replace(slots, values=slots.values.roll(1, 2))


class Undeclared(Newest):
    """Selection: says that keys were turned, and has not turned them."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = super().read(queries, archive, carried)
        moved = slots.positions + 3
        return replace(slots, positions=moved, rotated=moved)


class ScalingQueries(Newest):
    """Attention: writes into the queries, which go on to attend."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        queries.mul_(1.5)
        return super().read(queries, archive, carried)


class ErasingTheArchive(Newest):
    """Asking: writes into what a plain archive gives as a view."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        archive.slots(tokens=range(1)).keys.zero_()
        return super().read(queries, archive, carried)


class ShiftingTheMemory(Newest):
    """Asking: writes into what the memory carries."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        carried.frame.add_(1)  # its values may be copies of the archive's
        return super().read(queries, archive, carried)


@dataclass(frozen=True)
class Remembering(Newest):
    """Forks: what it read first decides what it reads later."""

    seen: list[int] = field(default_factory=list)

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        self.seen.append(archive.num_tokens)
        return archive.slots(tokens=range(1 + len(self.seen) % 2 * (archive.num_tokens - 1)))


class HoldingATensor(Newest):
    """Saving: settings that are no plain data."""

    def __init__(self) -> None:
        object.__setattr__(self, "count", torch.tensor(4))

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        end = archive.num_tokens
        return archive.slots(tokens=range(max(0, end - int(self.count)), end))


@dataclass(frozen=True)
class Doubling(Newest):
    """Saving: settings that mean something else when they are given again."""

    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", 2 * self.count)


class Overpromising(Newest):
    """Reach: reads further back than it says."""

    def reach(self, carried: int | None, frame_tokens: int) -> int | None:
        return 3


BROKEN: list[tuple[str, Reader]] = [
    ("selection", Guessing()),
    ("selection", LookingAnyway()),
    ("selection", Backwards()),
    ("selection", Scaling()),
    ("selection", ForeignValues()),
    ("selection", Undeclared()),
    ("attention", ScalingQueries()),
    ("asking", ErasingTheArchive()),
    ("asking", ShiftingTheMemory()),
    ("forks", Remembering()),
    ("saving", Doubling()),
    ("saving", HoldingATensor()),
    ("reach", Overpromising()),
]


@pytest.mark.parametrize(
    "reader", [Newest(), NewestOfEachHead(), TurnedByItself(), ReadAll()], ids=repr
)
def test_the_kit_accepts_a_correct_reader_in_one_line(reader: Reader) -> None:
    check_reader(reader, max_examples=5)
