"""One file holds the whole session, or the old file stays; what cannot be read says why."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    Int8Archive,
    LayerArchive,
    Reader,
    ScoringMemory,
    Slots,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.files.tensor_file import read_tensors, write_tensors
from crossframe.framework.files.whole_file import whole_file
from crossframe.framework.reference import TINY, ReferenceDecoder
from crossframe.framework.testing.session_laws import require_same
from crossframe.methods import (
    ContiguousPositions,
    ProtectedSinks,
    ReadSinksAndRecent,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from ..streams import images, push, pushed

QUESTION = torch.tensor([[3, 1, 4]])
FORMAT_1 = Path(__file__).with_name("format_1.session")


@dataclass(frozen=True)
class Newest(ScoringMemory):
    """Also keeps a count in `state`, a stat, and moves its slots together."""

    def score(self, slots: Slots) -> Tensor:
        slots.state["steps"] = slots.state.get("steps", torch.zeros(1)) + 1
        slots.stats["age"] = slots.stats.get("age", torch.zeros(slots.index.shape)) + 1
        return slots.index

    def update(self, slots: Slots) -> Slots:
        kept = super().update(slots)
        positions = torch.arange(kept.num_slots).expand(kept.positions.shape)
        return replace(kept, positions=positions + 1)


@dataclass(frozen=True)
class Alternating(WrappedMemory):
    """Lets every other token in, and counts frames in the state of `admit`."""

    step: int = 2

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        state["frames"] = state.get("frames", torch.zeros(1)) + 1
        first = 0 if previous is None else int(previous.timestamp or 0) % self.step
        return frame.take(torch.arange(first, frame.num_tokens, self.step))


@dataclass(frozen=True)
class LastFrames(Reader):
    frames: int = 2

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        newest = int(archive.frames[-1])
        return archive.slots(frames=range(newest - self.frames + 1, newest + 1))


OWN = (Newest, Alternating, LastFrames)


def mid_stream() -> VideoSession:
    """Two temporal patches passed, one frame waits."""
    session = VideoSession(
        ReferenceDecoder(patch=2, axes=3),
        Alternating(Newest(3)),
        reader=LastFrames(1),
        frames_per_step=2,
        max_tokens=200,
        attention="plain",
    )
    session.push(images(5), [0.0, 0.5, 1.0, 1.5, 2.0])
    return session


def test_a_session_is_saved_mid_stream_and_goes_on(tmp_path: Path) -> None:
    session = mid_stream()
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model, trusted=OWN)
    assert loaded.memory == session.memory
    assert loaded.reader == session.reader
    for name in ("in_frame", "frames_per_step", "max_tokens", "attention", "cursor"):
        assert getattr(loaded, name) == getattr(session, name), name
    assert [waiting.timestamp for waiting in loaded.state.pending] == [2.0]
    require_same(loaded, session, QUESTION, "saving")
    for both in (session, loaded):
        both.push(images(4, seed=1), [2.5, 3.0, 3.5, 4.0])
    require_same(loaded, session, QUESTION, "going on")
    assert loaded.slots(1).state["steps"].tolist() == [2]
    assert torch.equal(loaded.slots(1).stats["age"], session.slots(1).stats["age"])
    assert loaded.state.admission["frames"].tolist() == [4]
    answers = [both.ask(QUESTION[0], max_new_tokens=4).token_ids for both in (session, loaded)]
    assert torch.equal(*answers)


def test_a_session_that_has_seen_nothing_is_saved_too(tmp_path: Path) -> None:
    session = VideoSession(ReferenceDecoder(), Newest(3))
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model, trusted=OWN)
    for both in (session, loaded):
        both.push(images(2))
    require_same(loaded, session, QUESTION, "saving")


def test_the_largest_frame_so_far_still_counts_for_the_limit(tmp_path: Path) -> None:
    session = pushed(SlidingWindowMemory(2), 5, 2)
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model, trusted=OWN)
    push(loaded, 1)
    assert loaded.slots(0).num_slots == 3


def test_timestamps_of_any_number_type_are_saved(tmp_path: Path) -> None:
    session = VideoSession(ReferenceDecoder(patch=2), Alternating(Newest(3)))
    session.push(images(3), torch.tensor([0.5, 1.0, 1.5]))  # pyright: ignore[reportArgumentType]
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model, trusted=OWN)
    assert loaded.state.pending[0].timestamp == 1.5


def local_memory() -> CrossFrameMemory:
    @dataclass(frozen=True)
    class Local(WrappedMemory):
        pass

    return Local(FullMemory())


class Unannounced(CrossFrameMemory):
    """Not a dataclass: its settings cannot be listed."""

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def update(self, slots: Slots) -> Slots:
        return slots.keep(torch.arange(min(self.count, slots.num_slots)))


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        (
            local_memory(),
            "local_memory.<locals>.Local', which is no public memory.*: pass the C",
        ),
        (Unannounced(2), "Unannounced.* no dataclass.*: pass the CrossFrameMemory yourself"),
    ],
)
def test_a_memory_that_cannot_be_rebuilt_has_to_be_passed_in(
    memory: CrossFrameMemory, message: str, tmp_path: Path
) -> None:
    session = VideoSession(ReferenceDecoder(), memory)
    session.push(images(2))
    session.save(tmp_path / "session")
    with pytest.raises(ValueError, match=message):
        VideoSession.load(tmp_path / "session", session.model, trusted=[Unannounced])
    loaded = VideoSession.load(tmp_path / "session", session.model, memory)
    require_same(loaded, session, QUESTION, "saving")


def test_another_reader_may_be_passed_in(tmp_path: Path) -> None:
    session = mid_stream()
    session.save(tmp_path / "session")
    loaded = VideoSession.load(
        tmp_path / "session", session.model, reader=LastFrames(7), trusted=OWN
    )
    assert loaded.reader == LastFrames(7)


@dataclass(frozen=True)
class HoldsTensor(WrappedMemory):
    table: Any = None


def test_a_setting_that_is_no_plain_data_is_refused_by_name(tmp_path: Path) -> None:
    session = VideoSession(ReferenceDecoder(), HoldsTensor(FullMemory(), torch.zeros(1)))
    with pytest.raises(ValueError, match=r"HoldsTensor.table = tensor.* cannot be saved"):
        session.save(tmp_path / "session")
    assert not (tmp_path / "session").exists()


def test_another_model_is_refused_with_both_sizes(tmp_path: Path) -> None:
    mid_stream().save(tmp_path / "session")
    other = ReferenceDecoder(replace(TINY, num_layers=3), patch=2, axes=3)
    with pytest.raises(ValueError, match=r"'num_layers': 2.*'num_layers': 3.* load it with the m"):
        VideoSession.load(tmp_path / "session", other)


def test_a_model_of_equal_sizes_that_places_tokens_otherwise_is_refused(tmp_path: Path) -> None:
    pushed(FullMemory(), 4, 3).save(tmp_path / "one.session")
    with pytest.raises(ValueError, match=r"gives a token 1 positions, this one gives 3: load it"):
        VideoSession.load(tmp_path / "one.session", ReferenceDecoder(axes=3))


def truncated(path: Path) -> None:
    mid_stream().save(path)
    path.write_bytes(path.read_bytes()[:-100])


def other_tensors(path: Path) -> None:
    safetensors.torch.save_file({"weights": torch.zeros(3)}, path)


def other_version(path: Path) -> None:
    header = json.dumps({"format": 10**6})
    safetensors.torch.save_file({}, path, metadata={"crossframe": header})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no saved session at .*session"),
        (Path.mkdir, "no saved session at .*session"),
        (Path.touch, "session is not a complete safetensors file"),
        (lambda path: path.write_text("hello, world"), "not a complete safetensors file"),
        (truncated, "session is not a complete safetensors file"),
        (other_tensors, "session is not a session saved by this version"),
        (other_version, "session is not a session saved by this version"),
    ],
    ids=["missing", "folder", "empty", "text", "truncated", "tensors", "version"],
)
def test_a_file_that_is_no_session_is_refused(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "session")
    with pytest.raises(ValueError, match=message):
        VideoSession.load(tmp_path / "session", ReferenceDecoder())


PLANTED = """
import pathlib, dataclasses
pathlib.Path(__file__).with_suffix(".ran").touch()

@dataclasses.dataclass
class Planted:
    inner: object = None
"""


def rewritten(path: Path, **changes: object) -> Path:
    """The file with fields of its header changed, under a checksum that goes with them."""
    file = read_tensors(path)
    facts = json.dumps({**json.loads(file.facts), **changes})
    tensors = {name: value.clone() for name, value in file.tensors.items()}
    with whole_file(path) as target:
        write_tensors(target, facts, tensors)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("planted:Planted", "'planted:Planted', which is no public memory.*trusted=.Planted.$"),
        ("subprocess:Popen", "'subprocess:Popen', which is no public memory, reader or archive"),
        ("pathlib:Path.touch", "Path.touch', which is no public memory"),
        ("crossframe.planted:Planted", "which is no public memory"),
        ("crossframe.framework:VideoSession", "VideoSession', which is no public memory"),
        ("crossframe.framework.reference:ReferenceDecoder", "which is no public memory"),
        ("crossframe.methods:ReKVReader", "is not a CrossFrameMemory that|inner must be a C"),
        ("crossframe.framework:DiskArchive", "is not a CrossFrameMemory that|inner must be a C"),
    ],
)
def test_a_file_loads_no_class_that_is_no_public_rule(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session file may come from elsewhere: nothing is imported or called because it says so."""
    (tmp_path / "planted.py").write_text(PLANTED)
    (tmp_path / "crossframe").mkdir()
    (tmp_path / "crossframe/planted.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(tmp_path)
    session = VideoSession(ReferenceDecoder(), FullMemory())
    session.save(tmp_path / "session")
    evil = {"class": name, "settings": {}}
    wrapped = {"class": "crossframe.framework:WrappedMemory", "settings": {"inner": evil}}
    for memory in (evil, wrapped):
        path = rewritten(tmp_path / "session", memory=memory)
        with pytest.raises(ValueError, match=message):
            VideoSession.load(path, session.model)
    assert not list(tmp_path.rglob("*.ran"))


def test_only_classes_can_be_trusted(tmp_path: Path) -> None:
    session = mid_stream()
    session.save(tmp_path / "session")
    for wrong in (Newest(3), int, "Newest"):
        with pytest.raises(ValueError, match=r"trusted=.* is no memory, reader, .*: give classes"):
            VideoSession.load(tmp_path / "session", session.model, trusted=[wrong])  # pyright: ignore[reportArgumentType]


def test_classes_are_named_by_the_package_that_offers_them(tmp_path: Path) -> None:
    """So that a file outlives a move inside crossframe."""
    memory = ProtectedSinks(StateKVMemory(4), tokens=2)
    session = VideoSession(ReferenceDecoder(), memory, reader=ReadSinksAndRecent())
    session.save(tmp_path / "session")
    facts = json.loads(read_tensors(tmp_path / "session").facts)
    names = [facts[part]["class"] for part in ("memory", "reader", "archive")]
    names.append(facts["memory"]["settings"]["inner"]["class"])
    assert names == [
        "crossframe.methods:ProtectedSinks",
        "crossframe.methods:ReadSinksAndRecent",
        "crossframe.framework:PlainArchive",
        "crossframe.methods:StateKVMemory",
    ]
    inner = {"class": "crossframe.methods.gone:StateKVMemory", "settings": {"capacity": 4}}
    path = rewritten(tmp_path / "session", memory=inner)
    assert VideoSession.load(path, session.model).memory == StateKVMemory(4)


def test_a_file_of_the_first_version_is_read() -> None:
    """Made by the release before the checksum: five frames, of which one waits."""
    memory = TokenDroppingMemory(
        ContiguousPositions(ProtectedSinks(StateKVMemory(4), tokens=2)), ratio=0.5
    )
    model = ReferenceDecoder(patch=2, axes=3)
    options = {"archive": Int8Archive(), "reader": ReadSinksAndRecent(), "max_tokens": 200}
    session = VideoSession(model, memory, **options)
    session.push(images(5), [0.0, 0.5, 1.0, 1.5, 2.0])
    loaded = VideoSession.load(FORMAT_1, model)
    assert (loaded.memory, loaded.reader) == (memory, ReadSinksAndRecent())
    for seconds in (2.5, 4.0):
        for layer in range(2):
            held, expected = loaded.slots(layer), session.slots(layer)
            assert torch.equal(held.index, expected.index)
            assert torch.equal(held.positions, expected.positions)
            torch.testing.assert_close(held.keys, expected.keys)
        logits = [both.question_logits(QUESTION) for both in (loaded, session)]
        torch.testing.assert_close(*logits)
        for both in (loaded, session):
            both.push(images(3, seed=1), [seconds, seconds + 0.5, seconds + 1])
