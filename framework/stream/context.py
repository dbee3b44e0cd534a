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
        blocks: gone over at every attention; empty where the buffers hold all.
    """

    key_room: Tensor
    value_room: Tensor
    length: int
    read_valid: Tensor | None
    blocks: Iterable[KeyBlock] = ()

    def __post_init__(self) -> None:
        self.num_read = self.length

    @classmethod
    def copy_of(cls, slots: Slots, room: int) -> Context:
        def widen(value: Tensor) -> Tensor:
            wide = value.new_empty(*value.shape[:2], value.shape[2] + room, value.shape[3])
            wide[:, :, : value.shape[2]] = value
            return wide

        return cls(widen(slots.keys), widen(slots.values), slots.num_slots, slots.valid)

    @classmethod
    def behind(
        cls, blocks: Iterable[KeyBlock], small: Sequence[KeyBlock], like: Tensor, room: int
    ) -> Context:
        """For text behind blocks, and behind small ones that one buffer joins with it."""

        def widen(parts: Sequence[Tensor]) -> Tensor:
            length = sum(part.shape[2] for part in parts)
            wide = like.new_empty(*like.shape[:2], length + room, like.shape[3])
            torch.cat([*parts, like[:, :, :0]], 2, out=wide[:, :, :length])
            return wide

        keys, values = widen([one.keys for one in small]), widen([one.values for one in small])
        return cls(keys, values, keys.shape[2] - room, None, blocks)

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
        if self.read_valid is None:
            return None
        text = self.read_valid.new_ones(*self.read_valid.shape[:2], self.length - self.num_read)
        return torch.cat([self.read_valid, text], -1)
