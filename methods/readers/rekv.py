"""ReKV: the question retrieves the frames it reads, in every layer anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import (
    LayerArchive,
    Reader,
    Slots,
    close_gaps,
    require_count,
    require_one_of,
    top_slots,
)

POSITIONS = ("contiguous", "kept")

# Tokens unpacked at a time while frames are scored: 32 MiB of float32 keys at 8 heads of 128.
RUN_TOKENS = 8192


@final
@dataclass(frozen=True)
class ReKVReader(Reader):
    """Read the prompt and the frames whose mean key is most like the question's mean query.

    Rule: per layer, a block of frames has as its key the mean over its tokens of their keys before
    RoPE; the question's query is the mean over its tokens, before RoPE. Score = dot product over
    all query heads, concatenated, keys repeated for the query heads that share them. Read are the
    text before the video and the `blocks` blocks of highest score, in stream order. Layers choose
    apart, and a layer's queries have seen what earlier layers retrieved; heads choose together.

    Paper: Di et al., "Streaming Video Question-Answering with In-context Video KV-Cache Retrieval",
    arXiv 2503.00540.

    Args:
        blocks: blocks to retrieve; the release takes 64. With no more archived, all are read.
        block_frames: neighbouring frames that are scored and retrieved together.
        positions: "contiguous" places prompt and blocks without gaps right before the question;
            "kept" leaves them where they were in the stream, so that their distances stay true.

    Raises:
        ValueError: for counts below 1 or unknown positions.

    Differences from the released code: it decides about reading only, and pairs with any memory
    (the release's is a window of 15,000 tokens with initial tokens). All text after the video
    asks, the chat template included, in the one pass that also answers; the release asks with the
    question and then prefills anew. Keys before RoPE are the archived ones turned back, and block
    keys are formed at the question, so that the archive may be quantised or lie elsewhere; no
    blocks are cached on the accelerator. Frames may differ in tokens. Rows of a batch retrieve
    apart. Equal scores go to the newer block.

    Cost per question: one pass over all archived keys per layer, `RUN_TOKENS` at a time, and
    attention over prompt and blocks.
    Bytes read: those of prompt and blocks (for a batch, of what any row retrieves), unpacked, and
    the keys of one run while scoring.
    """

    blocks: int = 64
    block_frames: int = 1
    positions: str = "contiguous"

    def __post_init__(self) -> None:
        for name in ("blocks", "block_frames"):
            value = getattr(self, name)
            require_count(type(self).__name__, name, value, least=1, unbounded=False)
        require_one_of("ReKVReader", "positions", self.positions, POSITIONS)

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        del carried
        slots = self._retrieve(queries, archive)
        if self.positions == "kept":
            return slots
        assert archive.asked_at is not None  # a question is passing
        end = archive.asked_at.amin((0, 2))
        return close_gaps(slots, end.to(slots.keys.device))

    def reach(self, carried: int | None, frame_tokens: int) -> int | None:
        del carried
        if self.positions == "kept":
            return None
        # The prompt is no longer than the largest frame: it counts as one.
        return (1 + self.blocks * self.block_frames) * frame_tokens

    def _retrieve(self, queries: Tensor, archive: LayerArchive) -> Slots:
        block = archive.frames.to(queries.device) // self.block_frames
        if int(block[-1]) < self.blocks:
            return archive.slots()
        score = _block_scores(_token_scores(queries, archive), block)
        best = torch.zeros_like(score, dtype=torch.bool)
        best.scatter_(-1, top_slots(score, self.blocks), True)
        wanted = best[:, block.clamp(min=0)] | (block < 0)
        rows = wanted.any(0).nonzero()[:, 0]
        slots = archive.slots(tokens=rows)
        if len(wanted) == 1:
            return slots
        return slots.keep(wanted[:, None, rows].to(slots.keys.device))


def _token_scores(queries: Tensor, archive: LayerArchive) -> Tensor:
    """[B, tokens] dot product of the question's mean query with every archived key before RoPE.

    Both are turned to the question's first position, which leaves the product as it was before RoPE
    and is never far, however long the stream.
    The mean of products over a block is the product with the block's mean key. Summing the queries
    that share a key first is the same as repeating the key.
    """
    assert archive.asked_at is not None  # a question is passing
    at = archive.asked_at[:, :, None, :1]
    asked = _mean_query(queries, archive, at)
    scores = []
    for start in range(0, archive.num_tokens, RUN_TOKENS):
        stop = min(start + RUN_TOKENS, archive.num_tokens)
        run = archive.slots(tokens=range(start, stop))
        assert archive.rotate is not None  # a question is passing
        assert run.rotated is not None  # filled by __post_init__
        keys = archive.rotate(run.keys_alone().to(asked), at - run.rotated.to(asked.device))
        per_key = asked.unflatten(1, (keys.shape[1], -1)).sum(2)
        scores.append(torch.einsum("bkd,bktd->bt", per_key, keys))
    return torch.cat(scores, -1)


def _mean_query(queries: Tensor, archive: LayerArchive, at: Tensor) -> Tensor:
    """[B, H, D] mean over the question's tokens of queries turned to `at` [axes, B, 1, 1], at least
    in float32."""
    assert archive.rotate is not None and archive.asked_at is not None  # a question is passing
    wide = torch.float64 if queries.dtype == torch.float64 else torch.float32
    back = at - archive.asked_at[:, :, None].expand(-1, -1, queries.shape[1], -1)
    return archive.rotate(queries.to(wide), back).mean(2)


def _block_scores(per_token: Tensor, block: Tensor) -> Tensor:
    """[B, blocks] means of [B, tokens] over blocks, numbered in ascending order by [tokens].

    Gathered instead of added up in place, which on CUDA happens in any order and so rounds
    differently from run to run.
    """
    counts = torch.bincount(block + 1)[1:]  # the prompt, numbered -1, is not scored
    start = (block < 0).sum() + counts.cumsum(0) - counts
    place = torch.arange(int(counts.max()), device=block.device)
    inside = place < counts[:, None]
    tokens = (start[:, None] + place).clamp(max=len(block) - 1)
    return (per_token[:, tokens] * inside).sum(-1) / counts
