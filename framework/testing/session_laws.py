"""Laws 8 to 13: isolation, asking, forks, saving, failed pushes, the archive and the cost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ..as_data import classes_of
from ..frame_tokens import FrameTokens
from ..memory import CrossFrameMemory, WrappedMemory
from ..slots import Slots
from ..stream.session import VideoSession
from .flop_counting import flop_counter
from .memory_laws import Stream, require, require_close


def isolated(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 8: two interleaved sessions over one model equal two separate ones; a push in the middle
    of a push is refused, and changes neither."""
    alone = stream.seen_by(memory)
    backwards = list(reversed(stream.frames))
    first, second = stream.session(memory), stream.session(memory)
    for part, frame in zip(stream.parts(), backwards, strict=False):
        first.push(part)
        second.push(frame)
    require_same(first, alone, stream.question, "law 8: a second session changed the first")
    calling = _Calling(memory)
    session = stream.session(calling)

    def push_inside() -> None:
        try:
            session.push(stream.frames[0])
        except RuntimeError:
            return
        require(False, "law 8: a push inside a push was let in")

    for part in stream.parts():
        calling.calls.append(push_inside)
        session.push(part)
    require_same(session, alone, stream.question, "law 8: a push inside a push changed it")


@dataclass(frozen=True)
class _Calling(WrappedMemory):
    """Calls what it was given in the middle of a step, after the inner memory's update, once."""

    calls: list[Callable[[], object]] = field(default_factory=list)

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        kept = self.inner.update_layers(layers)
        if self.calls:
            self.calls.pop()()
        return kept


def asking_changes_nothing(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 9: ask q1 then q2 = ask q2, also while raw frames wait; the stream goes on unchanged."""
    quiet, asked = stream.session(memory), stream.session(memory)
    other = (stream.question + 1) % stream.model.spec.vocab
    for image in stream.images:
        quiet.push(image)
        asked.push(image)
        asked.question_logits(other[:1])
    require_same(asked, quiet, stream.question[:1], "law 9: asking changed the session")


def independent_forks(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 10: a fork and its parent go their own ways; so does a copy, which is a fork."""
    parts = stream.parts()
    parent, twin, rest = stream.session(memory), stream.session(memory), parts[1:]
    parent.push(parts[0])
    twin.push(parts[0])
    fork, copied = parent.fork(), copy(parent)
    for part in rest:  # the copy first: who writes first does so in the pages that all share
        copied.push(list(reversed(part)))
        fork.push(list(reversed(part)))
    for part in rest:
        parent.push(part)
        twin.push(part)
    require_same(parent, twin, stream.question, "law 10: a fork changed its parent")
    require_same(copied, fork, stream.question, "law 10: a copy is not as a fork")


def saved_and_loaded(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 10: a saved and loaded session continues as if nothing had happened."""
    steady, saved = stream.session(memory), stream.session(memory)
    for part in stream.parts():
        steady.push(part)
        saved.push(part)
        saved = reopened(saved)
    require_same(saved, steady, stream.question, "law 10: saving and loading changed the session")


def reopened(session: VideoSession) -> VideoSession:
    """The session as it comes back from a file."""
    own = classes_of(session.memory, session.archive.codec, session.reader)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.safetensors"
        session.save(path)
        return VideoSession.load(path, session.model, trusted=own)


def failed_push_leaves_no_trace(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 11: a push that fails, even after the memory's update, leaves the session as it was."""
    calling = _Calling(memory)
    steady, disturbed = stream.session(memory), stream.session(calling)

    def fail() -> None:
        raise PlannedFailure

    for part in stream.parts():
        calling.calls.append(fail)
        try:
            disturbed.push([*part, *part])
        except PlannedFailure:
            pass
        else:
            require(False, "law 11: the memory never saw the step")
        disturbed.push(part)
        steady.push(part)
    require_same(disturbed, steady, stream.question, "law 11: a failed push left a trace")


class PlannedFailure(RuntimeError):
    """Raised in the middle of a push, to see what it leaves."""


def archive_grows_in_place(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 12: every token that entered is archived once; copies stay below 1.05 x the bytes that
    were appended, and room to grow is at most one page per tensor of a layer."""
    session = stream.session(memory)
    for part in stream.parts():
        session.push(part)
        archive = session.archive
        require(
            archive.bytes_copied <= 1.05 * archive.bytes_appended,
            f"law 12: {archive.bytes_copied} bytes copied for {archive.bytes_appended} appended",
        )
        for layer, stored in enumerate(archive.layers):
            for name, paged in stored.items():
                require(
                    paged.bytes_held <= paged.bytes_appended + paged.page_bytes,
                    f"law 12: {paged.bytes_held} bytes held for {paged.bytes_appended} of {name} "
                    f"in layer {layer}, with pages of at most {paged.page_bytes}",
                )
    entered = session.costs.totals.tokens
    lengths = {paged.length for layer in session.archive.layers for paged in layer.values()}
    require(lengths == {entered}, f"law 12: {entered} tokens entered, archived {sorted(lengths)}")


def counted_cost(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 13: the closed form equals torch's counter; `admit` and `update` apart."""
    with flop_counter() as counter:
        uncounted = _Uncounted(memory, counter=counter)
        session = stream.session(uncounted)
        for part in stream.parts():
            before, steps = counter.get_total_flops() - sum(uncounted.own), len(session.costs)
            session.push(part)
            measured = counter.get_total_flops() - sum(uncounted.own) - before
            expected = sum(cost.flops for cost in session.costs[steps:])
            require(measured == expected, f"law 13: {measured} FLOPs measured, {expected} stated")


@dataclass(frozen=True)
class _Uncounted(WrappedMemory):
    """Notes the FLOPs that the memory itself spends, to take them off."""

    counter: FlopCounterMode = field(default_factory=flop_counter)
    own: list[int] = field(default_factory=list)

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        before = self.counter.get_total_flops()
        admitted = self.inner.admit(frame, previous, state)
        self.own.append(self.counter.get_total_flops() - before)
        return admitted

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        before = self.counter.get_total_flops()
        kept = self.inner.update_layers(layers)
        self.own.append(self.counter.get_total_flops() - before)
        return kept


def require_same(got: VideoSession, expected: VideoSession, question: Tensor, message: str) -> None:
    """Raise `LawBroken` unless two sessions carry, archive and answer the same."""
    require(got.cursor == expected.cursor, f"{message}: {got.cursor} not {expected.cursor}")
    for layer in range(got.model.spec.num_layers):
        held, wanted = got.slots(layer), expected.slots(layer)
        for name in ("index", "frame", "positions", "keys", "values"):
            same = torch.equal(getattr(held, name), getattr(wanted, name))
            require(same, f"{message}: {name} of layer {layer}")
        for name in ("stats", "state"):
            same = _same_numbers(getattr(held, name), getattr(wanted, name))
            require(same, f"{message}: {name} of layer {layer}")
    mine, theirs = got.question_logits(question), expected.question_logits(question)
    require_close(mine, theirs, 0.0, f"{message}: logits")


def _same_numbers(got: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return got.keys() == expected.keys() and all(
        torch.equal(value, expected[name]) for name, value in got.items()
    )
