"""Moving the origin of a stream's rotary angles along, where its memory moves the slots along."""

from __future__ import annotations

from dataclasses import replace

from ..frame_tokens import FrameTokens
from ..memory import CrossFrameMemory
from .origin import Origin, require_near
from .state import StreamState
from .verify import check_stream


def settle_origin(
    state: StreamState, entering: FrameTokens, memory: CrossFrameMemory, planned: int
) -> StreamState:
    """Take a step's tokens, which the state's cursor stands behind, into the stream, its origin
    moved to the first of them if they are far.

    That happens to streams that begin beyond the planned positions, and to those that grow beyond
    them because the memory promises a `reach`; others are counted from 0 for ever.

    Raises:
        ValueError: if the planned range of positions has no room for them, or if they are so far
            from the origin or from the step before that float32 would lose their angles.
    """
    check_stream(memory, state, planned)
    low, high = int(entering.positions[0].min()), int(entering.positions.max())
    origin = state.origin
    if not state.layers and low >= planned:
        state = state.counted_from(Origin(low, low))
    elif high - origin.now >= planned and memory.reach(state.largest_frame) is not None:
        require_near(low, origin.now)
        state = state.counted_from(replace(origin, now=max(low, origin.now)))
    for position in (high, int(entering.positions.min())):
        require_near(position, state.origin.now)
    return state
