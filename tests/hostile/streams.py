"""Adapters and streams in progress that hostile input is thrown at; each model is built once."""

from collections.abc import Callable
from functools import cache
from random import Random

import torch
from torch import Tensor
from torch.testing import assert_close

from crossframe.framework import VideoModel, VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel, Eagle2_5, InternVL3, LlavaOnevision, Qwen2_5VL, Qwen3VL
from crossframe.models.tiny import (
    tiny_eagle2_5,
    tiny_internvl,
    tiny_llava_onevision,
    tiny_qwen2,
    tiny_qwen2_5_vl,
    tiny_qwen3_vl,
)

from .cases import Case

VISION: dict[str, Callable[[], VideoModel]] = {
    "internvl3": lambda: InternVL3(*tiny_internvl(layers=1)),
    "eagle2_5": lambda: Eagle2_5(*tiny_eagle2_5(layers=1)),
    "llava_onevision": lambda: LlavaOnevision(*tiny_llava_onevision(layers=1)),
    "qwen2_5_vl": lambda: Qwen2_5VL(*tiny_qwen2_5_vl(layers=1, max_tokens=24)),
    "qwen3_vl": lambda: Qwen3VL(*tiny_qwen3_vl(layers=1), planned_frames=6),
}
HEIGHT, WIDTH = 56, 84
LATEST = 1.5  # seconds: the newest timestamp of `begun`
PROBE = [3, 1, 4]


@cache
def model(name: str) -> VideoModel:
    return DecoderModel(tiny_qwen2(layers=1)) if name == "decoder" else VISION[name]()


def pixels(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, HEIGHT, WIDTH, 3), generator=generator).to(torch.uint8)


@cache
def _parent(name: str, frames: int) -> VideoSession:
    session = VideoSession(model(name), StateKVMemory(12))
    if isinstance(session.model, DecoderModel):
        session.push(session.model.frame(torch.arange(5)[None]))
    else:
        session.push(pixels(frames), [LATEST] * frames)
    return session


def begun(name: str, random: Random | None = None) -> VideoSession:
    """A session of its own with two frames behind it; drawn, it may have a third that waits."""
    return _parent(name, random.choice((2, 3)) if random is not None else 2).fork()


def heard(session: VideoSession) -> Tensor:
    """What the session says to a fixed question."""
    return session.question_logits(PROBE)


def stays(session: VideoSession) -> Callable[[], None]:
    """Asserts later that the session is as it is now: its state, its archive, its answers."""
    state, tokens, before = session.state, session.archive.num_tokens, heard(session)

    def check() -> None:
        assert session.state is state
        assert session.archive.num_tokens == tokens
        assert_close(heard(session), before)

    return check


def refused(
    what: str, session: VideoSession, act: Callable[[VideoSession], object], *names: str
) -> Case:
    """A call that must be refused, saying these words, and leave the session as it was."""
    words = f"{what} on {type(session.model).__name__}"
    return Case(words, lambda: act(session), names=names, untouched=stays(session))


def equal(
    what: str,
    session: VideoSession,
    act: Callable[[VideoSession], object],
    plain: Callable[[VideoSession], object],
) -> Case:
    """A call that must do what a plain one does to a fork."""
    twin = session.fork()

    def right(_: object) -> None:
        plain(twin)
        assert session.cursor == twin.cursor
        assert_close(heard(session), heard(twin))

    return Case(f"{what} on {type(session.model).__name__}", lambda: act(session), right=right)
