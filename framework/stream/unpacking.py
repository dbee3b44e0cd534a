"""Archived keys and values on their way to a question's attention, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..archives.archived_slots import ArchivedSlots
from ..attention.blocks import KeyBlock

# Bytes unpacked at a time: what lies between packed and attended to stays in the processor's cache.
PIECE_BYTES = 1 << 20


@dataclass(eq=False)
class Buffers:
    """Room for two unpacked blocks, used again by every block of every layer and token.

    Args:
        block_bytes: of keys and values of a block; it holds one token at least.
    """

    block_bytes: int
    _rooms: list[Tensor] = field(default_factory=list)

    def tokens(self, like: Tensor) -> int:
        """Tokens of a block, of keys like [B, K, tokens, D]."""
        return max(1, self.block_bytes // (2 * token_bytes(like)))

    def room(self, number: int, like: Tensor) -> Tensor:
        """[2, B, K, tokens, D] for keys and values of the block of this number."""
        rooms = self._rooms
        if not rooms or rooms[0].device != like.device:
            batch, heads, _, size = like.shape
            shape = (2, batch, heads, self.tokens(like), size)
            rooms[:] = [like.new_empty(shape) for _ in range(2)]
        return rooms[number % 2]


@dataclass(frozen=True, eq=False)
class UnpackedBlocks:
    """Some slots in blocks, unpacked anew whenever they are gone over: at most two at a time, one
    that is attended to and the next, which another thread unpacks meanwhile, on CUDA on a stream of
    its own.

    Args:
        slots: a run of the archive.
        like: [B, K, any, D] keys as the question has them.
        rotate: turns keys whose slots moved, see `readable_keys`.
    """

    slots: ArchivedSlots
    like: Tensor
    buffers: Buffers
    rotate: Callable[[Tensor, Tensor], Tensor]

    def __iter__(self) -> Iterator[KeyBlock]:
        runs = list(self._runs())
        device = self.like.device
        side = torch.cuda.Stream(device) if device.type == "cuda" else None
        with ThreadPoolExecutor(1) as thread:
            coming = self._begin(thread, runs[0], 0, side)
            for number in range(len(runs)):
                block = coming.result()
                if side is not None:
                    torch.cuda.current_stream(device).wait_stream(side)
                if number + 1 < len(runs):
                    # Its room is that of the block before, which nobody asks for any more.
                    coming = self._begin(thread, runs[number + 1], number + 1, side)
                yield block

    def _runs(self) -> Iterator[range]:
        size, count = self.buffers.tokens(self.like), self.slots.num_slots
        for start in range(0, count, size):
            yield range(start, min(start + size, count))

    def _begin(
        self, thread: ThreadPoolExecutor, run: range, number: int, side: torch.cuda.Stream | None
    ) -> Future[KeyBlock]:
        if side is not None:
            side.wait_stream(torch.cuda.current_stream(self.like.device))
        return thread.submit(self._unpack, run, self.buffers.room(number, self.like), side)

    @torch.no_grad()  # of this thread
    def _unpack(self, run: range, room: Tensor, side: torch.cuda.Stream | None) -> KeyBlock:
        keys, values = room[:, :, :, : len(run)]
        piece = max(1, PIECE_BYTES // (2 * token_bytes(self.like)))
        with torch.cuda.stream(side) if side is not None else nullcontext():
            for start in range(run.start, run.stop, piece):
                some = range(start, min(start + piece, run.stop))
                place = slice(start - run.start, some.stop - run.start)
                self.slots.unpack_into(some, keys[:, :, place], values[:, :, place])
                if self.slots.moved:
                    self._turn(keys[:, :, place], some)
        return KeyBlock(keys, values)

    def _turn(self, keys: Tensor, some: range) -> None:
        """Write the keys anew as the question sees them."""
        slots = self.slots
        assert slots.rotated is not None  # filled by __post_init__
        by = (slots.positions - slots.rotated)[..., some.start : some.stop]
        keys.copy_(self.rotate(keys, by.to(keys.device)))


def token_bytes(like: Tensor) -> int:
    """Bytes of the keys of one token."""
    batch, heads, _, size = like.shape
    return batch * heads * size * like.element_size()


def pages_in_place(slots: ArchivedSlots, like: Tensor) -> list[KeyBlock] | None:
    """The slots page by page if they can be read where they lie: packed as they are, in the
    question's dtype and on its device. None if they must be unpacked."""
    if slots.moved:
        return None
    first = [slots.unpack(range(1)) for _ in range(2)]
    for one, again in zip(*first, strict=True):
        same = one.dtype == like.dtype and one.device == like.device
        # What is made anew lies elsewhere the second time.
        if not same or one.data_ptr() != again.data_ptr():
            return None
    return [KeyBlock(*page) for page in slots.pages()]
