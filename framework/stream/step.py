"""A running step: what decoder layers attend to while a frame or a question passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..archives.reader import Reader
from ..archives.storage import ORIGIN, ArchiveStorage, LayerArchive
from ..attention.attend import Visibility, attend, weights_of
from ..flops import step_flops
from ..frame_tokens import FrameTokens
from ..memory import CrossFrameMemory
from ..model import VideoModel
from ..slots import Slots, join_slots, on_device
from .context import Context
from .finite import extents, is_finite, still_finite
from .state import StreamState


@dataclass(frozen=True, eq=False)
class StepColumns:
    """What is known of a step's tokens: [B, T] each, positions [axes, B, T]."""

    index: Tensor
    frame: Tensor
    visual: Tensor
    positions: Tensor
    stats: dict[str, Tensor]

    @classmethod
    def of(
        cls, frame: FrameTokens, index: Tensor, numbers: Tensor, device: torch.device
    ) -> StepColumns:
        def put(value: Tensor) -> Tensor:
            return value.to(device)

        return cls(
            index=put(index),
            frame=put(numbers).expand(frame.batch, -1),
            visual=put(frame.visual_mask()),
            positions=put(frame.positions),
            stats={name: put(value) for name, value in frame.stats.items()},
        )

    def slots(self, keys: Tensor, values: Tensor, layer: int, num_layers: int) -> Slots:
        """The step's own slots in one layer."""

        def spread(column: Tensor) -> Tensor:
            column = column.to(keys.device).unsqueeze(-2)
            return column.expand(*column.shape[:-2], keys.shape[1], -1)

        return Slots(
            keys=keys,
            values=values,
            index=spread(self.index),
            frame=spread(self.frame),
            visual=spread(self.visual),
            positions=spread(self.positions),
            stats={name: spread(value) for name, value in self.stats.items()},
            num_new=keys.shape[2],
            layer=layer,
            num_layers=num_layers,
        )


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
        columns: StepColumns,
        archive: ArchiveStorage,
        *,
        memory: CrossFrameMemory,
        bidirectional: bool,
        implementation: str,
        max_tokens: int,
    ) -> None:
        self.model = model
        self.carried = state.carried(model, len(columns.index))
        self.origin, self.finite = state.origin, state.finite
        self.columns = columns
        self.archive = archive
        self.memory = memory
        self.implementation = implementation
        self.max_tokens = max_tokens
        # Bound to the model, not to the step: slots that point back would make a cycle, which holds
        # all keys of the step until the garbage collector comes by.
        self.rotate = partial(_rotated, model, max_tokens)
        self.block = _blocks(columns.frame[0]) if bidirectional else None
        self.joined: list[Slots] = []
        self._extents: list[Tensor] = []

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        self.archive.append_layer(layer, key, value)
        self._extents += extents(query, key)
        new = self.columns.slots(key, value, layer, len(self.carried))
        slots = join_slots(self.carried[layer], new)
        keys = readable_keys(slots, self.rotate)
        visibility = Visibility(self.block, slots.valid)
        output, slots.mass, slots.reduced = attend(
            query,
            keys,
            slots.values,
            scale=scale,
            visibility=visibility,
            needs_mass=self.memory.needs_mass,
            reductions=self.memory.reductions,
            implementation=self.implementation,
        )
        slots.turn = self.rotate
        slots.weigh = lambda rows: weights_of(query, keys, rows, scale=scale, visibility=visibility)
        self.joined.append(slots)
        return output

    def run(self, tokens: FrameTokens) -> Tensor:
        """[B, T, hidden] of the last layer, after the frame's KV has joined the archive; `joined`
        then holds [carried ; frame] of every layer."""
        hidden = self.model.step(self.origin.tokens(tokens), self, self.max_tokens)
        self.finite = still_finite(self.finite, hidden, *self._extents)
        columns = self.columns
        shared = {
            "index": columns.index,
            "frame": columns.frame,
            "visual": columns.visual,
            "positions": columns.positions,
        }
        if self.origin.moved:
            shared[ORIGIN] = torch.full_like(columns.index, self.origin.moved)
        self.archive.append_columns(shared, columns.stats)
        return hidden

    @property
    def flops(self) -> int:
        """FLOPs of the step by closed form."""
        batch, new_tokens = self.columns.index.shape
        return step_flops(
            self.model.spec,
            batch=batch,
            new_tokens=new_tokens,
            context_tokens=[slots.num_slots for slots in self.carried],
            mass_pass=self.implementation == "sdpa" and self.memory.looks_at_weights,
            reductions=self.memory.reductions,
        )


class AskStep:
    """A question and its answer: attends to what the reader picks, then to the text so far.

    What the reader picks is joined with the text in one buffer per layer. Where it picks the whole
    of a plain archive, that buffer is the archive's own storage and the text goes into the unused
    room behind its end, so that asking copies no keys or values.

    Args:
        asked_at: [axes, B, tokens] positions of the question.
        room: most text tokens, question and answer, that will pass.
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
    ) -> None:
        self.model = model
        self.carried = state.carried(model, asked_at.shape[1])
        self.origin, self._finite = state.origin, state.finite
        self.archive = archive
        self.reader = reader
        self.asked_at = asked_at
        self.room = room
        self.rotate = partial(_rotated, model, max_tokens)
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
            context = self._contexts[layer] = self._open(layer, query)
        context.append(key, value)
        self._extents += extents(query, key)
        attended = attend(
            query,
            context.keys,
            context.values,
            scale=scale,
            visibility=Visibility(valid=context.valid),
        )
        output = attended.output
        if layer == len(self.carried) - 1:  # NaN spreads through all layers
            self._finite = still_finite(self._finite, output, *self._extents)
            self._extents = []
        return output

    def finite(self, logits: Tensor) -> bool:
        """Whether stream, question and answer so far, and these logits, are numbers only."""
        return is_finite(still_finite(self._finite, logits))

    def _open(self, layer: int, query: Tensor) -> Context:
        asked_at, moved = self.asked_at.to(query.device), self.origin.moved
        view = LayerArchive(self.archive, layer, rotate=self.rotate, asked_at=asked_at, moved=moved)
        slots = on_device(self.reader.read(query, view, self.carried[layer]), query.device)
        if slots.num_slots == 0:
            raise ValueError(
                f"{type(self.reader).__name__} picked no slots in layer {layer}; a reader must "
                "leave at least one to attend to"
            )
        # An archive may unpack to another dtype than the model's.
        keys, values = slots.keys.to(query.dtype), slots.values.to(query.dtype)
        slots = replace(slots, keys=keys, values=values)
        stored = self.archive.layers[layer]
        whole = all(
            name in stored and _is_view(value, stored[name].view())
            for name, value in (("keys", slots.keys), ("values", slots.values))
        )
        if whole and slots.valid is None and not slots.moved and self._has_room(layer):
            return Context(stored["keys"].tail(), stored["values"].tail(), slots.num_slots, None)
        keys = readable_keys(slots, self.rotate)
        return Context.copy_of(replace(slots, keys=keys), self.room)

    def _has_room(self, layer: int) -> bool:
        """Whether the text fits behind the archive; not on a full disk, whose archive is then
        read into memory."""
        try:
            self.archive.reserve(layer, self.room)
        except OSError:
            return False
        return True


def _blocks(frame: Tensor) -> Tensor:
    """[T] the block each token shares with its frame; prompt text stays causal, a block each."""
    own = torch.arange(len(frame), device=frame.device) - len(frame)
    return torch.where(frame < 0, own, frame)


def _is_view(keys: Tensor, stored: Tensor) -> bool:
    return keys.data_ptr() == stored.data_ptr() and keys.shape == stored.shape
