"""A tensor that grows along one axis in pages: what was appended never moves again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

# Uninitialised numbers of a shape, in the dtype of an example.
MakeRoom = Callable[[Tensor, Sequence[int]], Tensor]

# The first page of a tensor is this much smaller than a whole one, 4 KiB where that has 16 MiB, so
# that a short stream takes no room it does not need.
FIRST_PAGE = 4096


@dataclass(frozen=True)
class PageSizes:
    """Tokens on each page: the first few double, then all are equally large.

    A page starts at the same token whatever was appended, forked or loaded, so that reading page by
    page gives the same numbers.
    """

    first: int
    most: int

    @classmethod
    def of(cls, examples: Iterable[Tensor], dim: int, page_bytes: int) -> PageSizes:
        """For tensors that are stored beside each other: no page is larger than `page_bytes`, as
        long as that holds a token."""
        per_token = max(_bytes(example) // max(1, example.shape[dim]) for example in examples)
        most = max(1, page_bytes // max(1, per_token))
        return cls(max(1, most // FIRST_PAGE), most)

    def at(self, start: int) -> int:
        """Tokens on the page that starts behind `start` tokens."""
        return min(self.most, max(self.first, start))


@dataclass(eq=False)
class Page:
    """Room for some tokens.

    Attributes:
        shared: how far forks may see; nothing before it is ever written again.
        written: the line that wrote last, and how far.
    """

    room: Tensor
    shared: int = 0
    written: tuple[object, int] = (None, 0)


@dataclass(frozen=True, eq=False)
class PagedTensor:
    """A value: `append` gives a longer one, which shares its pages.

    What follows it is written behind its end, into room that it does not show. So going back to it
    is keeping a reference to it, and nothing has to be undone however an append ends. Of two that
    were appended to the same value, the second may write over the first: one takes the place of the
    value, the other is let go. To go on with both, `fork` one of them; then the later writer copies
    the page on which they part, and no other.

    Attributes:
        example: gives dtype and all other sizes, and the device unless `make_room` has another.
        dim: the axis that grows.
        make_room: where pages come from. If it fails, nothing has changed.
        length: tokens appended.
        moved: bytes copied beside those appended, of pages shared with a fork.
    """

    example: Tensor
    dim: int
    sizes: PageSizes
    make_room: MakeRoom = Tensor.new_empty
    pages: tuple[Page, ...] = ()
    length: int = 0
    moved: int = 0
    _line: object = field(default_factory=object)

    @classmethod
    def like(
        cls,
        example: Tensor,
        dim: int,
        sizes: PageSizes,
        make_room: MakeRoom = Tensor.new_empty,
        device: torch.device | None = None,
    ) -> PagedTensor:
        """One without tokens, for what is like the example; on its device if on no other."""
        dim %= example.dim()
        shape = list(example.shape)
        shape[dim] = 0
        # Not a view: it would hold the first step's tensor for as long as the stream lasts.
        return cls(example.new_empty(shape, device=device), dim, sizes, make_room)

    def append(self, new: Tensor) -> PagedTensor:
        """With more tokens behind its end, in no device's or dtype's place but its own."""
        longer, start = self, 0
        while start < new.shape[self.dim]:
            longer = longer._with_room()
            page, fill = longer.pages[-1], longer._fill
            size = min(new.shape[self.dim] - start, self._capacity(page) - fill)
            # Told before it is written: a fork that reads the numbers must not write there.
            page.written = (self._line, fill + size)
            page.room.narrow(self.dim, fill, size).copy_(new.narrow(self.dim, start, size))
            longer = replace(longer, length=longer.length + size)
            start += size
        return longer

    def fork(self) -> PagedTensor:
        """The same tokens, to go on from apart from this one; copies nothing."""
        for start, part in self._filled():
            page = self.pages[start]
            page.shared = max(page.shared, part.shape[self.dim])
        return replace(self, _line=object())

    @property
    def bytes_held(self) -> int:
        """Bytes of all pages, room to grow included."""
        return sum(page.room.untyped_storage().nbytes() for page in self.pages)

    @property
    def bytes_appended(self) -> int:
        return sum(_bytes(part) for part in self.parts())

    @property
    def bytes_copied(self) -> int:
        """Bytes written: of every number once, and again where a page was shared."""
        return self.bytes_appended + self.moved

    @property
    def page_bytes(self) -> int:
        """Bytes of the largest page, 0 before the first."""
        return max((_bytes(page.room) for page in self.pages), default=0)

    @cached_property
    def bounds(self) -> list[int]:
        """The tokens at which pages start, and the length."""
        bounds = [0]
        for page in self.pages:
            bounds.append(min(self.length, bounds[-1] + self._capacity(page)))
        return bounds

    def parts(self) -> tuple[Tensor, ...]:
        """All numbers page by page, without a copy."""
        return tuple(part for _, part in self._filled())

    def joined(self) -> Tensor:
        """All numbers; without a copy as long as they lie on one page."""
        return self.between(0, self.length)

    def between(self, start: int, stop: int) -> Tensor:
        """A run of tokens; without a copy where it lies on one page."""
        bounds, found = self.bounds, list[Tensor]()
        number = max(0, bisect_right(bounds, start) - 1)
        while start < stop:
            low, count = start - bounds[number], min(stop, bounds[number + 1]) - start
            found.append(self.pages[number].room.narrow(self.dim, low, count))
            start, number = start + count, number + 1
        return self._cat(found)

    def take(self, rows: Tensor) -> Tensor:
        """The tokens at the places [n]; only they are copied, if they ascend.

        Raises:
            IndexError: for a place behind the end or below 0.
        """
        parts, bounds = self.parts(), self.bounds
        if len(parts) == 1 or bool((rows.diff() < 0).any()):
            whole = self.joined()
            return whole.index_select(self.dim, rows.to(whole.device))
        ends = torch.searchsorted(rows, torch.tensor(bounds, device=rows.device)).tolist()
        if ends[0] != 0 or ends[-1] != len(rows):
            raise IndexError(f"places {rows.tolist()} leave a tensor of {self.length} tokens")
        found = [
            part.index_select(self.dim, (rows[low:high] - begin).to(part.device))
            for begin, part, low, high in zip(bounds, parts, ends, ends[1:], strict=False)
            if low < high
        ]
        return self._cat(found)

    def _cat(self, found: list[Tensor]) -> Tensor:
        if not found:
            where = self.pages[0].room if self.pages else self.example
            return where.narrow(self.dim, 0, 0)
        return found[0] if len(found) == 1 else torch.cat(found, self.dim)

    def _filled(self) -> Iterator[tuple[int, Tensor]]:
        """Every page by number, as far as it is filled."""
        left = self.length
        for number, page in enumerate(self.pages):
            size = min(left, self._capacity(page))
            left -= size
            yield number, page.room.narrow(self.dim, 0, size)

    def _capacity(self, page: Page) -> int:
        return page.room.shape[self.dim]

    @property
    def _fill(self) -> int:
        """Tokens on the last page."""
        return self.length - sum(self._capacity(page) for page in self.pages[:-1])

    def _with_room(self) -> PagedTensor:
        """With room for a token behind its end that nobody else sees."""
        if not self.pages or self._fill == self._capacity(self.pages[-1]):
            return replace(self, pages=(*self.pages, self._page(self.sizes.at(self.length))))
        page, fill = self.pages[-1], self._fill
        writer, end = page.written
        if page.shared <= fill and (end <= fill or writer is self._line):
            return self
        own, old = self._page(self._capacity(page)), page.room.narrow(self.dim, 0, fill)
        own.room.narrow(self.dim, 0, fill).copy_(old)
        return replace(self, pages=(*self.pages[:-1], own), moved=self.moved + _bytes(old))

    def _page(self, tokens: int) -> Page:
        shape = list(self.example.shape)
        shape[self.dim] = tokens
        return Page(self.make_room(self.example, shape))


def _bytes(numbers: Tensor) -> int:
    return numbers.numel() * numbers.element_size()
