"""The prompt around frames: text cut where its tokens are settled, embedded around features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..framework import Cursor, FrameTokens, VideoModel

Tokenize = Callable[[str], list[int]]


def stable_prefix(tokenize: Tokenize, prefix: str, following: str) -> tuple[list[int], list[int]]:
    """The ids of `prefix + following` that `prefix` alone begins with too, and all after them: a
    tokenizer may merge the end of `prefix` with what follows."""
    alone, together = tokenize(prefix), tokenize(prefix + following)
    shared = 0
    while shared < min(len(alone), len(together)) and alone[shared] == together[shared]:
        shared += 1
    return together[:shared], together[shared:]


def surround(
    model: VideoModel,
    before_ids: Sequence[int],
    features: Tensor,
    after_ids: Sequence[int],
    cursor: Cursor,
    timestamp: float | None = None,
) -> FrameTokens:
    """One frame as text, visual features [1, visual tokens, hidden], text, from the ids of the
    markers around them, at the stream's next plain text positions."""
    first, count = len(before_ids), features.shape[1]
    text = model.embed(torch.tensor([[*before_ids, *after_ids]], dtype=torch.int64))
    embeds = torch.cat([text[:, :first], features.to(text), text[:, first:]], 1)
    visual = _nothing_visual(embeds)
    visual[:, first : first + count] = True
    return FrameTokens(
        embeds=embeds,
        positions=model.text_positions(cursor, 1, embeds.shape[1]),
        visual=visual,
        timestamp=timestamp,
    )


def text_tokens(model: VideoModel, token_ids: Sequence[int], cursor: Cursor) -> FrameTokens | None:
    """Prompt text without pictures, nothing of it visual; None where there is no token."""
    if not token_ids:
        return None
    embeds = model.embed(torch.tensor([list(token_ids)]))
    positions = model.text_positions(cursor, 1, len(token_ids))
    return FrameTokens(embeds=embeds, positions=positions, visual=_nothing_visual(embeds))


def refuse_pictures(tokens: Sequence[str], what: str) -> None:
    """Refuse a text that holds tokens which stand for pictures; `what` names it."""
    if tokens:
        raise ValueError(
            f"the {what} contains {tokens[0]}, which stands for pictures: take it out, "
            f"frames are pushed and not written into the {what}"
        )


def _nothing_visual(embeds: Tensor) -> Tensor:
    """[1, tokens] False; readable also where meta embeddings have no values."""
    device = "cpu" if embeds.is_meta else embeds.device
    return torch.zeros(embeds.shape[:2], dtype=torch.bool, device=device)
