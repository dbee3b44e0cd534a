"""Adapters and streams in progress that hostile input is thrown at; each model is built once."""

from collections.abc import Callable
from functools import cache
from random import Random

import torch
from torch import Tensor
from torch.testing import assert_close

from crossframe.framework import VideoModel, VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel

from ..every import FAMILIES, decoder
from .cases import Case

VISION = tuple(FAMILIES)
HEIGHT, WIDTH = 56, 84
LATEST = 1.5  # seconds: the newest timestamp of `begun`
PROBE = [3, 1, 4]


@cache
def model(name: str) -> VideoModel:
    if name == "decoder":
        return decoder(torch.float32, layers=1)
    sizes = {"layers": 1} | ({"max_tokens": 24} if name == "qwen2_5_vl" else {})
    return FAMILIES[name].shipped(*FAMILIES[name].tiny(**sizes)).for_stream(6)


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
