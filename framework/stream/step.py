"""A running step: what decoder layers attend to while a frame or a question passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..archives.archived_slots import ArchivedSlots
from ..archives.reader import Reader
from ..archives.storage import ORIGIN, ArchiveStorage, LayerArchive
from ..attention.attend import attend, choose
from ..attention.backend import Place, Visibility
from ..attention.blocks import attend_blocks
from ..attention.plain import weights_of
from ..flops import step_flops
from ..memory import CrossFrameMemory
from ..model import VideoModel
from ..slots import Slots, join_slots, on_device, token_slots
from .admission import EnteringTokens
from .context import Context
from .finite import extents, is_finite, still_finite
from .state import StreamState
from .unpacking import Buffers, UnpackedBlocks, pages_in_place, token_bytes


def readable_keys(slots: Slots, rotate: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The keys where later frames see them: rotated once if the memory moved their slots."""
    if not slots.moved:
        return slots.keys
    assert slots.rotated is not None
    return rotate(slots.keys, slots.positions - slots.rotated)


def _rotated(model: VideoModel, max_tokens: int, keys: Tensor, delta: Tensor) -> Tensor:
    return model.rotate(keys, delta, max_tokens)


class PushStep:
    """A frame passing through the layers: attends to [carried ; frame] and archives its KV."""

    def __init__(
        self,
        model: VideoModel,
        state: StreamState,
        entering: EnteringTokens,
        archive: ArchiveStorage,
        *,
        memory: CrossFrameMemory,
        bidirectional: bool,
        attention: str,
        max_tokens: int,
    ) -> None:
        self.model = model
        self.carried = state.carried(model, entering.tokens.batch)
        self.origin, self.finite = state.origin, state.finite
        self.recurrent = dict(state.recurrent)
        self.tokens = entering.tokens
        self.columns = entering.columns(model.device)
        self.archive = archive
        self.memory = memory
        self.backend = choose(
            attention, memory.needs_mass, memory.reductions, place=place_of(model)
        )
        self.max_tokens = max_tokens
        # Bound to the model, not to the step: slots that point back would make a cycle, which holds
        # all keys of the step until the garbage collector comes by.
        self.rotate = partial(_rotated, model, max_tokens)
        self.block = _blocks(self.columns["frame"][0]) if bidirectional else None
        self._own: Slots | None = None
        self.joined: list[Slots] = []
        self._extents: list[Tensor] = []

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        self.archive.append_layer(layer, key, value)
        self._extents += extents(query, key)
        if self._own is None:  # keys and values come with each layer
            # No view of keys, which would hold them.
            none, count = key.new_empty(*key.shape[:3], 0), len(self.carried)
            self._own = token_slots(none, none, self.columns, layer, count).settled()
        slots = self._joined(layer, key, value)
        keys, values, again = self._readable(slots)
        visibility = Visibility(self.block, slots.valid)
        output, slots.mass, slots.reduced = attend(
            query,
            keys,
            values,
            backend=self.backend,
            scale=scale,
            visibility=visibility,
            needs_mass=self.memory.needs_mass,
            reductions=self.memory.reductions,
        )
        slots.turn = self.rotate
        how = {"scale": scale, "visibility": visibility}
        slots.weigh = lambda rows: weights_of(query, again(), rows, **how)
        self.joined.append(slots)
        return output

    def _joined(self, layer: int, key: Tensor, value: Tensor) -> Slots:
        """[carried ; frame] of a layer, whose KV the archive has by now."""
        assert self._own is not None
        own = on_device(self._own, key.device)
        carried = self.carried[layer]
        if not self._keeps_all(carried):
            new = replace(own, keys=key, values=value, num_new=key.shape[2], layer=layer)
            return join_slots(carried, new)
        if isinstance(carried, ArchivedSlots):
            known = carried.known()
        else:  # empty
            known = replace(carried, keys=carried.keys[..., :0], values=carried.values[..., :0])
        new = replace(own, num_new=key.shape[2], layer=layer)
        return self.archive.carried_layer(layer, join_slots(known, new))

    def _readable(self, slots: Slots) -> tuple[Tensor, Tensor, Callable[[], Tensor]]:
        """Keys and values as the frame sees them, and how to have the keys again. What is unpacked
        of the archive is let go with the layer, unless the memory looks at it."""
        if not isinstance(slots, ArchivedSlots):
            keys = readable_keys(slots, self.rotate)
            return keys, slots.values, lambda: keys
        now, later, rotate = slots.twin(), slots.twin(), self.rotate
        return readable_keys(now, rotate), now.values, lambda: readable_keys(later, rotate)

    def _keeps_all(self, carried: Slots) -> bool:
        """Whether all that a layer carries lies in the archive as it is, so that it is not held a
        second time. What a memory merges is its own: it may be written in place."""
        if not self.archive.codec.as_they_are or self.memory.merges or torch.is_grad_enabled():
            return False
        before = self.archive.num_tokens  # columns come after the last layer
        archived = before == 0 or isinstance(carried, ArchivedSlots)
        return archived and carried.num_slots == before

    def run(self) -> Tensor:
        """[B, T, hidden] of the last layer, after the frame's KV has joined the archive; `joined`
        then holds [carried ; frame] of every layer, and `recurrent` what the others carry on."""
        tokens = self.origin.tokens(self.tokens)
        hidden = self.model.step(tokens, self, self.max_tokens, self.recurrent)
        self.finite = still_finite(self.finite, hidden, *self._extents)
        columns = self.columns
        if self.origin.moved:
            columns = {**columns, ORIGIN: torch.full_like(columns["index"], self.origin.moved)}
        self.archive.append_columns(columns)
        return hidden

    @property
    def flops(self) -> int:
        """FLOPs of the step by closed form."""
        return step_flops(
            self.model.spec,
            batch=self.tokens.batch,
            new_tokens=self.tokens.num_tokens,
            context_tokens=[slots.num_slots for slots in self.carried],
            extra_products=self.backend.extra_products(
                self.memory.needs_mass, self.memory.reductions, self.model.spec.head_dim
            ),
        )


class AskStep:
    """A question and its answer: attends to what the reader picks, then to the text so far.

    The text has a buffer of its own in every layer. What the reader picks is copied in front of it,
    unless that is a run of the archive of more than a block over all layers. Then the pages of a
    plain archive are read where they lie, and others unpacked block by block at every token.

    Args:
        asked_at: [axes, B, tokens] positions of the question.
        real: [B, tokens] bool, False at padding in front of shorter questions; None without.
        room: most text tokens, question and answer, that will pass.
        attention: the session's, see `choose`.
    """

    def __init__(
        self,
        model: VideoModel,
        state: StreamState,
        archive: ArchiveStorage,
        reader: Reader,
        *,
        asked_at: Tensor,
        room: int,
        max_tokens: int,
        attention: str,
        real: Tensor | None = None,
    ) -> None:
        self.model = model
        self.carried = state.carried(model, asked_at.shape[1])
        self.origin, self._finite = state.origin, state.finite
        self.recurrent = dict(state.recurrent)
        self.archive = archive
        self.reader = reader
        self.asked_at, self.real = asked_at, real
        self.room = room
        place = place_of(model)
        self.backend = choose(attention, place=place, question=True)
        self.block_backend = choose(attention, in_blocks=True, place=place, question=True)
        self.rotate = partial(_rotated, model, max_tokens)
        self._buffers = Buffers(archive.codec.block_bytes)
        self._contexts: dict[int, Context] = {}
        self._extents: list[Tensor] = []

    @property
    def num_read(self) -> int:
        return self.archive.num_tokens

    @property
    def num_text(self) -> int:
        first = self._contexts.get(0)
        return 0 if first is None else first.length - first.num_read

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        context = self._contexts.get(layer)
        if context is None:
            context = self._contexts[layer] = self._open(layer, query, key)
        context.append(key, value)
        self._extents += extents(query, key)
        output = self._attend(context, query, scale)
        if layer == len(self.carried) - 1:  # NaN spreads through all layers
            self._finite = still_finite(self._finite, output, *self._extents)
            self._extents = []
        return output

    def finite(self, logits: Tensor) -> bool:
        """Whether stream, question and answer so far, and these logits, are numbers only."""
        return is_finite(still_finite(self._finite, logits))

    def _attend(self, context: Context, query: Tensor, scale: float) -> Tensor:
        own = context.keys, context.values
        visibility = Visibility(valid=context.valid)
        if not context.blocks:
            options = {"scale": scale, "visibility": visibility, "backend": self.backend}
            return attend(query, *own, **options).output
        options = {"scale": scale, "visibility": visibility, "backend": self.block_backend}
        return attend_blocks(query, context.blocks, *own, **options).output

    def _open(self, layer: int, query: Tensor, key: Tensor) -> Context:
        asked_at, moved = self.asked_at.to(query.device), self.origin.moved
        view = LayerArchive(self.archive, layer, rotate=self.rotate, asked_at=asked_at, moved=moved)
        slots = self.reader.read(query, view, self.carried[layer])
        if slots.num_slots == 0:
            raise ValueError(
                f"{type(self.reader).__name__} picked no slots in layer {layer}; a reader must "
                "leave at least one to attend to"
            )
        if isinstance(slots, ArchivedSlots) and slots.untouched and slots.is_run:
            context = self._in_blocks(slots, key)
            if context is not None:
                return context
        slots = on_device(slots, query.device)
        # An archive may unpack to another dtype than the model's.
        keys, values = slots.keys.to(query.dtype), slots.values.to(query.dtype)
        slots = replace(slots, keys=keys, values=values)
        keys = readable_keys(slots, self.rotate)
        return Context.copy_of(replace(slots, keys=keys), self.room, self.real)

    def _in_blocks(self, slots: ArchivedSlots, like: Tensor) -> Context | None:
        """The slots where they lie, or unpacked on the way; None where they are unpacked once."""
        codec, num_layers = self.archive.codec, len(self.carried)
        limit, size = codec.block_bytes // num_layers, 2 * token_bytes(like) * slots.num_slots
        if size <= limit:
            return None
        pages = pages_in_place(slots, like)
        if pages is None:
            if size <= codec.kept_bytes // num_layers:
                return None
            blocks = UnpackedBlocks(slots, like, self._buffers, self.rotate)
            return Context.behind(blocks, [], like, self.room, self.real)
        # A call takes as long as reading some hundred KiB. The first pages double, so that those
        # below a quarter, and a last one, come to less than the limit.
        small = [8 * token_bytes(like) * page.keys.shape[2] < limit for page in pages]
        joined = [page for page, one in zip(pages, small, strict=True) if one]
        apart = [page for page, one in zip(pages, small, strict=True) if not one]
        return Context.behind(apart, joined, like, self.room, self.real)


def place_of(model: VideoModel) -> Place:
    """Where a model's attention runs."""
    return Place(model.device, model.dtype, model.spec.head_dim)


def _blocks(frame: Tensor) -> Tensor:
    """[T] the block each token shares with its frame; prompt text stays causal, a block each."""
    own = torch.arange(len(frame), device=frame.device) - len(frame)
    return torch.where(frame < 0, own, frame)
