"""The session's archive: KV of all frames per layer, and what is known of each token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..slots import Slots, token_slots
from .archived_slots import ArchivedSlots
from .codec import Archive
from .paged import PagedTensor, PageSizes

# How far the stream's origin had moved when the token's key was rotated; absent while it is 0.
ORIGIN = "origin"


class ArchiveStorage:
    """Packed keys and values of every layer, and columns that all layers share, in pages.

    Columns are [B, tokens]: `index`, `frame`, `visual`, one `stat:<name>` per stat; and
    `positions` [axes, B, tokens]; and `origin` once it has moved, see `stream/origin.py`.

    A session appends to a `draft`, and has a new storage when that takes the place of the old one;
    a draft that is let go leaves nothing but scratch behind the old one's end.
    """

    def __init__(self, codec: Archive, num_layers: int) -> None:
        self.codec = codec
        self.layers: list[dict[str, PagedTensor]] = [{} for _ in range(num_layers)]
        self.columns: dict[str, PagedTensor] = {}
        self._joined: dict[str, tuple[PagedTensor, Tensor]] = {}

    def column(self, name: str) -> Tensor:
        """One column joined, once for all layers that ask for it."""
        paged = self.columns[name]
        if name not in self._joined or self._joined[name][0] is not paged:
            self._joined[name] = (paged, paged.joined())
        return self._joined[name][1]

    @property
    def num_tokens(self) -> int:
        return self.columns["index"].length if self.columns else 0

    def append_layer(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Append one step's keys and values [B, K, tokens, D] of one layer."""
        # Pages are written again and again, which autograd would not allow.
        self.append_packed(layer, self.codec.pack(keys.detach(), values.detach()))

    def append_packed(
        self, layer: int, packed: Mapping[str, Tensor], device: torch.device | None = None
    ) -> None:
        """Append what the codec made of some tokens of one layer; by default where it was made."""
        stored = self.layers[layer]
        if packed and not stored:
            # All tensors of a layer have their pages at the same tokens.
            sizes = PageSizes.of(packed.values(), 2, self.codec.page_bytes)
            for name, part in packed.items():
                stored[name] = PagedTensor.like(part, 2, sizes, self.codec.room, device)
        for name, part in packed.items():
            stored[name] = stored[name].append(part)

    def append_columns(self, columns: Mapping[str, Tensor]) -> None:
        """Append one step's columns; a stat not seen before is 0 for earlier tokens."""
        if not self.codec.keeps:
            return
        before = self.num_tokens
        new = dict(columns)
        like = columns["index"]
        for name in self.columns.keys() - new.keys():
            new[name] = self.columns[name].example.new_zeros(like.shape)
        for name, value in new.items():
            if name not in self.columns:
                sizes = PageSizes.of([value], -1, self.codec.page_bytes)
                column = PagedTensor.like(value, -1, sizes)
                if before:
                    column = column.append(value.new_zeros(*value.shape[:-1], before))
                self.columns[name] = column
            self.columns[name] = self.columns[name].append(value)

    def carried_layer(self, layer: int, known: Slots) -> ArchivedSlots:
        """All tokens of a layer as slots whose keys and values stay where they are.

        Args:
            known: of the layer's tokens, all but keys and values.
        """
        stored, rows = dict(self.layers[layer]), range(known.num_slots)
        bounds = _bounds(next(iter(stored.values())), rows)
        return ArchivedSlots.of(known, self.codec, partial(_copied, stored, rows), bounds)

    def draft(self) -> ArchiveStorage:
        """A storage to append to, which may then replace this one; one at a time."""
        return self._twin(lambda paged: paged)

    def fork(self) -> ArchiveStorage:
        """An independent storage of the same tokens; copies nothing until one of them appends."""
        return self._twin(PagedTensor.fork)

    def _twin(self, of: Callable[[PagedTensor], PagedTensor]) -> ArchiveStorage:
        twin = ArchiveStorage(self.codec, len(self.layers))
        twin.layers = [{n: of(paged) for n, paged in layer.items()} for layer in self.layers]
        twin.columns = {name: of(paged) for name, paged in self.columns.items()}
        return twin

    @property
    def bytes_held(self) -> int:
        """Bytes of all pages, room to grow included."""
        return sum(paged.bytes_held for paged in self._paged())

    @property
    def bytes_appended(self) -> int:
        """Bytes of all that was appended, without room to grow."""
        return sum(paged.bytes_appended for paged in self._paged())

    @property
    def bytes_copied(self) -> int:
        """Bytes written by appending, and again where a page was shared with a fork."""
        return sum(paged.bytes_copied for paged in self._paged())

    def _paged(self) -> list[PagedTensor]:
        return [*self.columns.values(), *(p for layer in self.layers for p in layer.values())]


class LayerArchive:
    """One layer of the archive as a `Reader` sees it; nothing is unpacked before `slots`.

    Attributes:
        rotate: the model's rotation while a question passes: turns vectors [B, heads, S, D] on by
            positions [axes, B, heads, S]; None outside.
        asked_at: [axes, B, tokens] positions of the question's tokens; None outside.
        moved: how far the stream's origin has moved by now; keys rotated before read as further on.
    """

    def __init__(
        self,
        storage: ArchiveStorage,
        layer: int,
        *,
        rotate: Callable[[Tensor, Tensor], Tensor] | None = None,
        asked_at: Tensor | None = None,
        moved: int = 0,
    ) -> None:
        self._storage = storage
        self.layer, self.moved = layer, moved
        self.rotate, self.asked_at = rotate, asked_at

    @property
    def num_tokens(self) -> int:
        return self._storage.num_tokens

    @property
    def frames(self) -> Tensor:
        """[tokens] int64, the frame number of every archived token; -1 is the prompt."""
        self._require_kept()
        return self._storage.column("frame")[0]

    def slots(
        self,
        frames: Collection[int] | Tensor | None = None,
        *,
        tokens: range | Tensor | None = None,
    ) -> ArchivedSlots:
        """Some archived slots in stream order, all by default.

        Their keys and values are unpacked when they are looked at; where a reader returns slots
        untouched, a block at a time, while the question attends to them (`ArchivedSlots`). With a
        plain archive, tokens of one page come without a copy.

        Args:
            frames: take those of the given frames.
            tokens: or those at the given places in the archive: a range of step 1, or ascending
                numbers [n].

        Raises:
            ValueError: for both at once, for a range that leaves the archive or has a step, or if
                the session keeps no archive.
        """
        self._require_kept()
        rows = self._rows(frames, tokens)

        storage = self._storage
        columns = {name: _picked(storage.column(name), rows) for name in storage.columns}
        known = self._known(columns, len(rows))
        first = next(iter(storage.layers[self.layer].values()), None)

        # The layer's pages as they are now, and nothing else of the storage.
        packed_of = partial(_packed, dict(storage.layers[self.layer]), rows)
        return ArchivedSlots.of(known, storage.codec, packed_of, _bounds(first, rows))

    def _require_kept(self) -> None:
        if not self._storage.codec.keeps:
            raise ValueError(
                f"{type(self._storage.codec).__name__} keeps nothing of the frames: read what the "
                "memory carries (ReadCarried), or open the session with another archive"
            )

    def _rows(
        self, frames: Collection[int] | Tensor | None, tokens: range | Tensor | None
    ) -> range | Tensor:
        """Places in the archive, as a range where they are one."""
        if frames is not None and tokens is not None:
            raise ValueError("slots takes frames or tokens, not both")
        if frames is not None:
            wanted = torch.as_tensor(
                frames if isinstance(frames, Tensor) else list(frames), dtype=torch.int64
            )
            return torch.isin(self.frames, wanted.to(self.frames.device)).nonzero()[:, 0]
        rows = range(self.num_tokens) if tokens is None else tokens
        if isinstance(rows, range) and not (
            rows.step == 1 and 0 <= rows.start <= rows.stop <= self.num_tokens
        ):
            raise ValueError(
                f"slots: tokens={rows} is no range of step 1 in an archive of {self.num_tokens}"
            )
        return rows

    def _known(self, columns: dict[str, Tensor], count: int) -> Slots:
        """What is known of some tokens, with keys and values that hold nothing."""
        nothing = self._example().expand(-1, -1, count, -1)
        slots = token_slots(nothing, nothing, columns, self.layer, len(self._storage.layers))
        if ORIGIN in columns:
            further = (self.moved - columns[ORIGIN]).to(nothing.device)[:, None]
            slots = replace(slots, rotated=slots.positions + further)
        return slots

    def _example(self) -> Tensor:
        """[B, K, 1, 0] where the layer's pages lie."""
        packed = next(iter(self._storage.layers[self.layer].values())).between(0, 0)
        return packed.new_empty(*packed.shape[:2], 1, 0)


def _picked(column: Tensor, rows: range | Tensor) -> Tensor:
    if isinstance(rows, range):
        return column[..., rows.start : rows.stop]
    return column.index_select(-1, rows.to(column.device))


def _packed(
    stored: Mapping[str, PagedTensor], rows: range | Tensor, some: range | None
) -> dict[str, Tensor]:
    """Packed tensors of some rows, or of all."""
    wanted = rows if some is None else rows[some.start : some.stop]
    if isinstance(wanted, range):
        return {name: paged.between(wanted.start, wanted.stop) for name, paged in stored.items()}
    return {name: paged.take(wanted) for name, paged in stored.items()}


def _copied(
    stored: Mapping[str, PagedTensor], rows: range, some: range | None
) -> dict[str, Tensor]:
    """As `_packed`, but for all rows a copy, also where they lie on one page: what a memory makes
    of them would hold the whole page."""
    packed = _packed(stored, rows, some)
    alone = some is None and all(len(paged.pages) == 1 for paged in stored.values())
    return {name: part.clone() for name, part in packed.items()} if alone else packed


def _bounds(paged: PagedTensor | None, rows: range | Tensor) -> list[int] | None:
    """Where pages start among the rows, and their number; None if they are no run."""
    if paged is None or not isinstance(rows, range):
        return None
    inside = [place - rows.start for place in paged.bounds if rows.start < place < rows.stop]
    return [0, *inside, len(rows)]
