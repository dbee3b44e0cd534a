"""The laws of readers, as checks of one reader on one concrete stream; `kit.py` draws them.

What a reader picks must be there, be picked again for the same question, and leave no trace; the
answer must be what plain attention over the picked slots gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ..archives.codec import Archive, PlainArchive
from ..archives.quantised import Int8Archive
from ..archives.reader import Reader
from ..archives.storage import LayerArchive
from ..frame_tokens import FrameTokens
from ..memory import CrossFrameMemory, FullMemory
from ..placement import close_gaps, next_position, span
from ..slots import Slots
from ..stream.session import VideoSession
from .memory_laws import Stream, require, require_close
from .oracles import LoopReading
from .session_laws import reopened, require_same

ReaderLaw = Callable[[Reader, CrossFrameMemory, Stream], None]


@dataclass(frozen=True)
class RaggedHeads(CrossFrameMemory):
    """Carries another number of slots in each head and layer."""

    def update(self, slots: Slots) -> Slots:
        heads = torch.arange(slots.keys.shape[1], device=slots.index.device)[:, None]
        place = torch.arange(slots.num_slots, device=slots.index.device)
        return slots.keep(place >= slots.num_slots - (3 + slots.layer + 2 * heads))


@dataclass(frozen=True)
class PlacedAnew(CrossFrameMemory):
    """Lets every other token in, carries the newest few, and moves them up to the next frame."""

    capacity: int = 5

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        return frame.take(torch.arange(0, frame.num_tokens, 2))

    def update(self, slots: Slots) -> Slots:
        end, first = next_position(slots), max(0, slots.num_slots - self.capacity)
        return close_gaps(slots.keep(torch.arange(first, slots.num_slots)), end)

    def reach(self, frame_tokens: int) -> int | None:
        # Under M-RoPE the places of tokens left out inside a frame stay free, and so does the last.
        return 2 * self.capacity + frame_tokens


# All kept; ragged heads; thinned frames and moved slots: a reader meets them all.
MEMORIES: Sequence[CrossFrameMemory] = (FullMemory(), RaggedHeads(), PlacedAnew())
ARCHIVES: Sequence[Archive] = (PlainArchive(), Int8Archive())


@dataclass(frozen=True, eq=False)
class Pick:
    """What a reader was shown in one layer, and what it picked; `end` is where the text begins."""

    archive: LayerArchive
    carried: Slots
    slots: Slots
    end: Tensor


@dataclass(frozen=True)
class WatchedReader(Reader):
    """Lets an inner reader pick and remembers it."""

    inner: Reader
    picks: list[Pick] = field(default_factory=list)

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        slots = self.inner.read(queries, archive, carried)
        assert archive.asked_at is not None  # a question is passing
        self.picks.append(Pick(archive, carried, slots, archive.asked_at.amin((0, 2))))
        return slots


def picks_what_is_there(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> None:
    """Picked slots are archived or carried ones, unchanged but for declared positions, in stream
    order; the same question about the same stream picks the same, and so does any question where
    the reader needs no queries."""
    picked = _picks(reader, memory, stream)
    other = (stream.question + 1) % stream.model.spec.vocab
    unlike = stream if reader.needs_queries else replace(stream, question=other)
    again = _picks(reader, memory, unlike)
    layers = stream.model.spec.num_layers
    require(len(picked) == layers, f"reader, selection: {len(picked)} picks in {layers} layers")
    for layer, (pick, second) in enumerate(zip(picked, again, strict=True)):
        where, index = f"reader, selection: layer {layer}: ", pick.slots.index
        require(bool((index.diff(dim=-1) > 0).all()), where + "slots out of order")
        same = index.shape == second.slots.index.shape and bool((index == second.slots.index).all())
        told = "the same question" if reader.needs_queries else "needs_queries is False, a question"
        require(same, f"{where}{told} picked other slots")
        known = _found(pick, pick.archive.slots()) | _found(pick, pick.carried)
        if pick.slots.valid is not None:
            known |= ~pick.slots.valid
        require(bool(known.all()), where + "a picked slot is neither archived nor carried")


def _found(pick: Pick, source: Slots) -> Tensor:
    """[B, K, S] whether each picked slot is one of the source, perhaps at other positions."""
    slots = pick.slots
    if source.num_slots == 0:
        return torch.zeros_like(slots.index, dtype=torch.bool)
    place = torch.searchsorted(source.index.contiguous(), slots.index.contiguous())
    place = place.clamp(max=source.num_slots - 1)

    def at(value: Tensor) -> Tensor:
        return value.gather(-1, place.expand(*value.shape[:-1], -1))

    def rows(value: Tensor) -> Tensor:
        return value.gather(2, place[..., None].expand(-1, -1, -1, value.shape[-1]))

    assert pick.archive.rotate is not None
    assert slots.rotated is not None and source.rotated is not None
    keys = pick.archive.rotate(rows(source.keys), slots.rotated - at(source.rotated))
    # Turned by 0, a key is the same number; turned on, it is rounded.
    error = (keys - slots.keys).abs().amax(-1)
    near = error <= (1e-9 if slots.keys.dtype == torch.float64 else 1e-4)
    same = (at(source.index) == slots.index) & (at(source.frame) == slots.frame)
    return same & near & (rows(source.values) == slots.values).all(-1)


def answers_from_its_picks(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> None:
    """Logits and answers equal plain loops over the picked slots and the text so far."""
    session = asked_about(reader, memory, stream)
    model, ids = stream.model, stream.question
    positions = model.text_positions(session.cursor, *ids.shape)
    loops = LoopReading(session, positions)
    text, recurrent = FrameTokens(model.embed(ids), positions), session.state.recurrent
    hidden = model.step(text, loops, session.max_tokens, dict(recurrent))
    got = session.question_logits(ids)
    require_close(got, model.logits(hidden), stream.wide, "reader, attention: logits")
    if len(ids) > 1:
        return
    loops = LoopReading(session, positions)
    sizes: dict[str, Any] = {"max_tokens": session.max_tokens, "max_new_tokens": 3}
    expected = model.generate(ids, positions, loops, recurrent=recurrent, **sizes)
    answer = session.ask(ids, max_new_tokens=3)
    same = torch.equal(answer.token_ids, expected.token_ids)
    require(same, "reader, attention: the answer's tokens")
    close = stream.wide, "reader, attention: logits of the first new token"
    require_close(answer.first_logits, expected.first_logits, *close)


def asking_changes_nothing(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 9: ask q1 then q2 = ask q2, and the archive holds the same numbers."""
    quiet, asked = (asked_about(reader, memory, stream) for _ in range(2))
    asked.question_logits((stream.question + 1) % stream.model.spec.vocab)
    for layer, (got, expected) in enumerate(
        zip(asked.archive.layers, quiet.archive.layers, strict=True)
    ):
        for name, paged in got.items():
            same = torch.equal(paged.joined(), expected[name].joined())
            require(same, f"law 9: asking changed the archived {name} of layer {layer}")
    require_same(asked, quiet, stream.question, "law 9: asking changed the session")


def independent_forks(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 10: a fork that is asked and goes on changes nothing for its parent."""
    parts = stream.parts()
    parent, twin = (stream.session(memory, reader=reader) for _ in range(2))
    parent.push(parts[0])
    twin.push(parts[0])
    fork = parent.fork()
    for part in parts[1:]:
        fork.push(part)
        fork.question_logits(stream.question)
    require_same(parent, twin, stream.question, "law 10: a fork changed its parent")
    for part in parts[1:]:
        parent.push(part)
    require_same(parent, fork, stream.question, "law 10: a fork answers otherwise")


def saved_and_loaded(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 10: a loaded session answers the same; the reader is rebuilt from its settings."""
    session = asked_about(reader, memory, stream)
    loaded = reopened(session)
    require_same(loaded, session, stream.question, "law 10: saving changed what is read")


def within_reach(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> None:
    """No picked slot stands further behind the question than the reader's `reach` promises."""
    largest = asked_about(reader, memory, stream).state.largest_frame
    promised = reader.reach(memory.reach(largest), largest)
    for layer, pick in enumerate(_picks(reader, memory, stream)):
        stands = int(span(pick.slots, pick.end).max())
        where = f"reader, reach: layer {layer} reads {stands} positions back, promised {promised}"
        require(promised is None or stands <= promised, where)


def asked_about(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> VideoSession:
    """A session with the reader that the whole stream was pushed to."""
    return stream.having(reader=reader).seen_by(memory)


def _picks(reader: Reader, memory: CrossFrameMemory, stream: Stream) -> list[Pick]:
    """What the reader picks for the stream's question, layer by layer."""
    watched = WatchedReader(reader)
    session = asked_about(reader, memory, stream).fork(reader=watched)
    session.question_logits(stream.question)
    return watched.picks


READER_LAWS: Mapping[str, ReaderLaw] = MappingProxyType(
    {
        "selection": picks_what_is_there,
        "attention": answers_from_its_picks,
        "asking": asking_changes_nothing,
        "forks": independent_forks,
        "saving": saved_and_loaded,
        "reach": within_reach,
    }
)
