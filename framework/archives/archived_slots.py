"""Slots of the archive whose keys and values are unpacked when they are looked at, if ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from ..slots import Slots
from .codec import Archive

# Packed tensors by name of all slots, or of a range of them.
Packed = Callable[[range | None], Mapping[str, Tensor]]


class ArchivedSlots(Slots):
    """What `LayerArchive.slots` gives: what is known of the tokens, and where their keys lie.

    To a reader they are slots like any other: keys and values are unpacked when first looked at.
    Those that a reader returns untouched are unpacked block by block while the question attends to
    them, so that they never lie in memory as a whole. Whatever makes other slots of them (`keep`,
    `dataclasses.replace`, `close_gaps`) looks at them.

    Attributes:
        is_run: they follow each other in the archive.
        bounds: where pages start among them, and their number; of a run only.
    """

    is_run: bool

    bounds: list[int]
    _codec: Archive
    _packed_of: Packed

    @classmethod
    def of(
        cls, known: Slots, codec: Archive, packed_of: Packed, bounds: list[int] | None
    ) -> ArchivedSlots:
        """With all of `known` but its keys and values; `bounds` of a run."""
        made = cls.__new__(cls)
        vars(made).update(vars(known))
        del made.keys, made.values
        made._codec, made._packed_of = codec, packed_of
        made.is_run, made.bounds = bounds is not None, bounds or []
        return made

    def __getattr__(self, name: str) -> Any:
        # Called only for what the instance does not hold, so once for the two.
        if name in ("keys", "values"):
            self.keys, self.values = self.unpack(None)
            return vars(self)[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def untouched(self) -> bool:
        """Whether nobody has looked at keys or values."""
        return "keys" not in vars(self)

    def unpack(self, some: range | None) -> tuple[Tensor, Tensor]:
        """Keys and values [B, K, n, D] of a range of the slots, or of all; they are not kept."""
        return self._codec.unpack(self._packed_of(some))

    def keys_alone(self) -> Tensor:
        """[B, K, S, D] keys of all slots, without unpacking values; they are not kept."""
        return self._codec.unpack_keys(self._packed_of(None))

    @property
    def num_slots(self) -> int:
        return self.index.shape[-1]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        _ = self.keys  # what goes over all tensors must find both
        return super().tensors()

    def map(self, change: Callable[..., Tensor], *others: Slots) -> Slots:
        _ = self.keys
        return super().map(change, *others)
