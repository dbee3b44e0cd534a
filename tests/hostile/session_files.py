"""Saved sessions to tamper with: sound ones of several kinds, and what each must answer."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from crossframe.framework import (
    FullMemory,
    Int8Archive,
    NoArchive,
    VideoSession,
)
from crossframe.framework.files.tensor_file import write_tensors
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    ProtectedSinks,
    ReadCarried,
    ReadSinksAndRecent,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from ..framework.streams import images

QUESTION = torch.tensor([[3, 1, 4]])


@dataclass(frozen=True, eq=False)
class Sound:
    """A session file as it was saved.

    Attributes:
        model: that it was made with.
        content: of the file.
        facts, tensors: its header and tensors.
        logits: of a question now, and after more frames; None where nothing was pushed.
    """

    model: ReferenceDecoder
    content: bytes
    facts: dict[str, Any]
    tensors: dict[str, Tensor]
    logits: tuple[Tensor | None, Tensor]

    def require_same(self, loaded: object) -> None:
        """Fail unless a loaded session answers now, and goes on, as the untouched one does."""
        assert isinstance(loaded, VideoSession)
        now, later = answers(loaded)
        assert (now is None) == (self.logits[0] is None)
        for found, expected in zip((now, later), self.logits, strict=True):
            assert found is None or expected is None or torch.equal(found, expected)


def answers(session: VideoSession) -> tuple[Tensor | None, Tensor]:
    seen = session.cursor.tokens or session.state.pending
    now = session.question_logits(QUESTION) if seen else None
    later = session.fork()
    later.push(images(3, seed=1), [3.0, 3.5, 4.0])
    return now, later.question_logits(QUESTION)


def moved_and_thinned() -> VideoSession:
    """M-RoPE, a last frame for `admit`, places that were closed up, a frame that waits."""
    inner = ContiguousPositions(ProtectedSinks(StateKVMemory(4), tokens=2))
    session = VideoSession(
        ReferenceDecoder(patch=2, axes=3),
        TokenDroppingMemory(inner, ratio=0.5),
        archive=Int8Archive(),
        reader=ReadSinksAndRecent(),
        max_tokens=200,
    )
    session.push(images(5, seed=0), [0.0, 0.5, 1.0, 1.5, 2.0])
    return session


def plain() -> VideoSession:
    session = VideoSession(ReferenceDecoder(), StateKVMemory(6), frames_per_step=2)
    session.push(images(4, seed=0))
    return session


def ragged() -> VideoSession:
    session = VideoSession(ReferenceDecoder(), AdaptiveHeadBudgets(StateKVMemory(6)))
    session.push(images(4, seed=0))
    return session


def carried_only() -> VideoSession:
    model = ReferenceDecoder(float_type=torch.float32, seed=3)
    memory = SlidingWindowMemory(2)
    session = VideoSession(model, memory, archive=NoArchive(), reader=ReadCarried())
    session.push(images(3, seed=0))
    return session


def unseen() -> VideoSession:
    return VideoSession(ReferenceDecoder(patch=2), FullMemory())


KINDS: tuple[Callable[[], VideoSession], ...] = (
    moved_and_thinned,
    plain,
    ragged,
    carried_only,
    unseen,
)


@cache
def sound(make: Callable[[], VideoSession]) -> Sound:
    session = make()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.session"
        session.save(path)
        content = path.read_bytes()
        with safetensors.safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["crossframe"])
    return Sound(
        session.model,  # pyright: ignore[reportArgumentType]
        content,
        facts,
        safetensors.torch.load(content),
        answers(session),
    )


def sealed(facts: object, tensors: dict[str, Tensor]) -> bytes:
    """A file with a checksum that goes with its content."""
    file = BytesIO()
    write_tensors(file, facts if isinstance(facts, str) else json.dumps(facts), tensors)
    return file.getvalue()


def with_old_seal(content: bytes, facts: object, tensors: dict[str, Tensor]) -> bytes:
    """A file with the checksum of another content."""
    metadata = metadata_of(content)
    return safetensors.torch.save(tensors, {**metadata, "crossframe": json.dumps(facts)})


def metadata_of(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]
