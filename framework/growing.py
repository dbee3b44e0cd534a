"""A tensor that grows along one axis in place, shared between forks until they diverge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

# Uninitialised numbers of a shape, in the dtype of an example.
MakeRoom = Callable[[Tensor, Sequence[int]], Tensor]


@dataclass(eq=False)
class _Block:
    """Room for tokens; `used` is how far any handle has written, `shared` how far forks may see."""

    room: Tensor
    used: int
    shared: int = 0


class GrowingTensor:
    """Appends along `dim` into room that doubles, so that copies stay below 3 x the room held.

    Handles made by `fork` share one block. A handle writes in place only if it stands at the end
    of what is used; otherwise another fork has written there and it copies first.

    Args:
        example: gives dtype and all other sizes, and the device unless `make_room` has another.
        dim: the axis that grows.
        make_room: where the room comes from; the example's device by default. If it fails, nothing
            has changed.
    """

    def __init__(self, example: Tensor, dim: int, make_room: MakeRoom = Tensor.new_empty) -> None:
        self.dim = dim % example.dim()
        self.length = 0
        self.bytes_copied = 0
        self._make_room = make_room
        self._block = _Block(make_room(example, example.narrow(self.dim, 0, 0).shape), 0)

    @property
    def bytes_held(self) -> int:
        return self._block.room.untyped_storage().nbytes()

    def view(self) -> Tensor:
        """All appended numbers, without a copy."""
        return self._block.room.narrow(self.dim, 0, self.length)

    def append(self, new: Tensor) -> None:
        count = new.shape[self.dim]
        self.reserve(count)
        target = self._block.room.narrow(self.dim, self.length, count)
        target.copy_(new)
        self.bytes_copied += target.numel() * target.element_size()
        self.length += count
        self._block.used = self.length

    def reserve(self, count: int) -> None:
        """Make room for `count` more, and make the room behind the end this handle's own."""
        capacity = self._block.room.shape[self.dim]
        if self._block.used == self.length and self.length + count <= capacity:
            return
        size = max(self.length + count, 2 * self.length)
        shape = list(self._block.room.shape)
        shape[self.dim] = size
        room = self._make_room(self._block.room, shape)
        old = self.view()
        room.narrow(self.dim, 0, self.length).copy_(old)
        self.bytes_copied += old.numel() * old.element_size()
        self._block = _Block(room, self.length)

    def tail(self) -> Tensor:
        """The whole room; what lies behind `length` is scratch, free until the next append."""
        return self._block.room

    def truncate(self, length: int) -> None:
        """Forget everything behind `length`; undone appends no longer count as copied."""
        undone = self.view().narrow(self.dim, length, self.length - length)
        self.bytes_copied -= undone.numel() * undone.element_size()
        if self._block.used == self.length:
            # What a fork may see stays used, so that a later append goes around it.
            self._block.used = max(length, self._block.shared)
        self.length = length

    def fork(self) -> GrowingTensor:
        """A handle on the same numbers; copies nothing until the two diverge."""
        twin = GrowingTensor.__new__(GrowingTensor)
        twin.dim, twin.length, twin.bytes_copied = self.dim, self.length, 0
        twin._make_room, twin._block = self._make_room, self._block
        self._block.shared = max(self._block.shared, self.length)
        return twin
