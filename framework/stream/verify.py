"""Checks on what users push and memories return, as early as possible and without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from ..archives.codec import Archive
from ..archives.reader import ReadAll, Reader
from ..counts import require_count
from ..frame_tokens import Cursor, FrameTokens, advance
from ..memory import CrossFrameMemory
from ..model import VideoModel
from ..placement import span
from ..slots import Slots
from .checks import DeferredChecks, stacked
from .origin import FARTHEST, require_near
from .state import StreamState


def check_settings(
    in_frame: str,
    frames_per_step: int,
    max_tokens: int | None,
    cost_history: int | None,
    archive: Archive | None,
    reader: Reader | None,
) -> None:
    """Refuse session settings that cannot work; the ValueError names the setting and its value."""
    if in_frame not in ("causal", "bidirectional"):
        raise ValueError(f'in_frame must be "causal" or "bidirectional", got {in_frame!r}')
    require_count("VideoSession", "frames_per_step", frames_per_step, least=1, unbounded=False)
    require_count("VideoSession", "max_tokens", max_tokens, least=1)
    require_count("VideoSession", "cost_history", cost_history, least=1)
    check_reader(archive, reader or ReadAll())


def check_reader(archive: Archive | None, reader: Reader) -> None:
    """Refuse a reader of an archive that keeps nothing; the ValueError names both."""
    if archive is not None and not archive.keeps and reader.needs_archive:
        raise ValueError(
            f"{type(archive).__name__} keeps nothing that {type(reader).__name__} could read: give "
            "a reader of what the memory carries (ReadCarried)"
        )


def check_frames(
    frames: Sequence[FrameTokens],
    cursor: Cursor,
    batch: int,
    model: VideoModel,
    checks: DeferredChecks,
) -> None:
    """Refuse frames of a step that do not fit the stream or the model, or are not finite; the
    ValueError names the frame and what is wrong."""
    for frame in frames:
        _check_frame(frame, cursor.frames, model, checks)
        if frame.batch != batch:
            raise ValueError(
                f"this stream has batch {batch}, the pushed frame has batch {frame.batch}"
            )
        cursor = advance(cursor, frame)


def _check_frame(
    frame: FrameTokens, number: int, model: VideoModel, checks: DeferredChecks
) -> None:
    if frame.num_tokens == 0:
        raise ValueError(f"frame {number} has no tokens: push at least one")
    if frame.embeds.shape[-1] != model.spec.hidden:
        raise ValueError(
            f"frame {number} has hidden size {frame.embeds.shape[-1]}, the model has "
            f"{model.spec.hidden}"
        )
    if frame.positions.shape[0] != model.position_axes:
        raise ValueError(
            f"frame {number} has positions with {frame.positions.shape[0]} axes, the model needs "
            f"{model.position_axes}"
        )
    for name, value in [("embeddings", frame.embeds), *frame.extras.items()]:
        checks.require(
            value.isfinite().all(),
            f"frame {number} holds NaN or Inf in its {name}; the frame was refused",
        )


def check_layers(
    memory: CrossFrameMemory,
    layers: Sequence[Slots],
    num_layers: int,
    state: StreamState,
    checks: DeferredChecks,
    planned: int,
) -> None:
    """Refuse slots that break the contract: count, order, range, the promised limit and reach; the
    ValueError names the memory and the layer."""
    name = type(memory).__name__
    if len(layers) != num_layers:
        raise ValueError(f"{name} returned {len(layers)} layers of {num_layers}")
    for layer, slots in enumerate(layers):
        limit = memory.limit(layer, len(layers), state.largest_frame)
        held: float = slots.num_slots
        if slots.valid is not None:
            held = float(slots.valid.sum()) / (slots.valid.shape[0] * slots.valid.shape[1])
        if limit is not None and held > limit:
            raise ValueError(
                f"{name} returned for layer {layer} {held:g} slots per KV head, but promised at "
                f"most {limit}"
            )

    def require(values: Iterable[Tensor], holds: Callable[[Tensor], Tensor], what: str) -> None:
        for numbers, together in stacked(values):
            kept = holds(together).flatten(1).all(-1)
            checks.require(kept, *(f"{name} returned for layer {n} {what}" for n in numbers))

    seen, largest = state.cursor.tokens, state.largest_frame
    require(
        (slots.index for slots in layers),
        lambda index: index[..., 1:] > index[..., :-1],
        "slots whose index is unsorted or repeated; keep them in stream order: indices that go to "
        "`keep` must be strictly ascending, so sort them first",
    )
    require(
        (s.index if s.valid is None else s.index.where(s.valid, 0) for s in layers),
        lambda index: (index >= 0) & (index < seen),
        f"slots outside the stream of {seen} tokens",
    )
    if seen > planned or state.origin.moved:
        # Only a promised reach lets a stream come this far.
        room = planned if seen > planned else FARTHEST
        end = state.cursor.position
        require(
            (span(slots, slots.index.new_full((len(slots.index),), end)) for slots in layers),
            lambda back: back + largest <= room,
            f"a slot so far behind the next token that with a frame of {largest} tokens the "
            f"planned {room} positions are exceeded: it promised a shorter reach; open the session "
            "with more max_tokens",
        )


def check_stream(memory: CrossFrameMemory, state: StreamState, planned: int) -> None:
    """Refuse tokens that the planned range of positions has no room for; the ValueError names both
    lengths."""
    reach = memory.reach(state.largest_frame)
    if reach is None:
        check_room(state.cursor.tokens, planned, "the stream")
    else:
        check_room(reach + state.largest_frame, planned, f"{type(memory).__name__} and a frame")


def check_question(
    memory: CrossFrameMemory, reader: Reader, state: StreamState, room: int, planned: int
) -> None:
    """Refuse a question, with `room` tokens of text in all, that the planned range cannot hold; the
    ValueError names both lengths."""
    reach = reader.reach(memory.reach(state.largest_frame), state.largest_frame)
    read = state.cursor.tokens if reach is None else min(reach, state.cursor.tokens)
    check_room(read + room, planned, "question and answer")
    # A reader without a reach reads keys from the stream's beginning on.
    origin = state.origin.first if reach is None else state.origin.now
    require_near(state.cursor.position, origin)


def check_room(needed: int, planned: int, what: str) -> None:
    """Refuse to go past the planned length; the ValueError names both lengths."""
    if needed > planned:
        raise ValueError(
            f"{what} would reach {needed} tokens, but the session is planned for {planned}: open "
            f"it with max_tokens={needed} or more (the RoPE scaling is fixed by the planned length "
            "and cannot change later)"
        )


def check_generation(options: Mapping[str, object]) -> None:
    """Refuse options of `generate` that fetch and run code, or put another loop in its place; the
    ValueError names the option and its value."""
    for name in ("custom_generate", "trust_remote_code"):
        if options.get(name):
            raise ValueError(
                f"generation option {name}={options[name]!r:.100} runs code of a folder or the "
                "hub, which is never done here: leave it out"
            )


def check_single(questions: int, videos: int) -> None:
    """Refuse several questions as one, or one about several videos."""
    if questions != 1 or videos != 1:
        raise ValueError(
            f"ask answers one question about one video, got {questions} questions about a batch of "
            f"{videos}: about a batch give a list, a question for each video"
        )


def check_videos(questions: Sequence[int], videos: int) -> None:
    """Refuse lists of questions that are not one for each video."""
    if sum(questions) != videos or len(questions) != videos:
        raise ValueError(
            f"got {sum(questions)} questions about a batch of {videos} videos: give a list of one "
            "for each"
        )


def check_padding(model: VideoModel, reader: Reader, lengths: Sequence[int]) -> None:
    """Refuse questions of different lengths together where padding could not be hidden; the
    ValueError names the lengths and who would see it."""
    if len(set(lengths)) == 1:
        return
    sees = None
    if model.spec.recurrent is not None:
        sees = f"the layers of {type(model).__name__} that have no KV"
    elif reader.needs_queries:
        sees = f"{type(reader).__name__}, which picks by the questions,"
    if sees is not None:
        raise ValueError(
            f"questions of {list(lengths)} tokens cannot be asked together: {sees} would take the "
            "padding of shorter ones for text; ask questions of equal length, or give each video a "
            "session of its own"
        )
