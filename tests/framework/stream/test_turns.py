"""One call at a time on a session; copies are forks."""

import copy
import gc
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest
import torch

from crossframe.framework import FrameTokens, FullMemory, Slots, VideoSession, WrappedMemory
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.turns import Turn, Turns
from crossframe.framework.testing.session_laws import require_same

from ..streams import frames

QUESTION = torch.tensor([[3, 1, 4]])


def frame(start: int, seed: int = 0) -> FrameTokens:
    return frames(3, start=start, seed=seed)[0]


@dataclass(frozen=True)
class Calling(WrappedMemory):
    """Makes calls in the middle of a step, once each."""

    calls: list[Callable[[], object]] = field(default_factory=list)

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        if self.calls:
            self.calls.pop()()
        return self.inner.update_layers(layers)


def pushed(*given: FrameTokens, memory: Calling | None = None) -> VideoSession:
    session = VideoSession(ReferenceDecoder(), memory or FullMemory())
    for each in given:
        session.push(each)
    return session


def test_the_first_call_has_the_turn_until_it_is_over() -> None:
    turns, first, second, third = Turns("this thing"), Turn(), Turn(), Turn()
    turns.take(first)
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"this thing is being used by another call of this"):
            turns.take(second)
    assert len(turns._taken) == 1, "refused calls must not pile up"
    first.over = True
    turns.take(third)


def test_a_turn_that_nobody_holds_locks_nobody_out() -> None:
    turns, lost = Turns("this thing"), Turn()
    turns.take(lost)
    del lost  # its end was interrupted
    gc.collect()
    turns.take(Turn())


def test_a_second_thread_is_refused_and_the_first_is_right() -> None:
    inside, go_on, memory = Event(), Event(), Calling(FullMemory())
    session = pushed(frame(0), memory=memory)
    memory.calls.append(lambda: (inside.set(), go_on.wait(30)))
    thread = Thread(target=session.push, args=(frame(3, 1),))
    thread.start()
    assert inside.wait(30)
    for call in (lambda: session.push(frame(3, 2)), lambda: session.question_logits(QUESTION)):
        with pytest.raises(
            RuntimeError, match=r"this session is being used by another thread: giv"
        ):
            call()
    seen = session.fork()
    go_on.set()
    thread.join()
    require_same(seen, pushed(frame(0)), QUESTION, "a fork in the middle of a push")
    require_same(session, pushed(frame(0), frame(3, 1)), QUESTION, "the first of two threads")


@pytest.mark.parametrize("call", ["push", "ask", "question_logits"])
def test_a_call_inside_a_call_is_refused_and_changes_nothing(call: str) -> None:
    memory = Calling(FullMemory())
    session = pushed(frame(0), memory=memory)
    given = frame(3, 2) if call == "push" else [1]

    def refused() -> None:
        with pytest.raises(RuntimeError, match=r"another call of this thread: wait until it has"):
            getattr(session, call)(given)

    memory.calls.append(refused)
    session.push(frame(3, 1))
    assert not memory.calls
    require_same(session, pushed(frame(0), frame(3, 1)), QUESTION, "the outer call")


def test_threads_that_try_again_lose_and_repeat_nothing() -> None:
    session, count = pushed(), 25

    def work(seed: int) -> None:
        done = 0
        while done < count:
            try:
                session.push(frame(0, seed))
                done += 1
            except RuntimeError:
                pass

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.cursor.frames == session.costs.totals.steps == 4 * count
    assert session.archive.num_tokens == session.slots(1).num_slots == 3 * 4 * count
    lengths = {one.length for layer in session.archive.layers for one in layer.values()}
    assert lengths == {3 * 4 * count}


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copy_is_a_fork(make: Callable[[VideoSession], VideoSession]) -> None:
    session = pushed(frame(0))
    twin = make(session)
    assert twin.model is session.model
    for each, seed in ((session, 1), (twin, 2), (session, 3), (twin, 4)):
        each.push(frame(each.cursor.position, seed))
    straight = pushed(frame(0), frame(3, 1), frame(6, 3))
    require_same(session, straight, QUESTION, "a copy changed its original")
    other = pushed(frame(0), frame(3, 2), frame(6, 4))
    require_same(twin, other, QUESTION, "the original changed its copy")


def test_two_sessions_that_resume_one_state_do_not_share_it() -> None:
    session, other = pushed(frame(0)), pushed()
    other.resume(session.state, session.archive)
    for each, seed in ((session, 1), (other, 2)):
        each.push(frame(3, seed))
    require_same(session, pushed(frame(0), frame(3, 1)), QUESTION, "resuming changed a session")
    require_same(other, pushed(frame(0), frame(3, 2)), QUESTION, "a resumed session")


def test_pickling_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(TypeError, match=r"VideoSession cannot be pickled.*\.save\(path\) and read"):
        pickle.dumps(pushed())
