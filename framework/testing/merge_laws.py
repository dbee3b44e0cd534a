"""Law 4 for memories that merge: what a slot may be made of."""

from __future__ import annotations

import torch
from torch import Tensor

from ..memory import CrossFrameMemory
from ..slots import Slots
from .memory_laws import Stream, require


def merged_between(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 4: a merged slot is a mean of tokens of its own head, keys averaged at one position.

    Which tokens and with what weights only the memory knows; its own tests recompute that. Whatever
    they are, every channel of a mean lies between the smallest and the largest of all tokens so
    far, for values and for keys turned back to position 0, and no mean is longer than the longest
    token. Slots that `stats["merged"]` does not mark are compared exactly, see `stream_positions`.
    """
    if not memory.merges:
        return
    session = stream.session(memory)
    for part in stream.parts():
        session.push(part)
        positions = session.archive.columns["positions"].joined()[:, :, None]
        for layer, stored in enumerate(session.archive.layers):
            keys, values = stored["keys"].joined(), stored["values"].joined()
            at_zero = -positions.expand(-1, -1, keys.shape[1], -1)
            produced = stream.model.rotate(keys, at_zero, session.max_tokens)
            slots = session.slots(layer)
            held = _before_rope(slots, stream, session.max_tokens)
            where = f"law 4: merged slots of layer {layer} are no means of their head's tokens: "
            _require_between(held, produced, slots, stream.wide, where + "keys")
            _require_between(slots.values, values, slots, stream.wide, where + "values")
            _require_counts(slots, keys.shape[2], layer)


def _before_rope(slots: Slots, stream: Stream, max_tokens: int) -> Tensor:
    """[B, K, S, D] the held keys turned back to position 0."""
    assert slots.rotated is not None  # filled by __post_init__
    return stream.model.rotate(slots.keys, -slots.rotated, max_tokens)


def _require_between(
    held: Tensor, tokens: Tensor, slots: Slots, tolerance: float, what: str
) -> None:
    """Channels and lengths of real slots [B, K, S, D] are within those of tokens [B, K, N, D]."""
    room = tolerance * tokens.abs().amax()
    low, high = tokens.amin(2, keepdim=True) - room, tokens.amax(2, keepdim=True) + room
    inside = ((low <= held) & (held <= high)).all(-1)
    inside &= held.norm(dim=-1) <= tokens.norm(dim=-1).amax(2, keepdim=True) + room
    require(bool((inside | (slots.index < 0)).all()), what)


def _require_counts(slots: Slots, tokens: int, layer: int) -> None:
    merged = slots.stats.get("merged", torch.zeros_like(slots.index))
    sound = ((merged >= 0) & (merged < tokens)) | (slots.index < 0)
    require(
        bool(sound.all()),
        f"law 4: stats['merged'] of layer {layer} must count other tokens, of {tokens} in all",
    )
