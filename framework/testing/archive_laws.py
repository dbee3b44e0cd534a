"""The laws of archives, as checks of one archive on one concrete stream; `kit.py` draws them.

Sessions that keep the archive must obey the laws of sessions; what only an archive can break is
checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from ..archives.codec import Archive, PlainArchive, WrappedArchive
from ..archives.storage import LayerArchive
from ..memory import CrossFrameMemory, FullMemory
from ..ranking import ScoringMemory
from ..slots import Slots
from . import session_laws
from .memory_laws import Stream, require, require_close

ArchiveLaw = Callable[[Archive, CrossFrameMemory, Stream], None]


@dataclass(frozen=True)
class Newest(ScoringMemory):
    """A memory that evicts, to stand between the frames and the archive."""

    def score(self, slots: Slots) -> Tensor:
        return slots.index


# All kept, some kept, none kept: an archive must not notice.
MEMORIES: Sequence[CrossFrameMemory] = (FullMemory(), Newest(4), Newest(0))


@dataclass(frozen=True)
class RoundTrip(WrappedArchive):
    """Keeps plainly what the inner archive makes of keys and values."""

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        near_keys, near_values = self.inner.unpack(self.inner.pack(keys, values))
        return {"near_keys": near_keys, "near_values": near_values}

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return packed["near_keys"], packed["near_values"]


@dataclass(frozen=True)
class Interrupted(WrappedArchive):
    """Fails in the call of `pack` that `countdown` counts down to."""

    countdown: list[int] = field(default_factory=list)

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        if self.countdown:
            self.countdown.append(self.countdown.pop() - 1)
            if self.countdown == [0]:
                raise session_laws.PlannedFailure
        return self.inner.pack(keys, values)


def stream_unnoticing(archive: Archive, memory: CrossFrameMemory, stream: Stream) -> None:
    """What later frames carry is the same with any archive: packing changes nothing it is given."""
    with_it, plain = stream.having(archive=archive).seen_by(memory), stream.seen_by(memory)
    for layer in range(stream.model.spec.num_layers):
        got, expected = with_it.slots(layer), plain.slots(layer)
        for name in ("index", "keys", "values"):
            same = torch.equal(getattr(got, name), getattr(expected, name))
            require(same, f"archive, stream: packing changed the {name} of layer {layer}")


def same_answers(archive: Archive, memory: CrossFrameMemory, stream: Stream) -> None:
    """A lossless archive answers bit for bit as a plain one; a lossy one as a plain one of the keys
    and values it makes."""
    expected = RoundTrip(inner=archive) if archive.lossy else PlainArchive()
    got, wanted = (
        stream.having(archive=each).seen_by(memory).question_logits(stream.question)
        for each in (archive, expected)
    )
    require_close(got, wanted, 0.0, "archive, answers: logits of the question")


def every_token(archive: Archive, memory: CrossFrameMemory, stream: Stream) -> None:
    """Every token that entered is packed once, per layer, batch row and KV head, and comes back."""
    session = stream.having(archive=archive).seen_by(memory)
    entered, spec = session.costs.totals.tokens, stream.model.spec
    lead = (stream.frames[0].batch, spec.num_kv_heads, entered)
    for layer, stored in enumerate(session.archive.layers):
        for name, paged in stored.items():
            shape = tuple(paged.joined().shape)
            held = f"archive, tokens: {name} of layer {layer} is {shape}"
            require(shape[:3] == lead, f"{held}, not {lead} and more")
        packed = {name: paged.joined() for name, paged in stored.items()}
        for name, rows in zip(("keys", "values"), archive.unpack(packed), strict=True):
            back = f"archive, tokens: {name} of layer {layer} come back as {tuple(rows.shape)}"
            require(tuple(rows.shape) == (*lead, spec.head_dim), back)
            require(rows.is_floating_point(), f"archive, tokens: {name} come back as {rows.dtype}")


def parts_equal_whole(archive: Archive, memory: CrossFrameMemory, stream: Stream) -> None:
    """Tokens are packed the same in any run and batch, and unpacked the same in any choice, keys
    alone, and into any room."""
    session = stream.seen_by(memory)
    frames = session.archive.columns["frame"].joined()[0]
    for layer in range(stream.model.spec.num_layers):
        slots = LayerArchive(session.archive, layer).slots()
        whole = archive.pack(slots.keys, slots.values)
        lengths = frames.unique_consecutive(return_counts=True)[1].tolist()
        runs = zip(slots.keys.split(lengths, 2), slots.values.split(lengths, 2), strict=True)
        parts = [archive.pack(*run) for run in runs]
        first_row = archive.pack(slots.keys[:1], slots.values[:1])
        for name, value in whole.items():
            joined = torch.cat([part[name] for part in parts], 2)
            where = f"archive, parts: {name} of layer {layer}"
            require(torch.equal(joined, value), f"{where} depend on the run they are packed in")
            same = torch.equal(first_row[name], value[:1])
            require(same, f"{where} depend on the rest of the batch")
        _require_picked(archive, whole, layer)
        _require_other_ways(archive, whole, layer)


def _require_picked(archive: Archive, packed: Mapping[str, Tensor], layer: int) -> None:
    everything = archive.unpack(packed)
    count = everything[0].shape[2]
    for rows in (torch.arange(0, count, 2), torch.arange(count - 1, count), torch.arange(0)):
        picked = archive.unpack({n: v.index_select(2, rows) for n, v in packed.items()})
        for got, whole in zip(picked, everything, strict=True):
            same = torch.equal(got, whole.index_select(2, rows.to(whole.device)))
            require(
                same,
                f"archive, parts: tokens {rows.tolist()} of layer {layer} unpack alone to "
                "something else",
            )


def _require_other_ways(archive: Archive, packed: Mapping[str, Tensor], layer: int) -> None:
    keys, values = archive.unpack(packed)
    told = f"of layer {layer}, not what unpack does"
    same = torch.equal(archive.unpack_keys(packed), keys)
    require(same, f"archive, parts: unpack_keys gives other keys {told}")
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        # Rooms with others between their rows, as those of a block.
        shape = (2, *keys.shape[:2], keys.shape[2] + 1, keys.shape[3])
        wide = torch.full(shape, torch.nan, dtype=dtype, device=keys.device)
        rooms = wide[:, :, :, 1:]
        archive.unpack_into(packed, *rooms)
        for name, room, whole in zip(("keys", "values"), rooms, (keys, values), strict=True):
            same = torch.equal(room, whole.to(dtype))
            require(same, f"archive, parts: unpack_into writes other {name} {told} ({dtype})")
        untouched = bool(wide[:, :, :, 0].isnan().all())
        require(untouched, "archive, parts: unpack_into writes beside its room")


def of_sessions(law: Callable[[CrossFrameMemory, Stream], None]) -> ArchiveLaw:
    """A law of sessions, for those that keep the archive."""
    return lambda archive, memory, stream: law(memory, stream.having(archive=archive))


def failed_push_leaves_no_trace(archive: Archive, memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 11, for pushes that fail in the memory and in the middle of the archive."""
    kept = stream.having(archive=archive)
    session_laws.failed_push_leaves_no_trace(memory, kept)
    failing, steady = Interrupted(inner=archive), kept.session(memory)
    disturbed = stream.session(memory, archive=failing)
    for part in stream.parts():
        failing.countdown.append(stream.model.spec.num_layers)
        try:
            disturbed.push(part)
        except session_laws.PlannedFailure:
            failing.countdown.clear()
        else:
            require(False, "archive, failure: a layer was not packed")
        disturbed.push(part)
        steady.push(part)
    session_laws.require_same(disturbed, steady, stream.question, "law 11: an archive that failed")


def grows_in_place(archive: Archive, memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 12, and the numbers appended first still lie where they were put."""
    session_laws.archive_grows_in_place(memory, stream.having(archive=archive))
    session = stream.session(memory, archive=archive)
    homes: dict[tuple[int, str], int] = {}
    for part in stream.parts():
        session.push(part)
        for layer, stored in enumerate(session.archive.layers):
            for name, paged in stored.items():
                found = paged.parts()[0].data_ptr()
                home = homes.setdefault((layer, name), found)
                require(found == home, f"law 12: {name} of layer {layer} moved in a later push")


ARCHIVE_LAWS: Mapping[str, ArchiveLaw] = MappingProxyType(
    {
        "stream": stream_unnoticing,
        "answers": same_answers,
        "tokens": every_token,
        "parts": parts_equal_whole,
        "forks": of_sessions(session_laws.independent_forks),
        "saving": of_sessions(session_laws.saved_and_loaded),
        "failure": failed_push_leaves_no_trace,
        "growth": grows_in_place,
    }
)
