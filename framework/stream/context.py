"""What one layer of a question attends to: the slots that were read, and the text behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attention.blocks import KeyBlock
from ..slots import Slots


@dataclass(eq=False)
class Context:
    """Buffers [B, K, room, D] of one layer, filled up to `length`; and what is read before them
    where it lies, or unpacked on the way.

    Attributes:
        room_valid: [B, K, room] bool, False at padding of what was read and of the text.
        blocks: gone over at every attention; empty where the buffers hold all.
    """

    key_room: Tensor
    value_room: Tensor
    length: int
    room_valid: Tensor | None
    blocks: Iterable[KeyBlock] = ()

    def __post_init__(self) -> None:
        self.num_read = self.length

    @classmethod
    def copy_of(cls, slots: Slots, room: int, real: Tensor | None = None) -> Context:
        """For `room` tokens of text, of which `real` [B, tokens] says of the first whether they are
        no padding, behind slots that are copied."""

        def widen(value: Tensor) -> Tensor:
            wide = value.new_empty(*value.shape[:2], value.shape[2] + room, value.shape[3])
            wide[:, :, : value.shape[2]] = value
            return wide

        valid = _room_valid(slots.keys, slots.valid, room, real)
        return cls(widen(slots.keys), widen(slots.values), slots.num_slots, valid)

    @classmethod
    def behind(
        cls,
        blocks: Iterable[KeyBlock],
        small: Sequence[KeyBlock],
        like: Tensor,
        room: int,
        real: Tensor | None = None,
    ) -> Context:
        """For text behind blocks, and behind small ones that one buffer joins with it."""

        def widen(parts: Sequence[Tensor]) -> Tensor:
            length = sum(part.shape[2] for part in parts)
            wide = like.new_empty(*like.shape[:2], length + room, like.shape[3])
            torch.cat([*parts, like[:, :, :0]], 2, out=wide[:, :, :length])
            return wide

        keys, values = widen([one.keys for one in small]), widen([one.values for one in small])
        length = keys.shape[2] - room
        valid = _room_valid(keys[:, :, :length], None, room, real)
        return cls(keys, values, length, valid, blocks)

    def append(self, key: Tensor, value: Tensor) -> None:
        end = self.length + key.shape[2]
        if end > self.key_room.shape[2]:
            raise ValueError(
                f"the answer outgrew its room of {self.key_room.shape[2] - self.num_read} text "
                "tokens: raise max_new_tokens"
            )
        self.key_room[:, :, self.length : end] = key
        self.value_room[:, :, self.length : end] = value
        self.length = end

    @property
    def keys(self) -> Tensor:
        return self.key_room[:, :, : self.length]

    @property
    def values(self) -> Tensor:
        return self.value_room[:, :, : self.length]

    @property
    def valid(self) -> Tensor | None:
        return None if self.room_valid is None else self.room_valid[..., : self.length]


def _room_valid(
    read: Tensor, valid: Tensor | None, room: int, real: Tensor | None
) -> Tensor | None:
    """Of what was read, [B, K, S, D], and the room behind it; None where there is no padding."""
    if valid is None and real is None:
        return None
    batch, heads, length = read.shape[:3]
    whole = torch.ones(batch, heads, length + room, dtype=torch.bool, device=read.device)
    if valid is not None:
        whole[..., :length] = valid
    if real is not None:
        whole[..., length : length + real.shape[1]] = real[:, None].to(read.device)
    return whole
