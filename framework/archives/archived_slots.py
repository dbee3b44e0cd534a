"""Slots whose keys and values lie in the archive and are unpacked when looked at, if ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from itertools import pairwise
from typing import Any

from torch import Tensor

from ..slots import Slots
from .codec import Archive

KV = ("keys", "values")
# Packed tensors by name of all slots, or of a range of them.
Packed = Callable[[range | None], Mapping[str, Tensor]]


class ArchivedSlots(Slots):
    """What is known of archived tokens, and where their keys and values lie: `LayerArchive.slots`,
    and what a memory carries as long as it keeps everything (`ArchiveStorage.carried_layer`).

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
    _nothing: tuple[Tensor]  # [B, K, S, 0]; in a tuple, as fields that hold tensors are columns
    # The keys and values that were unpacked when somebody looked.
    _looked_at: tuple[Tensor, ...] = ()

    def __new__(cls, *columns: Any, **named: Any) -> Any:
        """Slots like any other for `dataclasses.replace`; `of` makes those whose KV lies here."""
        return Slots(*columns, **named) if columns or named else super().__new__(cls)

    @classmethod
    def of(
        cls, known: Slots, codec: Archive, packed_of: Packed, bounds: list[int] | None
    ) -> ArchivedSlots:
        """With all of `known` but its keys and values, [B, K, S, 0]; `bounds` of a run."""
        made = cls.__new__(cls)
        vars(made).update(vars(known))
        made._nothing = (made.keys,)
        del made.keys, made.values
        made._codec, made._packed_of = codec, packed_of
        made.is_run, made.bounds = bounds is not None, bounds or []
        return made

    def __getattr__(self, name: str) -> Any:
        # Called only for what the instance does not hold, so once for the two.
        if name in KV:
            self._looked_at = self.unpack(None)
            for each, unpacked in zip(KV, self._looked_at, strict=True):
                vars(self).setdefault(each, unpacked)
            return vars(self)[name]
        raise AttributeError(f"'Slots' object has no attribute {name!r}")

    @property
    def untouched(self) -> bool:
        """Whether nobody has looked at keys or values, or replaced them."""
        return not any(name in vars(self) for name in KV)

    @property
    def as_archived(self) -> bool:
        """Whether nobody has put other keys or values in the place of the archive's."""
        if not self._looked_at:
            return self.untouched
        return all(vars(self)[n] is value for n, value in zip(KV, self._looked_at, strict=True))

    def twin(self) -> ArchivedSlots:
        """The same slots, untouched."""
        return ArchivedSlots.of(self.known(), self._codec, self._packed_of, self.bounds or None)

    def known(self) -> Slots:
        """The slots with keys and values that hold nothing, [B, K, S, 0]."""
        (nothing,) = self._nothing
        names = [part.name for part in fields(Slots) if part.name not in KV]
        return Slots(nothing, nothing, **{name: vars(self)[name] for name in names})

    def settled(self) -> Slots:
        """Untouched again, as long as nobody put other keys or values in their place."""
        if not self.as_archived:
            return super().settled()
        known = self.known().settled()
        return ArchivedSlots.of(known, self._codec, self._packed_of, self.bounds or None)

    @property
    def archived_bytes(self) -> int:
        """Bytes of keys and values, which lie in the archive."""
        parts = self._packed_of(range(0)).values()  # [B, K, 0, D]
        return sum(part.element_size() * part.shape[-1] for part in parts) * self.index.numel()

    def pages(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Keys and values of a run page by page; of a plain archive without a copy."""
        return (self.unpack(range(*ends)) for ends in pairwise(self.bounds))

    def unpack(self, some: range | None) -> tuple[Tensor, Tensor]:
        """Keys and values [B, K, n, D] of a range of the slots, or of all; they are not kept."""
        return self._codec.unpack(self._packed_of(some))

    def unpack_into(self, some: range, keys: Tensor, values: Tensor) -> None:
        """Write those of a range of the slots into tensors [B, K, n, D]."""
        self._codec.unpack_into(self._packed_of(some), keys, values)

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
