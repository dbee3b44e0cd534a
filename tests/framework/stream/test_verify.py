"""Bad input to a session: an error by text, and the session as it was before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    Cursor,
    FrameTokens,
    FullMemory,
    Slots,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.session_laws import require_same

from ..streams import frames

QUESTION = torch.tensor([[3, 1, 4]])


def opened(batch: int = 1, **options: Any) -> VideoSession:
    """A session that has seen two frames of 4 tokens."""
    session = VideoSession(ReferenceDecoder(), FullMemory(), **options)
    session.push(frames(4, 4, batch=batch))
    return session


def spoiled(*sizes: int, frame: int, number: float = float("nan")) -> list[FrameTokens]:
    made = frames(*sizes)
    made[frame].embeds[0, -1, 3] = number
    return made


@pytest.mark.parametrize("per_step", [1, 2, 3])
@pytest.mark.parametrize(
    ("pushed", "message"),
    [
        (spoiled(2, 2, 2, frame=2), "frame 4 holds NaN or Inf .* was refused"),
        (spoiled(2, 2, frame=1, number=float("-inf")), "frame 3 holds NaN or Inf"),
        ([replace(frames(1)[0], extras={"deep": torch.zeros(1, 1) / 0})], "Inf in its deep"),
        ([*frames(2), *frames(0)], "frame 3 has no tokens: push at least one"),
        ([*frames(2), *frames(2, hidden=16)], "frame 3 has hidden size 16, the model has 24"),
        ([*frames(2), *frames(2, axes=3)], "frame 3 has positions with 3 axes, the model needs 1"),
        ([*frames(2), *frames(2, batch=3)], "stream has batch 1, the pushed frame has batch 3"),
        (torch.zeros(2, 4, 4, 3), "uint8 pixels"),
        ("video.mp4", "got str"),
        ([], "no frames"),
        (frames(2, 2, 100), r"stream would reach 112 tokens, .* planned for 50.*max_tokens=112"),
    ],
)
def test_bad_frames_are_refused_as_a_whole_and_the_session_goes_on(
    pushed: object, message: str, per_step: int
) -> None:
    session, steady = (opened(frames_per_step=per_step, max_tokens=50) for _ in range(2))
    with pytest.raises(ValueError, match=message):
        session.push(pushed)
    for both in (session, steady):
        both.push(frames(3))
    require_same(session, steady, QUESTION, "a refused push left a trace")
    assert len(session.costs) == len(steady.costs)


@pytest.mark.parametrize(
    ("times", "message"),
    [([0.0], "2 frames came with 1 timestamps"), ([0.0] * 3, "2 frames came with 3 timestamps")],
)
def test_another_number_of_timestamps_is_refused(times: list[float], message: str) -> None:
    session = opened()
    with pytest.raises(ValueError, match=message):
        session.push(torch.zeros(2, 4, 4, 3, dtype=torch.uint8), times)
    with pytest.raises(ValueError, match="FrameTokens carry their own"):
        session.push(frames(1), times)
    assert session.cursor == Cursor(8, 2, 8)


def test_frames_of_one_patch_that_differ_in_size_are_refused() -> None:
    session = VideoSession(ReferenceDecoder(patch=2), FullMemory())
    session.push(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"differ in size: \[\(4, 4, 3\), \(8, 4, 3\)\]; resize"):
        session.push(torch.zeros(1, 8, 4, 3, dtype=torch.uint8))
    session.push(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    assert session.cursor.frames == 1


def test_where_waiting_would_cost_a_bad_frame_is_named_before_the_next_answer() -> None:
    session = opened()
    session._now.checks.deferred = True
    session.push(spoiled(2, 2, frame=1))
    session.push(frames(3))
    fork = session.fork()
    asking: list[Callable[[], object]] = [
        lambda: session.ask([1], max_new_tokens=1),
        lambda: session.question_logits([1]),
        lambda: fork.ask([1], max_new_tokens=1),
        lambda: session.save("never-written"),
        session.check,
    ]
    for ask in asking:
        with pytest.raises(ValueError, match="frame 3 holds NaN or Inf"):
            ask()


def test_what_a_fork_was_pushed_spoils_no_answer_of_its_parent() -> None:
    session = opened()
    session._now.checks.deferred = True
    session.fork().push(spoiled(2, frame=0))
    session.ask([1], max_new_tokens=1)


def test_a_deferred_push_that_was_undone_spoils_no_answer() -> None:
    session = opened()
    session._now.checks.deferred = True
    session.push(frames(1))
    with pytest.raises(ValueError, match="hidden size"):
        session.push([*spoiled(2, frame=0), *frames(2, hidden=8)])
    session.ask([1], max_new_tokens=1)


@dataclass(eq=False)
class BadPixels(ReferenceDecoder):
    """Makes NaN of black images."""

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        made = super().encode(frames, timestamps, cursor)
        return replace(made, embeds=made.embeds / frames.any())


def test_a_waiting_frame_that_failed_during_a_question_spoils_only_that_question() -> None:
    session = VideoSession(BadPixels(patch=2), FullMemory())
    session._now.checks.deferred = True
    session.push(frames(2))
    session.push(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="frame 1 holds NaN"):
        session.question_logits([1])
    session.push(torch.ones(1, 4, 4, 3, dtype=torch.uint8))
    assert session.question_logits([1]).isfinite().all()


def test_asking_before_the_first_push_is_refused() -> None:
    session = VideoSession(ReferenceDecoder(), FullMemory())
    for ask in (session.ask, session.question_logits):
        with pytest.raises(ValueError, match="nothing has been pushed yet: push at least one"):
            ask([1, 2])


def test_a_question_past_the_planned_length_is_refused_with_the_length_it_needs() -> None:
    session = opened(max_tokens=14)
    with pytest.raises(ValueError, match=r"question and answer would reach 15 .* for 14.*=15"):
        session.ask([1, 2], max_new_tokens=5)
    with pytest.raises(ValueError, match="would reach 15"):
        session.question_logits([1] * 7)
    assert len(session.ask([1, 2], max_new_tokens=4).token_ids) == 4


@pytest.mark.parametrize(
    "question", [[], [[]], [1.5], torch.zeros(1, 1, 1, dtype=torch.int64), torch.tensor(3)]
)
def test_questions_that_are_no_token_ids_are_refused(question: Any) -> None:
    session = opened()
    for ask in (session.ask, session.question_logits):
        with pytest.raises(ValueError, match=r"text or token ids \[tokens\] or \[B, tokens\]"):
            ask(question)


def test_ask_answers_one_question_about_one_video() -> None:
    with pytest.raises(ValueError, match="got 2 questions about a batch of 1"):
        opened().ask(torch.tensor([[1], [2]]))
    with pytest.raises(ValueError, match="got 1 questions about a batch of 2: about a batch give"):
        opened(batch=2).ask([1])


def test_logits_are_for_one_question_or_one_per_video() -> None:
    session = opened(batch=2)
    assert session.question_logits([1, 2]).shape == (2, 2, 31)
    assert session.question_logits(torch.tensor([[1], [2]])).shape == (2, 1, 31)
    with pytest.raises(ValueError, match="got 3 questions about a batch of 2"):
        session.question_logits(torch.tensor([[1], [2], [3]]))


@pytest.mark.parametrize("count", [0, -1, 1.5, True, None])
def test_answers_have_at_least_one_token(count: Any) -> None:
    with pytest.raises(ValueError, match=f"ask: max_new_tokens must be .*, got {count!r}"):
        opened().ask([1], max_new_tokens=count)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_frame": "both"}, 'in_frame must be "causal" or "bidirectional", got \'both\''),
        ({"attention": "flash"}, "attention must be one of .*, got 'flash'"),
        ({"frames_per_step": 0}, "frames_per_step must be .* at least 1, got 0"),
        ({"frames_per_step": None}, "frames_per_step must .*, got None"),
        ({"frames_per_step": 1.5}, "frames_per_step must .*, got 1.5"),
        ({"max_tokens": 0}, "max_tokens must .* or None for unbounded, got 0"),
        ({"max_tokens": "100"}, "max_tokens must .*, got '100'"),
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoSession(ReferenceDecoder(), FullMemory(), **options)


@dataclass(frozen=True)
class Returns(CrossFrameMemory):
    """Returns what a function makes of each layer's slots; promises 3 at most."""

    make: Callable[[Slots], Slots]
    only: int = 1
    promise: int | None = None

    def update(self, slots: Slots) -> Slots:
        return self.make(slots) if slots.layer == self.only else slots

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self.promise if layer == self.only else None


def renumbered(*index: int) -> Callable[[Slots], Slots]:
    return lambda slots: replace(slots, index=torch.tensor(index).expand(1, 2, -1))


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        (
            Returns(renumbered(0, 2, 1)),
            "Returns returned for layer 1 slots whose index is unsorted",
        ),
        (Returns(renumbered(0, 1, 1)), "for layer 1 slots whose index is unsorted or repeated"),
        (Returns(renumbered(-1, 0, 1)), "for layer 1 slots outside the stream of 3 tokens"),
        (Returns(renumbered(0, 1, 3), 0), "for layer 0 slots outside the stream of 3 tokens"),
        (Returns(lambda s: s.keep(torch.tensor([2, 1]))), "strictly ascending"),
        (Returns(lambda s: s.keep(torch.tensor([1, 1]))), "strictly ascending"),
        (Returns(lambda s: s.keep(torch.tensor([0, 3]))), r"must lie in 0\.\.2, got 0\.\.3"),
        (
            Returns(lambda s: s, promise=2),
            "for layer 1 3 slots per KV head, but promised at most 2",
        ),
    ],
)
def test_a_memory_that_breaks_its_contract_is_named(memory: CrossFrameMemory, message: str) -> None:
    session = VideoSession(ReferenceDecoder(), memory)
    with pytest.raises(ValueError, match=message):
        session.push(frames(3))
    assert session.cursor == Cursor()


def test_the_limit_counts_what_ragged_heads_hold_on_average() -> None:
    mask = torch.tensor([[True, True, True], [False, False, True]])
    session = VideoSession(ReferenceDecoder(), Returns(lambda slots: slots.keep(mask), promise=2))
    session.push(frames(3))
    with pytest.raises(ValueError, match="2 slots per KV head, but promised at most 1"):
        bad = Returns(lambda slots: slots.keep(mask), promise=1)
        VideoSession(ReferenceDecoder(), bad).push(frames(3))


@dataclass(frozen=True)
class OneLayer(CrossFrameMemory):
    def update(self, slots: Slots) -> Slots:
        return slots

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        return layers[:1]


def test_a_memory_must_return_every_layer_from_the_first_step_on() -> None:
    session = VideoSession(ReferenceDecoder(), OneLayer())
    with pytest.raises(ValueError, match="OneLayer returned 1 layers of 2"):
        session.push(frames(3))


@dataclass(frozen=True)
class Boasting(WrappedMemory):
    """Promises a reach, and leaves the first token where it is."""

    def update(self, slots: Slots) -> Slots:
        return slots.keep(torch.tensor([0, slots.num_slots - 1]))

    def reach(self, frame_tokens: int) -> int | None:
        return 8


@pytest.mark.parametrize("deferred", [False, True])
def test_a_promised_reach_that_is_not_kept_is_refused_beyond_the_plan(deferred: bool) -> None:
    session = VideoSession(ReferenceDecoder(), Boasting(FullMemory()), max_tokens=20)
    session._now.checks.deferred = deferred
    for frame in frames(4, 4, 4, 4, 4):  # within the plan nothing is wrong
        session.push(frame)
    with pytest.raises(
        ValueError, match=r"layer 0 a slot so far behind .* 20 positions are exceed"
    ):
        session.push(frames(2, start=20))
        session.check()
    assert session.cursor.tokens == (22 if deferred else 20)
