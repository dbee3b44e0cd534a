"""A session as its user meets it: pushing, asking, forking, and being interrupted."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    Cursor,
    FrameTokens,
    FullMemory,
    ScoringMemory,
    Slots,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.model import LayerAttention, RecurrentState
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.step import readable_keys
from crossframe.framework.testing.memory_laws import Watched
from crossframe.framework.testing.oracles import LoopAttention, one_shot_logits
from crossframe.framework.testing.session_laws import require_same

from ..streams import frames, images, pushed

QUESTION = torch.tensor([[3, 1, 4]])


def opened(memory: CrossFrameMemory | None = None, **options: Any) -> VideoSession:
    return VideoSession(ReferenceDecoder(), memory or FullMemory(), **options)


def test_before_the_first_push_every_layer_is_empty_not_none() -> None:
    session = opened()
    for layer in range(2):
        slots = session.slots(layer)
        assert slots.keys.shape == slots.values.shape == (1, 2, 0, 8)
        assert slots.positions.shape == (1, 1, 2, 0)
        assert (slots.num_slots, slots.layer, slots.num_layers) == (0, layer, 2)
    assert session.state_bytes == session.archive.bytes_held == 0
    assert session.slots(-1).layer == 1


@pytest.mark.parametrize("layer", [2, -3])
@pytest.mark.parametrize("sizes", [(), (3,)])
def test_a_layer_that_is_not_there_is_told(layer: int, sizes: tuple[int, ...]) -> None:
    with pytest.raises(IndexError, match=f"no layer {layer}: attention has 2, from 0"):
        pushed(FullMemory(), *sizes).slots(layer)


def test_slots_tell_where_each_token_came_from() -> None:
    session = opened()
    text = torch.zeros(1, 2, dtype=torch.bool)
    session.push([*frames(2, visual=text), *frames(3, start=2)])
    session.push(frames(1, start=5))
    slots = session.slots(1)
    assert slots.index[0, 1].tolist() == [0, 1, 2, 3, 4, 5]
    assert slots.frame[0, 1].tolist() == [-1, -1, 0, 0, 0, 1]
    assert slots.visual[0, 1].tolist() == [False] * 2 + [True] * 4
    assert (slots.mass, slots.num_new, slots.weigh) == (None, 0, None)
    assert session.cursor == Cursor(6, 2, 6)


@pytest.mark.parametrize("per_step", [1, 3])
def test_in_bidirectional_frames_every_token_sees_its_whole_frame(per_step: int) -> None:
    """Reversing the tokens inside a frame then changes nothing but their order."""
    text = torch.zeros(1, 3, dtype=torch.bool)
    before = [*frames(3, visual=text), *frames(2, start=3)]
    (last,) = frames(4, start=5, seed=1)
    backwards = replace(last.take(torch.arange(4).flip(0)), offsets=None)
    straight, turned, causal = (
        opened(in_frame=kind, frames_per_step=per_step)
        for kind in ("bidirectional", "bidirectional", "causal")
    )
    straight.push([*before, last])
    turned.push([*before, backwards])
    causal.push(before)
    order = [0, 1, 2, 3, 4, 8, 7, 6, 5]
    values, others = straight.slots(1).values, turned.slots(1).values
    torch.testing.assert_close(values[:, :, order], others, atol=1e-12, rtol=0)
    expected = causal.slots(1).values
    torch.testing.assert_close(values[:, :, :3], expected[:, :, :3], atol=1e-12, rtol=0)
    assert (values[:, :, 3] - expected[:, :, 3]).abs().max() > 1e-3, "the first sees the second"


def test_stats_reach_the_memory_and_the_archive() -> None:
    memory = Watched(FullMemory())
    session = opened(memory)
    session.push(frames(2))
    session.push(frames(2, start=2, stats={"patch": torch.tensor([[7.0, 8.0]])}))
    assert memory.seen[1][0].stats["patch"][0, 1].tolist() == [0, 0, 7, 8]
    assert session.archive.columns["stat:patch"].joined().tolist() == [[0, 0, 7, 8]]


@dataclass(frozen=True)
class Fragile(WrappedMemory):
    """Raises what it is told to, in the given layer's update."""

    trouble: list[tuple[int, BaseException]] = field(default_factory=list)

    def update(self, slots: Slots) -> Slots:
        if self.trouble and self.trouble[0][0] == slots.layer:
            raise self.trouble.pop()[1]
        slots.state["steps"] = slots.state.get("steps", torch.zeros(1)) + 1
        return super().update(slots)


@dataclass(eq=False)
class Stumbling(ReferenceDecoder):
    """Raises in the given layer, after the layers before it were archived."""

    stumbles: list[int] = field(default_factory=list)

    def step(
        self,
        frame: FrameTokens,
        attention: LayerAttention,
        max_tokens: int,
        recurrent: RecurrentState | None = None,
    ) -> Tensor:
        def watch(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
            if self.stumbles and self.stumbles[0] == layer:
                self.stumbles.pop()
                raise KeyboardInterrupt
            return attention(layer, query, key, value, scale)

        return super().step(frame, watch, max_tokens, recurrent)


@pytest.mark.parametrize("pushes", [0, 1, 3])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("trouble", [RuntimeError("out of memory"), KeyboardInterrupt(), None])
def test_an_interrupted_step_is_undone(
    trouble: BaseException | None, layer: int, pushes: int
) -> None:
    """In the memory, or (None) in the middle of the decoder."""
    memory = Fragile(FullMemory())
    model = Stumbling()
    session, steady = (VideoSession(model, memory) for _ in range(2))
    for push in range(pushes):
        for both in (session, steady):
            both.push(frames(3, start=3 * push))
    stats = {"fresh": torch.ones(1, 2)}
    if trouble is None:
        model.stumbles.append(layer)
    else:
        memory.trouble.append((layer, trouble))
    with pytest.raises(KeyboardInterrupt if trouble is None else type(trouble)):
        session.push(frames(2, 2, 2, start=9, stats=stats))
    assert len(session.costs) == pushes
    for both in (session, steady):
        both.push(frames(2, start=9))
    require_same(session, steady, QUESTION, "an interrupted step left a trace")
    assert session.archive.columns.keys() == steady.archive.columns.keys()
    assert torch.equal(session.slots(1).state["steps"], steady.slots(1).state["steps"])


@pytest.mark.parametrize("patch", [2, 3])
def test_waiting_images_are_asked_about_as_if_the_video_ended_there(patch: int) -> None:
    session = VideoSession(ReferenceDecoder(patch=patch), FullMemory())
    whole = VideoSession(ReferenceDecoder(patch=patch), FullMemory())
    session.push(images(patch + 1))
    before = session.question_logits(QUESTION)
    assert len(session.state.pending) == 1
    assert session.cursor.frames == 1
    short = whole.model.encode(images(patch + 1)[patch:], [None], session.cursor)
    whole.push(images(patch + 1)[:patch])
    whole.push(short)
    assert torch.equal(before, whole.question_logits(QUESTION))
    assert torch.equal(before, session.question_logits(QUESTION)), "asking twice"


def test_a_question_about_waiting_images_alone_is_answered() -> None:
    session = VideoSession(ReferenceDecoder(patch=2), FullMemory())
    session.push(images(1))
    assert len(session.ask([1], max_new_tokens=2).token_ids) == 2
    assert session.cursor == Cursor()
    assert session.archive.bytes_held == 0


def test_images_that_pass_together_are_numbered_one_after_the_other() -> None:
    together, apart = opened(frames_per_step=3), opened()
    for session in (together, apart):
        session.push(images(4))
    for name in ("index", "frame", "positions", "visual"):
        columns = [session.archive.columns[name].joined() for session in (together, apart)]
        assert torch.equal(*columns), name


def test_waiting_images_are_the_sessions_own() -> None:
    """A decoder may reuse its buffer for the next frame."""
    reused, steady = (VideoSession(ReferenceDecoder(patch=2), FullMemory()) for _ in range(2))
    buffer = images(1)
    for step in range(4):
        buffer.fill_(step)
        reused.push(buffer if step % 2 else buffer.numpy()[0])
        steady.push(buffer.clone())
    require_same(reused, steady, QUESTION, "a reused buffer")


def test_the_answer_is_the_greedy_continuation() -> None:
    session = opened()
    session.push(frames(4, 3))
    answer = session.ask(QUESTION[0].tolist(), max_new_tokens=3)
    text = QUESTION
    for expected in answer.token_ids:
        logits = one_shot_logits(session.model, frames(4, 3), text)[0, -1]
        if text.shape[1] == 3:
            torch.testing.assert_close(answer.first_logits, logits, atol=1e-9, rtol=0)
        assert logits.argmax() == expected
        text = torch.cat([text, expected.view(1, 1)], 1)
    assert answer.text == ""


def test_options_of_the_answer_reach_the_model() -> None:
    session = opened()
    session.push(frames(2))
    with pytest.raises(ValueError, match=r"decodes greedily, got \['do_sample'\]"):
        session.ask([1], max_new_tokens=1, do_sample=True)
    with pytest.raises(ValueError, match="no tokenizer: ask with token ids instead of 'What"):
        session.ask("What happens?")


def test_a_failed_question_leaves_the_session_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    session, steady = opened(), opened()
    for both in (session, steady):
        both.push(frames(4))
    with monkeypatch.context() as broken, pytest.raises(TypeError):
        broken.setattr(session.model, "logits", None)
        session.ask([1], max_new_tokens=1)
    require_same(session, steady, QUESTION, "a failed question left a trace")


@dataclass(frozen=True)
class Renumbering(ScoringMemory):
    """Keeps the newest, where later frames see them right before themselves: 0, 1, 2, ..."""

    def score(self, slots: Slots) -> Tensor:
        return slots.index

    def update(self, slots: Slots) -> Slots:
        kept = super().update(slots)
        last = int(slots.positions.max())
        positions = torch.arange(last + 1 - kept.num_slots, last + 1) - 3
        return replace(kept, positions=positions.expand(kept.positions.shape))


@pytest.mark.parametrize("axes", [1, 3])
def test_moved_slots_are_read_with_keys_rotated_to_their_new_place(axes: int) -> None:
    """As loops over them give, and as if the tokens had been pushed at that place."""
    session = VideoSession(ReferenceDecoder(axes=axes), Renumbering(3))
    plain = VideoSession(ReferenceDecoder(axes=axes), FullMemory())
    frame = frames(1)[0]
    for number in range(4):
        before, start = session.fork(), session.cursor.position
        (frame,) = frames(3, start=start, seed=number)
        frame = replace(frame, positions=frame.positions.expand(axes, 1, -1))
        loops = LoopAttention(before)
        session.model.step(frame, loops, session.max_tokens)
        session.push(frame)
        plain.push(frame)
        for layer, stored in enumerate(session.archive.layers):
            held = before.archive.num_tokens
            new = {name: paged.joined()[:, :, held:] for name, paged in stored.items()}
            torch.testing.assert_close(new["keys"], loops.keys[layer], atol=1e-10, rtol=0)
            torch.testing.assert_close(new["values"], loops.values[layer], atol=1e-10, rtol=0)
    produced: list[Tensor] = []

    def record(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        produced.append(key)
        return query

    own, other = session.slots(0), plain.slots(0)
    session.model.step(FrameTokens(frame.embeds, own.positions[:, :, 0]), record, 99)
    read = readable_keys(own, lambda keys, delta: session.model.rotate(keys, delta, 99))
    torch.testing.assert_close(read, produced[0], atol=1e-10, rtol=0)
    assert torch.equal(own.keys, other.keys[:, :, -3:]), "stored keys stay as produced"
    assert own.positions.max() == own.index.max() - 3


def test_tokens_may_not_overtake_a_waiting_image() -> None:
    session = VideoSession(ReferenceDecoder(patch=2), FullMemory())
    session.push(torch.zeros(3, 4, 4, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"1 raw frame\(s\) still wait.*push the missing raw"):
        session.push(FrameTokens(torch.zeros(1, 2, 24), torch.tensor([[[5, 6]]])))
    assert session.cursor.frames == 1


def test_asking_while_images_wait_does_not_add_up_as_copies() -> None:
    session = VideoSession(ReferenceDecoder(patch=2), FullMemory())
    session.push(torch.zeros(7, 4, 4, 3, dtype=torch.uint8))
    for _ in range(40):
        session.question_logits([1, 2])
    assert session.archive.bytes_copied <= 1.05 * session.archive.bytes_appended
