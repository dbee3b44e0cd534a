"""Videos with all their questions in one forward pass, equal to a session that asks each alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from ...framework import FrameTokens
from ...framework.model import LayerAttention
from .families import Trainable
from .layout import StreamLayout

STREAM, PADDING = 0, -1  # segments; questions are 1, 2, ...


@dataclass(frozen=True, eq=False)
class AskedIds:
    """A question as tokens.

    Attributes:
        ids: [tokens] int64 of all that follows the video, and of the answer.
        patch: the last temporal patch it sees.
    """

    ids: Tensor
    patch: int


@dataclass(frozen=True, eq=False)
class Packed:
    """Streams of one layout, each with its questions behind it.

    Attributes:
        ids, visual: [videos, tokens] as `StreamLayout`; padding at the end.
        positions: [axes, videos, tokens]; a question goes on from its patch.
        segment: [videos, tokens] int64: 0 the stream, 1, 2, ... its questions, -1 padding.
        seen: [videos, tokens] int64, the last temporal patch that a token may attend to.
    """

    ids: Tensor
    visual: Tensor
    positions: Tensor
    segment: Tensor
    seen: Tensor

    @property
    def stream(self) -> int:
        """Tokens of each video's stream, which come first."""
        return int((self.segment[0] == STREAM).sum())

    def visible(self, start: int = 0) -> Tensor:
        """[videos, 1, tokens - start, tokens] bool, which token (rows, from `start` on) attends to
        which (columns)."""
        tokens = torch.arange(self.ids.shape[1])
        own = self.segment[:, None] == self.segment[:, start:, None]
        earlier = self.seen[:, None] <= self.seen[:, start:, None]
        stream = (self.segment == STREAM)[:, None] & earlier
        causal = tokens <= tokens[start:, None]
        return ((own | stream) & causal)[:, None]


def pack(
    layout: StreamLayout, asked: Sequence[Sequence[AskedIds]], gaps: Tensor | None = None
) -> Packed:
    """Streams that share a layout, with the questions of each.

    Args:
        gaps: [videos, patches] int64 positions skipped before each temporal patch, for streams
            that stand for longer ones; none by default.
    """
    videos, patches = len(asked), len(layout.ends)
    skipped = torch.zeros(videos, patches, dtype=torch.int64) if gaps is None else gaps.cumsum(1)
    rows = [_row(layout, questions, skip) for questions, skip in zip(asked, skipped, strict=True)]
    longest = max(row.ids.shape[1] for row in rows)
    fills = {"ids": 0, "visual": False, "positions": 0, "segment": PADDING, "seen": 0}
    padded = {
        name: [pad(vars(row)[name], (0, longest - row.ids.shape[1]), value=fill) for row in rows]
        for name, fill in fills.items()
    }
    return Packed(**{name: torch.cat(v, v[0].dim() - 2) for name, v in padded.items()})


def _row(layout: StreamLayout, asked: Sequence[AskedIds], skipped: Tensor) -> Packed:
    """One video, not padded."""
    lengths = torch.tensor([len(layout.ids), *(len(question.ids) for question in asked)])
    segment = torch.arange(len(lengths)).repeat_interleave(lengths)
    ids = torch.cat([layout.ids, *(question.ids for question in asked)])
    patches = torch.tensor([question.patch for question in asked], dtype=torch.int64)
    seen = torch.cat([layout.patch, patches.repeat_interleave(lengths[1:])])
    moved = layout.positions + torch.cat([skipped.new_zeros(1), skipped])[layout.patch + 1]
    starts = (layout.ends + skipped)[patches].tolist()
    texts = [
        torch.arange(start, start + len(question.ids)).expand(len(moved), -1)
        for start, question in zip(starts, asked, strict=True)
    ]
    return Packed(
        ids=ids[None],
        visual=pad(layout.visual, (0, len(ids) - len(layout.visual)))[None],
        positions=torch.cat([moved, *texts], -1)[:, None],
        segment=segment[None],
        seen=seen[None],
    )


def packed_hidden(model: Trainable, packed: Packed, features: Mapping[str, Tensor]) -> Tensor:
    """[videos, tokens, hidden] of the decoder's last layer, with gradients.

    Args:
        features: of the adapter's `features`, of all patches of the first video, then the next.
    """
    placed = packed.visual[..., None]
    embeds = model.embed(packed.ids)
    embeds = embeds.masked_scatter(placed, features["embeds"])
    extras = {
        name: _spread(found, packed.visual) for name, found in features.items() if name != "embeds"
    }
    tokens = FrameTokens(embeds, packed.positions, packed.visual, extras)
    return model.step(tokens, packed_attention(packed), model.trained_tokens)


def packed_attention(packed: Packed) -> LayerAttention:
    """Attention as `Packed.visible` says. The stream is plainly causal and attends to no question,
    so that two calls do with half the scores of one under a mask of all."""
    stream = packed.stream
    visible = packed.visible(stream)

    def attention(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        del layer
        shown = scaled_dot_product_attention(
            query[:, :, :stream],
            key[:, :, :stream],
            value[:, :, :stream],
            is_causal=True,
            scale=scale,
            enable_gqa=True,
        )
        asked = scaled_dot_product_attention(
            query[:, :, stream:], key, value, attn_mask=visible, scale=scale, enable_gqa=True
        )
        return torch.cat([shown, asked], 2)

    return attention


def _spread(found: Tensor, visual: Tensor) -> Tensor:
    """[videos, tokens, ...] with what was found at visual tokens, 0 elsewhere."""
    rows = found.flatten(0, 1)
    return rows.new_zeros(*visual.shape, *rows.shape[1:]).index_put(tuple(visual.nonzero().T), rows)
