"""SimpleStream equals a new session with full attention that only saw the last frames."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from crossframe.framework import FrameTokens, FullMemory, VideoModel, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing.oracles import one_shot_logits
from crossframe.methods import SimpleStream

from ..every import FAMILIES

QUESTION = torch.tensor([[3, 1, 4]])
ADAPTERS = (*FAMILIES, "reference")


@cache
def adapter(name: str) -> VideoModel:
    return ReferenceDecoder() if name == "reference" else FAMILIES[name].model().for_stream(4)


def video(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 40, 56, 3), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("times", [None, [0.5 * n for n in range(9)]], ids=["untimed", "timed"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_images_answer_as_a_video_of_the_last_ones(name: str, times: list[float] | None) -> None:
    model, images = adapter(name), video(9)
    stream = SimpleStream(model, 4)
    # As they come, one by one and in threes: 7 are a multiple of no temporal patch.
    for first, last in [(0, 1), (1, 4), (4, 7), (7, 9)]:
        stream.push(images[first:last], None if times is None else times[first:last])
        begin = max(0, last - 4)
        alone = VideoSession(model, FullMemory())
        alone.push(images[begin:last], None if times is None else times[begin:last])
        got, expected = stream.question_logits(QUESTION), alone.question_logits(QUESTION)
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)
    answer, wanted = (each.ask(QUESTION, max_new_tokens=5) for each in (stream, alone))
    assert torch.equal(answer.token_ids, wanted.token_ids)


def test_a_question_is_asked_as_text() -> None:
    stream, alone = (
        SimpleStream(adapter("qwen3_vl"), 2),
        VideoSession(adapter("qwen3_vl"), FullMemory()),
    )
    stream.push(video(5))
    alone.push(video(5)[3:])
    answer, wanted = (each.ask("What happens?", max_new_tokens=4) for each in (stream, alone))
    assert answer.text == wanted.text
    assert torch.equal(answer.token_ids, wanted.token_ids)


def tokens(sizes: list[int], *, axes: int = 1, batch: int = 1, prompt: bool) -> list[FrameTokens]:
    """Frames that follow each other, and perhaps a prompt; content by number, not by place."""
    made, start = [], 0
    for number, size in enumerate(sizes):
        generator = torch.Generator().manual_seed(number)
        embeds = torch.randn(batch, size, 24, generator=generator, dtype=torch.float64)
        positions = (torch.arange(size) + start).expand(axes, batch, -1)
        visual = torch.full((batch, size), not (prompt and number == 0))
        made.append(FrameTokens(embeds, positions, visual, next_position=start + size + 2))
        start += size + 2
    return made


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("prompt", [True, False])
def test_frame_tokens_are_moved_behind_the_prompt(prompt: bool, axes: int) -> None:
    sizes = [3, 4, 1, 6, 2, 5]
    model, frames = ReferenceDecoder(axes=axes), tokens(sizes, axes=axes, batch=2, prompt=prompt)
    stream, question = SimpleStream(model, 2), torch.tensor([[3, 1, 4], [1, 5, 9]])
    for count, frame in enumerate(frames, start=1):
        stream.push(frame)
        own = list(range(prompt, count))[-2:]
        seen = [0, *own] if prompt else own
        fresh = tokens([sizes[n] for n in seen], axes=axes, batch=2, prompt=prompt)
        alone = [replace(f, embeds=frames[n].embeds) for f, n in zip(fresh, seen, strict=True)]
        session = VideoSession(model, FullMemory())
        session.push(alone)
        expected = session.question_logits(question)
        torch.testing.assert_close(stream.question_logits(question), expected, atol=1e-12, rtol=0)


def test_it_is_one_causal_forward_over_the_last_frames() -> None:
    model = ReferenceDecoder()
    frames = tokens([2, 4, 3], prompt=False)
    moved = [replace(f, positions=f.positions - 4, next_position=None) for f in frames[1:]]
    moved[-1] = replace(moved[-1], next_position=None)
    stream = SimpleStream(model, 2)
    stream.push([replace(frames[0], next_position=4), *frames[1:-1]])
    stream.push(replace(frames[-1], next_position=None))
    expected = one_shot_logits(model, moved, QUESTION)
    torch.testing.assert_close(stream.question_logits(QUESTION), expected, atol=1e-12, rtol=0)


def test_the_stream_may_be_any_length_and_holds_the_same_bytes() -> None:
    model, stream = ReferenceDecoder(), SimpleStream(ReferenceDecoder(), 3, max_tokens=30)
    assert stream.state_bytes == 0
    images, held = video(50), set()
    for image in images:
        stream.push(image)
        held.add(stream.state_bytes)
    assert max(held) == 3 * images[0].numel()
    stream = SimpleStream(model, 3, max_tokens=30)
    held = set()
    for frame in tokens([4] * 50, prompt=True):
        stream.push(frame)
        held.add(stream.state_bytes)
    assert max(held) == 4 * min(held)
    assert stream.question_logits(QUESTION).isfinite().all()
    with pytest.raises(ValueError, match="question and answer would reach 40 tokens"):
        stream.question_logits(torch.ones(24, dtype=torch.int64))


def test_a_caller_may_reuse_his_buffers() -> None:
    stream, other = SimpleStream(ReferenceDecoder(), 2), SimpleStream(ReferenceDecoder(), 2)
    frames = tokens([3, 2], prompt=True)
    stream.push(frames)
    other.push(tokens([3, 2], prompt=True))
    for frame in frames:
        frame.embeds.zero_()
    assert torch.equal(stream.question_logits(QUESTION), other.question_logits(QUESTION))


def test_a_caller_may_reuse_his_buffers_of_images() -> None:
    model = adapter("internvl3")
    stream, other, buffer = SimpleStream(model, 2), SimpleStream(model, 2), video(1)[0]
    for image in video(3):
        stream.push(buffer.copy_(image))
        other.push(image)
    assert torch.equal(stream.question_logits(QUESTION), other.question_logits(QUESTION))


def test_costs_are_those_of_the_questions() -> None:
    model, stream = adapter("internvl3"), SimpleStream(adapter("internvl3"), 2)
    stream.push(video(6))
    assert len(stream.costs) == 0
    alone = VideoSession(model, FullMemory(), frames_per_step=2)
    alone.push(video(6)[4:])
    for times in (1, 2):
        stream.question_logits(QUESTION)
        assert [cost.flops for cost in stream.costs] == [cost.flops for cost in alone.costs] * times
        assert stream.costs[-1].encode_milliseconds > 0


def test_asking_changes_nothing() -> None:
    stream, quiet = (SimpleStream(ReferenceDecoder(), 2) for _ in range(2))
    for frame in tokens([3, 2, 4, 5], prompt=True):
        stream.push(frame)
        quiet.push(frame)
        stream.ask(QUESTION, max_new_tokens=2)
    assert torch.equal(stream.question_logits(QUESTION), quiet.question_logits(QUESTION))


def test_a_prompt_alone_can_be_asked() -> None:
    stream = SimpleStream(ReferenceDecoder(), 2)
    with pytest.raises(ValueError, match="nothing has been pushed yet"):
        stream.question_logits(QUESTION)
    prompt = tokens([3], prompt=True)
    stream.push(prompt)
    session = VideoSession(ReferenceDecoder(), FullMemory())
    session.push(prompt)
    assert torch.equal(stream.question_logits(QUESTION), session.question_logits(QUESTION))


def broken(frame: FrameTokens) -> FrameTokens:
    return replace(frame, embeds=frame.embeds * float("nan"))


@pytest.mark.parametrize(
    ("pushed", "message"),
    [
        (lambda: video(1), "got both images and FrameTokens: push a stream as one or the other"),
        (lambda: tokens([2], prompt=False), "frame 1 has position 0, before its place .*, 7"),
        (lambda: broken(tokens([3, 2], prompt=False)[1]), "frame 1 holds NaN or Inf"),
        (lambda: tokens([2, 2], prompt=False, batch=2)[1], "this stream has batch 1"),
        (list, "push got no frames"),
    ],
)
def test_bad_frames_are_refused_and_leave_no_trace(pushed, message) -> None:
    stream, steady = (SimpleStream(ReferenceDecoder(), 2) for _ in range(2))
    for each in (stream, steady):
        each.push(tokens([5], prompt=False))
    with pytest.raises(ValueError, match=message):
        stream.push(pushed())
    assert torch.equal(stream.question_logits(QUESTION), steady.question_logits(QUESTION))


def test_frame_tokens_do_not_follow_images() -> None:
    stream = SimpleStream(ReferenceDecoder(), 2)
    stream.push(video(2))
    with pytest.raises(ValueError, match="got both images and FrameTokens"):
        stream.push(tokens([5], prompt=False))
