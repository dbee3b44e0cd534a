"""Random histories of one session: pushes, questions, forks, saving and failures in any order."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ..frame_tokens import FrameTokens
from ..memory import CrossFrameMemory
from ..reference import ReferenceDecoder
from ..stream.session import VideoSession
from .memory_laws import require
from .random_streams import kit_settings
from .session_laws import reopened, require_same

QUESTION = torch.tensor([[3, 1, 4]])
SEEDS = st.integers(0, 2**16)


def memory_machine(
    memory: CrossFrameMemory, *, max_examples: int = 25, steps: int = 12
) -> type[RuleBasedStateMachine]:
    """A hypothesis state machine around one memory; its `TestCase` is a unittest class.

    Whatever happened in between, at the end the session must equal a new one that only saw the
    successful pushes. In a test module: `TestMine = memory_machine(MyMemory(8)).TestCase`.
    """

    class History(SessionHistory):
        subject = memory

    History.TestCase.settings = kit_settings(
        max_examples, stateful_step_count=steps, suppress_health_check=[HealthCheck.too_slow]
    )
    return History


class SessionHistory(RuleBasedStateMachine):
    """What may happen to a session; every successful push is noted for the replay."""

    subject: CrossFrameMemory

    @initialize(patch=st.sampled_from([1, 2]), per_step=st.integers(1, 2))
    def open(self, patch: int, per_step: int) -> None:
        self.model = ReferenceDecoder(patch=patch)
        self.per_step = per_step
        self.session = self._new()
        self.pushes: list[Callable[[VideoSession], object]] = []

    @rule(seed=SEEDS, count=st.integers(1, 3), tokens=st.integers(1, 5))
    def push_tokens(self, seed: int, count: int, tokens: int) -> None:
        def push(session: VideoSession) -> None:
            if session.state.pending:
                return  # tokens would overtake the waiting frame
            session.push(self._frames(session, seed, count, tokens))

        self._push(push)

    @rule(seed=SEEDS, count=st.integers(1, 3))
    def push_images(self, seed: int, count: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (count, 4, 4, 3), generator=generator).to(torch.uint8)
        self._push(lambda session: session.push(images))

    @rule(seed=SEEDS)
    def fail_to_push(self, seed: int) -> None:
        frames = self._frames(self.session, seed, 3, 2)
        frames[-1].embeds.fill_(float("nan"))
        try:
            self.session.push(frames)
        except ValueError:
            return
        require(False, "law 11: a frame of NaN was taken")

    @rule(new=st.integers(1, 3))
    def ask(self, new: int) -> None:
        if self.session.cursor.tokens:
            self.session.ask(QUESTION, max_new_tokens=new)

    @rule(seed=SEEDS)
    def send_off_a_fork(self, seed: int) -> None:
        fork = self.session.fork()
        if not fork.state.pending:
            fork.push(self._frames(fork, seed, 2, 3))

    @rule()
    def go_on_as_a_fork(self) -> None:
        self.session = self.session.fork()

    @rule()
    def save_and_load(self) -> None:
        self.session = reopened(self.session)

    def teardown(self) -> None:
        replay = self._new()
        for push in self.pushes:
            push(replay)
        if replay.cursor.tokens:
            require_same(self.session, replay, QUESTION, "a history left a trace")

    def _new(self) -> VideoSession:
        return VideoSession(self.model, self.subject, frames_per_step=self.per_step)

    def _push(self, push: Callable[[VideoSession], object]) -> None:
        push(self.session)
        self.pushes.append(push)

    def _frames(
        self, session: VideoSession, seed: int, count: int, tokens: int
    ) -> list[FrameTokens]:
        generator = torch.Generator().manual_seed(seed)
        start = session.cursor.position
        shape = (1, tokens, self.model.spec.hidden)
        return [
            FrameTokens(
                torch.randn(shape, generator=generator, dtype=self.model.dtype),
                torch.arange(start + n * tokens, start + (n + 1) * tokens)[None, None],
            )
            for n in range(count)
        ]
