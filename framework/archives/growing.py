"""A tensor that grows along one axis in place, shared between forks until they diverge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

# Uninitialised numbers of a shape, in the dtype of an example.
MakeRoom = Callable[[Tensor, Sequence[int]], Tensor]


@dataclass(eq=False)
class _Block:
    """Room for tokens.

    Attributes:
        moved: bytes that growing has copied on the way here.
        shared: how far forks may see; nothing before it is ever written again.
        written: the key of the line that wrote last, and how far.
    """

    room: Tensor
    moved: int = 0
    shared: int = 0
    written: tuple[object, int] = (None, 0)


@dataclass(eq=False)
class _Line:
    """A handle and its drafts: they see the same block, and one replaces another.

    Attributes:
        key: stands for the line in its block; the line itself would make a cycle, which holds the
            room until the garbage collector comes by.
    """

    block: _Block
    key: object = field(default_factory=object)


class GrowingTensor:
    """Appends along `dim` into room that doubles, so that copies stay below 3 x the room held.

    What changes is appended to a `draft`, which then takes the place of the handle it was made
    from, or is let go: what it wrote lay behind the handle's end, where the next draft writes
    again. So nothing has to be undone, however an append ends.

    Handles made by `fork` share one block. A handle writes in place only where neither a fork nor
    its drafts can have written; otherwise it copies first.

    Args:
        example: gives dtype and all other sizes, and the device unless `make_room` has another.
        dim: the axis that grows.
        make_room: where the room comes from; the example's device by default. If it fails, nothing
            has changed.
    """

    def __init__(self, example: Tensor, dim: int, make_room: MakeRoom = Tensor.new_empty) -> None:
        self.dim = dim % example.dim()
        self.length = 0
        self._make_room = make_room
        self._line = _Line(_Block(make_room(example, example.narrow(self.dim, 0, 0).shape)))

    @property
    def bytes_held(self) -> int:
        return self._line.block.room.untyped_storage().nbytes()

    @property
    def bytes_copied(self) -> int:
        """Bytes written: of every number once, and again whenever growing moved it."""
        return self._line.block.moved + _bytes(self.view())

    def view(self) -> Tensor:
        """All appended numbers, without a copy."""
        return self._line.block.room.narrow(self.dim, 0, self.length)

    def append(self, new: Tensor) -> None:
        count = new.shape[self.dim]
        self.reserve(count)
        block, end = self._line.block, self.length + count
        # Told before it is written: a fork that reads the numbers must not write there.
        block.written = (self._line.key, end)
        block.room.narrow(self.dim, self.length, count).copy_(new)
        self.length = end

    def reserve(self, count: int) -> None:
        """Make room for `count` more, and make the room behind the end this handle's own."""
        block = self._line.block
        capacity = block.room.shape[self.dim]
        writer, end = block.written
        alone = block.shared <= self.length and (end <= self.length or writer is self._line.key)
        if alone and self.length + count <= capacity:
            return
        size = max(self.length + count, 2 * self.length)
        shape = list(block.room.shape)
        shape[self.dim] = size
        room = self._make_room(block.room, shape)
        old = self.view()
        room.narrow(self.dim, 0, self.length).copy_(old)
        self._line.block = _Block(room, block.moved + _bytes(old))

    def tail(self) -> Tensor:
        """The whole room; what lies behind `length` is scratch, free until the next append."""
        return self._line.block.room

    def draft(self) -> GrowingTensor:
        """A handle to append to, which may then replace this one; one at a time."""
        return self._twin(self._line)

    def fork(self) -> GrowingTensor:
        """A handle on the same numbers; copies nothing until the two diverge."""
        block = self._line.block
        block.shared = max(block.shared, self.length)
        return self._twin(_Line(block))

    def _twin(self, line: _Line) -> GrowingTensor:
        twin = GrowingTensor.__new__(GrowingTensor)
        twin.dim, twin.length, twin._make_room = self.dim, self.length, self._make_room
        twin._line = line
        return twin


def _bytes(numbers: Tensor) -> int:
    return numbers.numel() * numbers.element_size()
