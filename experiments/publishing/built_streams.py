"""Streams that stand before a given frame, built without the frames before it.

What a step costs depends on how much is carried and archived, not on what: keys and values are
random, a block of them again and again. So a stream of an hour is there in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from ...framework import (
    Archive,
    CrossFrameMemory,
    Cursor,
    FrameTokens,
    PlainArchive,
    VideoSession,
)
from ...framework.archives.storage import ArchiveStorage
from ...framework.slots import Slots, token_slots
from ...framework.stream.origin import FARTHEST
from ...framework.stream.state import StreamState
from ...models import DecoderModel
from ...models.cache_layers import cache_argument

BLOCK = 2048
# Archived for a memory that has let tokens go, whose step reads none of them: behind so many, an
# archive's page has room for one more frame, as it nearly always has.
ARCHIVED = 2560


@dataclass(frozen=True)
class Past:
    """What a stream has behind it.

    Attributes:
        frames: steps that passed.
        frame_tokens: of each of them.
    """

    frames: int
    frame_tokens: int

    @property
    def tokens(self) -> int:
        return self.frames * self.frame_tokens

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.tokens, self.frames, self.tokens)

    def columns(self, count: int, device: torch.device) -> dict[str, Tensor]:
        """What is known of its newest tokens, so many: [1, count], and positions [1, 1, count]."""
        index = torch.arange(self.tokens - count, self.tokens, device=device)[None]
        frame = index // self.frame_tokens
        return {"index": index, "frame": frame, "visual": index >= 0, "positions": index[None]}


def next_frame(model: DecoderModel, past: Past) -> FrameTokens:
    """The frame that passes next, random."""
    generator = torch.Generator().manual_seed(1)
    embeds = 0.02 * torch.randn(1, past.frame_tokens, model.spec.hidden, generator=generator)
    positions = model.text_positions(past.cursor, 1, past.frame_tokens)
    return FrameTokens(embeds.to(model.device, model.dtype), positions)


def built_session(
    model: DecoderModel, memory: CrossFrameMemory, past: Past, carried: int
) -> VideoSession:
    """A session of a memory that carries so many slots in every layer.

    One that still carries all tokens has their keys and values in the archive, as in a stream.
    """
    session = VideoSession(model, memory, max_tokens=FARTHEST)
    if not past.tokens:
        return session
    whole = carried == past.tokens
    kept = carried if whole else min(ARCHIVED, past.tokens)
    archive = filled_archive(model, PlainArchive(), past, kept)
    columns = past.columns(carried, model.device)
    known = list(_known(model, columns))
    if whole:
        layers = [archive.carried_layer(number, slots) for number, slots in enumerate(known)]
    else:
        layers = [_filled(model, slots) for slots in known]
    state = StreamState(past.cursor, largest_frame=past.frame_tokens)
    session.resume(state.carry(layers), archive)
    return session


def filled_archive(model: DecoderModel, codec: Archive, past: Past, tokens: int) -> ArchiveStorage:
    """An archive of so many tokens, packed once and appended again and again."""
    archive = ArchiveStorage(codec, model.spec.num_layers)
    block = _drawn(model, BLOCK)
    packed = codec.pack(block, block)
    for layer in range(model.spec.num_layers):
        for start in range(0, tokens, BLOCK):
            part = {name: value[:, :, : tokens - start] for name, value in packed.items()}
            archive.append_packed(layer, part)
    archive.append_columns(past.columns(tokens, model.device))
    return archive


def built_cache(model: DecoderModel, past: Past) -> DynamicCache:
    """The stock model's own cache after these frames."""
    cache = DynamicCache()
    for layer in range(model.spec.num_layers if past.tokens else 0):
        cache.update(_drawn(model, past.tokens), _drawn(model, past.tokens), layer)
    return cache


def stock_push(model: DecoderModel, past: Past) -> Callable[[], None]:
    """One more frame through the stock decoder, with the attention that transformers takes."""
    frame, arguments = next_frame(model, past), {cache_argument(): built_cache(model, past)}

    def push() -> None:
        with torch.no_grad():
            model.decoder(inputs_embeds=frame.embeds, use_cache=True, **arguments)

    return push


def _known(model: DecoderModel, columns: dict[str, Tensor]) -> Iterator[Slots]:
    """The slots of every layer without keys and values, [1, K, S, 0]."""
    spec, count = model.spec, columns["index"].shape[-1]
    nothing = torch.empty(1, spec.num_kv_heads, count, 0, device=model.device, dtype=model.dtype)
    for layer in range(spec.num_layers):
        yield token_slots(nothing, nothing, columns, layer, spec.num_layers)


def _filled(model: DecoderModel, slots: Slots) -> Slots:
    slots.keys, slots.values = (_drawn(model, slots.index.shape[-1]) for _ in range(2))
    return slots


def _drawn(model: DecoderModel, tokens: int) -> Tensor:
    """[1, K, tokens, D], a random block again and again."""
    spec = model.spec
    generator = torch.Generator().manual_seed(2)
    block = torch.randn(1, spec.num_kv_heads, BLOCK, spec.head_dim, generator=generator)
    rows = torch.arange(tokens, device=model.device) % BLOCK
    return block.to(model.device, model.dtype).index_select(2, rows)
