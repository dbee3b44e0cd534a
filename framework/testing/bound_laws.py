"""Law 7: what a memory holds stays within what it promises, in slots, in bytes and in its state."""

from __future__ import annotations

from dataclasses import replace

from ..memory import CrossFrameMemory
from ..stream.costs import held_bytes
from ..stream.session import VideoSession
from ..stream.state import own_part
from .memory_laws import Stream, require

# Frames after which a state should have its full size; one that waits longer is given more.
FRAMES, MOST_FRAMES = 16, 256


def bounded(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 7: slots stay within `limit`, and the storage really held is no larger than they are."""
    session = stream.session(memory)
    largest = 0
    for part in stream.parts():
        session.push(part)
        largest = max(largest, *(frame.num_tokens for frame in part))
        layers = session.state.layers
        for layer, stored in enumerate(layers):
            limit = memory.limit(layer, len(layers), largest)
            slots = session.slots(layer)
            held_slots: float = slots.num_slots
            if slots.valid is not None:
                held_slots = slots.valid.sum().item() / slots.valid[..., 0].numel()
            promise = f"law 7: layer {layer} holds {held_slots:g} slots, promised {limit}"
            require(limit is None or held_slots <= limit, promise)
            tensors = {id(tensor): tensor for _, tensor in own_part(stored).tensors()}.values()
            needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            held = held_bytes(tensors)
            require(
                held <= needed,
                f"law 7: layer {layer} needs {needed} bytes but holds {held}; "
                "a kept view holds its whole storage",
            )


def steady_state(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 7: where a memory promises a `limit` for every layer, `state` does not grow for ever,
    neither a layer's nor that of `admit`.

    A state that still grows is given twice as many frames, up to `MOST_FRAMES`: a window of some
    length may fill.
    """
    session = _seen_with_room(memory, stream)
    if not _state_bytes(session) or not _promises_limits(memory, session):
        return
    frames, before = FRAMES, 0
    while (now := _after(session, stream, frames)) > before and frames < MOST_FRAMES:
        frames, before = 2 * frames, now
    require(
        now <= before,
        f"law 7: state grew from {before} to {now} bytes over the last {frames // 2} of "
        f"{len(session.costs)} steps, though `limit` promises that what is carried is bounded",
    )


def _seen_with_room(memory: CrossFrameMemory, stream: Stream) -> VideoSession:
    """A session that saw the stream and is planned for all that may follow."""
    seen = sum(frame.num_tokens for frame in stream.frames)
    needed = seen + MOST_FRAMES * stream.frames[-1].num_tokens
    return stream.having(max_tokens=max(needed, stream.model.trained_tokens)).seen_by(memory)


def _promises_limits(memory: CrossFrameMemory, session: VideoSession) -> bool:
    count, largest = session.model.spec.num_layers, session.state.largest_frame
    return all(memory.limit(layer, count, largest) is not None for layer in range(count))


def _after(session: VideoSession, stream: Stream, frames: int) -> int:
    """Bytes of state once the last frame of the stream came again so often."""
    last = stream.frames[-1]
    while len(session.costs) < frames:
        positions = stream.model.text_positions(session.cursor, last.batch, last.num_tokens)
        session.push(replace(last, positions=positions, timestamp=None, next_position=None))
    return _state_bytes(session)


def _state_bytes(session: VideoSession) -> int:
    layers = range(session.model.spec.num_layers)
    of_layers = [value for layer in layers for value in session.slots(layer).state.values()]
    return held_bytes([*of_layers, *session.state.admission.values()])
