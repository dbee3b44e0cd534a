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
    LayerArchive,
    Reader,
    ScoringMemory,
    Slots,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.reference import TINY, ReferenceDecoder
from crossframe.framework.session_laws import require_same
from crossframe.methods import SlidingWindowMemory

QUESTION = torch.tensor([[3, 1, 4]])


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


def images(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 4, 4, 3), generator=generator).to(torch.uint8)


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
    loaded = VideoSession.load(tmp_path / "session", session.model)
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
    loaded = VideoSession.load(tmp_path / "session", session.model)
    for both in (session, loaded):
        both.push(images(2))
    require_same(loaded, session, QUESTION, "saving")


def test_the_largest_frame_so_far_still_counts_for_the_limit(tmp_path: Path) -> None:
    session = VideoSession(ReferenceDecoder(), SlidingWindowMemory(2))
    for size in (5, 2):
        session.push(FrameTokens(torch.randn(1, size, 24).double(), torch.zeros(1, 1, size).long()))
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model)
    loaded.push(FrameTokens(torch.randn(1, 1, 24).double(), torch.zeros(1, 1, 1).long()))
    assert loaded.slots(0).num_slots == 3


def test_timestamps_of_any_number_type_are_saved(tmp_path: Path) -> None:
    session = VideoSession(ReferenceDecoder(patch=2), Alternating(Newest(3)))
    session.push(images(3), torch.tensor([0.5, 1.0, 1.5]))  # pyright: ignore[reportArgumentType]
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model)
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
        (local_memory(), "local_memory.<locals>.Local, which cannot be imported here: pass the C"),
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
        VideoSession.load(tmp_path / "session", session.model)
    loaded = VideoSession.load(tmp_path / "session", session.model, memory)
    require_same(loaded, session, QUESTION, "saving")


def test_another_reader_may_be_passed_in(tmp_path: Path) -> None:
    session = mid_stream()
    session.save(tmp_path / "session")
    loaded = VideoSession.load(tmp_path / "session", session.model, reader=LastFrames(7))
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


@pytest.mark.parametrize("interrupt", [OSError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(
    interrupt: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = mid_stream()
    session.save(tmp_path / "session")
    before = (tmp_path / "session").read_bytes()

    def half(tensors: object, path: Path, **_: object) -> None:
        path.write_bytes(before[:50])
        raise interrupt("no space left")

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(interrupt):
        session.save(tmp_path / "session")
    assert (tmp_path / "session").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["session"]


def test_a_file_can_name_no_class_that_is_not_a_rule(tmp_path: Path) -> None:
    """A session file may come from elsewhere: loading must not call what it likes."""
    session = VideoSession(ReferenceDecoder(), local_memory())
    session.save(tmp_path / "session")
    with safetensors.safe_open(tmp_path / "session", "pt") as file:
        header = json.loads(file.metadata()["crossframe"])
    proof = tmp_path / "called"
    evil = {"class": "pathlib:Path.touch", "settings": {"self": str(proof)}}
    popen = {"class": "subprocess:Popen", "settings": {"args": ["touch", str(proof)]}}
    wrapper = f"{WrappedMemory.__module__}:WrappedMemory"
    for bad in (evil, popen, {"class": wrapper, "settings": {"inner": popen}}):
        spoiled = json.dumps({**header, "memory": bad})
        safetensors.torch.save_file({}, tmp_path / "bad", metadata={"crossframe": spoiled})
        with pytest.raises(ValueError, match=r"(touch|Popen).* is not a"):
            VideoSession.load(tmp_path / "bad", session.model)
    assert not proof.exists()
