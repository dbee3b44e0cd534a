"""Ctrl-C at chosen moments of a push or a question: the model and the session are as they were."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from crossframe.framework import Answer, VideoSession
from crossframe.framework.archives import paged, storage
from crossframe.framework.stream import progress, step, turns
from crossframe.framework.stream import session as sessions
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel, Qwen3VL, hf, loans
from crossframe.models.hf import HFDecoder
from crossframe.models.tiny import tiny_qwen2, tiny_qwen3_vl

from .cases import Case, Family

WATCHED = {  # names by path
    str(module.__file__): Path(str(module.__file__)).name
    for module in (sessions, progress, turns, step, storage, paged, hf, loans)
}
QUESTION = [7, 8, 9]
HOOKS = [name for name, value in vars(nn.Module()).items() if name.endswith("_hooks")]

# File, line, what happens there ("call", "line" or "return"), and for which time.
Moment = tuple[str, int, str, int]


@dataclass
class Interrupter:
    """Raises KeyboardInterrupt at a moment, or nowhere; notes all up to it.

    A signal can only come between some of these moments; this one may come at every line, function
    start and function end of what handles sessions and models, also inside `finally`.
    """

    at: Moment | None = None
    moments: list[Moment] = field(default_factory=list)
    times: Counter[tuple[str, int, str]] = field(default_factory=Counter)

    def __enter__(self) -> Interrupter:
        self._before = sys.gettrace()
        sys.settrace(self._look)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _look(self, frame: FrameType, event: str, arg: object) -> Any:
        if (name := WATCHED.get(frame.f_code.co_filename)) is None:
            return None
        if event != "exception":
            place = name, frame.f_lineno, event
            self.times[place] += 1
            self.moments.append((*place, self.times[place]))
            if self.moments[-1] == self.at:
                raise KeyboardInterrupt(f"planned at {self.at}")
        return self._look


@dataclass(frozen=True, eq=False)
class Scene:
    """A session and a call on it that an interrupt is to hit.

    Attributes:
        base: forked for every try.
        call: what is interrupted.
    """

    base: VideoSession
    call: Callable[[VideoSession], object]

    @property
    def model(self) -> Any:
        return self.base.model

    @torch.no_grad()
    def stock(self) -> Tensor:
        """Logits of the model without us."""
        return self.model.hf_model(input_ids=token_ids(9, 5)).logits

    def moments(self) -> list[Moment]:
        """All moments of the call, which is the same every time."""
        seen = []
        for _ in range(2):  # the first fills caches
            session = self.base.fork()
            with Interrupter() as interrupter:
                self.call(session)
            seen = interrupter.moments
        return seen

    def interrupted(self, at: Moment) -> VideoSession:
        """The session after an interrupt at one of the moments.

        Or after the whole call: forks that have to copy first pass some more moments than others.
        """
        session, came = self.base.fork(), False
        with Interrupter(at) as interrupter:
            try:
                self.call(session)
            except KeyboardInterrupt:
                came = True
        assert came == (at in interrupter.moments), f"{at}: the interrupt was lost"
        assert came or at[0] in ("paged.py", "storage.py"), f"{at} never came"
        return session


@dataclass(frozen=True, eq=False)
class Witness:
    """What a scene looks like untouched and after its call, to compare with."""

    scene: Scene
    found: dict[str, Any]
    logits: Tensor
    before: VideoSession
    after: VideoSession
    result: object
    answer: Tensor

    @classmethod
    def of(cls, scene: Scene) -> Witness:
        logits = scene.stock()
        found = look(scene.model)
        done = scene.base.fork()
        result = scene.call(done)
        answer = done.fork().question_logits(QUESTION)
        return cls(scene, found, logits, scene.base, done, result, answer)

    def require_untouched(self, session: VideoSession, where: object) -> None:
        """The model is as it was found, the call happened whole or not at all, and works again."""
        self._require_model(where)
        again = None
        if session.cursor == self.before.cursor:
            require_equal(session, self.before, where)
            again = self.scene.call(session)
        require_equal(session, self.after, where)
        if isinstance(again, Answer):  # what a question gives is compared without another one
            assert same_answer(again, self.result), where
        else:
            assert torch.equal(session.question_logits(QUESTION), self.answer), where

    def _require_model(self, where: object) -> None:
        found = look(self.scene.model)
        changed = {name for name in found if found[name] != self.found.get(name)}
        assert not changed, f"{where}: {changed} of the model changed"
        assert torch.equal(self.scene.stock(), self.logits), f"{where}: stock logits changed"


def look(model: HFDecoder) -> dict[str, Any]:
    """What a step changes on a model, and what it might."""
    rotary = model.decoder.rotary_emb
    found = {
        "attention": model.config._attn_implementation,
        "rotary": (id(rotary), rotary.rope_type, id(rotary.inv_freq), rotary.attention_scaling),
    }
    for name, module in model.hf_model.named_modules():
        found[f"hooks of {name}"] = [list(vars(module)[hooks]) for hooks in HOOKS]
    return found


def require_equal(got: VideoSession, expected: VideoSession, where: object) -> None:
    assert got.cursor == expected.cursor, where
    assert got.state.pending == expected.state.pending, where
    assert got.costs.totals.tokens == expected.costs.totals.tokens, where
    for mine, theirs in zip(stored(got), stored(expected), strict=True):
        assert torch.equal(mine, theirs), where
    for layer in range(got.model.spec.num_layers):
        assert torch.equal(got.slots(layer).keys, expected.slots(layer).keys), where


def same_answer(got: Answer, expected: object) -> bool:
    return isinstance(expected, Answer) and all(
        torch.equal(getattr(got, name), getattr(expected, name))
        for name in ("token_ids", "first_logits")
    )


def stored(session: VideoSession) -> Iterator[Tensor]:
    """All that is archived, layer by layer, and the columns."""
    for parts in (*session.archive.layers, session.archive.columns):
        yield from (parts[name].joined() for name in sorted(parts))


def token_ids(count: int, seed: int) -> Tensor:
    return torch.randint(0, 300, (1, count), generator=torch.Generator().manual_seed(seed))


def images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 40, 60, 3), generator=generator).to(torch.uint8)


def ask(session: VideoSession) -> object:
    return session.ask(QUESTION, max_new_tokens=2)


@cache
def decoder_session() -> VideoSession:
    """A decoder whose rotary embedding a step changes too."""
    model = DecoderModel(tiny_qwen2(rope_factor=2.0))
    session = VideoSession(model, StateKVMemory(7))
    for seed in range(2):
        session.push(model.frame(token_ids(5, seed), session.cursor))
    return session


@cache
def waiting_session() -> VideoSession:
    """One frame waits for its temporal patch, so that asking passes it and lets it go again."""
    model = Qwen3VL(*tiny_qwen3_vl())
    session = VideoSession(model, StateKVMemory(7))
    session.push(images(3, 0))
    assert len(session.state.pending) == 1
    return session


def push_tokens(session: VideoSession) -> object:
    assert isinstance(session.model, DecoderModel)
    first = session.model.frame(token_ids(4, 11), session.cursor)
    return session.push([first, session.model.frame(token_ids(3, 12), session.cursor)])


def push_image(session: VideoSession) -> object:
    return session.push(images(1, 1))


CALLS: dict[str, tuple[Callable[[], VideoSession], Callable[[VideoSession], object]]] = {
    "push": (decoder_session, push_tokens),
    "ask": (decoder_session, ask),
    "push that fills a patch": (waiting_session, push_image),
    "ask while a frame waits": (waiting_session, ask),
}


@cache
def scene(name: str) -> tuple[Witness, Sequence[Moment]]:
    opened, call = CALLS[name]
    made = Scene(opened(), call)
    return Witness.of(made), made.moments()


def _draw(random: Random, folder: Path) -> Case:
    name = random.choice(list(CALLS))
    witness, moments = scene(name)
    at = random.choice(moments)

    def act() -> None:
        witness.require_untouched(witness.scene.interrupted(at), at)

    return Case(f"Ctrl-C during {name}, at {at}", act, right=lambda _: None)


INTERRUPTS = Family("interrupts", _draw, 200)
