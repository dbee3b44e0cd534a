"""Where a stream's rotary angles are counted from, so that they stay small however long it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..frame_tokens import FrameTokens

# Positions up to which a float32 rotary embedding is trusted. KL of the same text or frames there
# against position 0, in nats: 2.5e-3 with InternVL3's decoder and 3e-4 with Qwen3-VL's (untrained,
# head_dim 128), 2.3e-4 with SmolLM2-135M (trained), whose bfloat16 rounding alone costs 1.5e-3.
# Four times that with every doubling, and from 2**24 on, where float32 skips integers, 0.03 to 0.5.
FARTHEST = 2**22


@dataclass(frozen=True)
class Origin:
    """Positions at which a stream's rotary angles were and are counted as 0.

    Attention sees differences of positions only, so a stream may be counted from anywhere, and from
    somewhere else later: keys that were rotated before then read as if they had been rotated
    `now - then` positions further on.

    Attributes:
        first: of the stream's first tokens.
        now: of the newest ones.
    """

    first: int = 0
    now: int = 0

    @property
    def moved(self) -> int:
        """Positions it has moved on since the stream began."""
        return self.now - self.first

    def angles(self, positions: Tensor) -> Tensor:
        """Positions of the stream as the model's rotary embedding takes them."""
        return positions - self.now if self.now else positions

    def tokens(self, frame: FrameTokens) -> FrameTokens:
        """Tokens as the model's decoder takes them."""
        return replace(frame, positions=self.angles(frame.positions)) if self.now else frame


def require_near(position: int, origin: int) -> None:
    """Refuse a position whose angle float32 would lose; the ValueError names the position and the
    limit."""
    if abs(position - origin) > FARTHEST:
        raise ValueError(
            f"position {position} lies {abs(position - origin)} positions from {origin}, but "
            f"float32 rotary embeddings are precise up to {FARTHEST} only: put ContiguousPositions "
            "around the memory, which lets a stream go on for ever, or start a new session there"
        )


def planned_length(max_tokens: int | None, trained_tokens: int) -> int:
    """The length a session plans for: what was asked, or as far as the model was trained.

    Raises:
        ValueError: for a length whose angles float32 would lose.
    """
    if max_tokens is not None and max_tokens > FARTHEST:
        raise ValueError(
            f"VideoSession: max_tokens must be at most {FARTHEST}, got {max_tokens}: float32 "
            "rotary embeddings lose precision beyond it; with ContiguousPositions around the "
            "memory a stream goes on past max_tokens, however long"
        )
    return max_tokens or min(trained_tokens, FARTHEST)
