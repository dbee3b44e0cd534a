"""Law 6 on real models: streaming equals one stock forward, and `ask` equals `generate`."""

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import CrossFrameMemory, Cursor, FrameTokens, FullMemory, VideoSession
from crossframe.methods import (
    RandomMemory,
    RecencyMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)
from crossframe.models import DecoderModel, InternVL3
from crossframe.models.tiny import tiny_internvl, tiny_qwen2

UNBOUNDED: list[CrossFrameMemory] = [
    FullMemory(),
    StateKVMemory(None),
    RecencyMemory(None),
    SlidingWindowMemory(None),
    TokenDroppingMemory(ratio=0.0),
    SinksAndRecentMemory(None),
    RandomMemory(None),
    StateKVMemory(10_000),
]
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
DECODERS: dict[str, dict[str, Any]] = {
    "two groups": {},
    "no groups": {"kv_heads": 4},
    "one group of seven": {"heads": 7, "kv_heads": 1, "hidden": 56, "layers": 3},
    "tied embeddings": {"tie_word_embeddings": True},
}
QUESTION = "What happens in this video?"


def named(memory: CrossFrameMemory) -> str:
    return type(memory).__name__


MEMORIES = pytest.mark.parametrize("memory", UNBOUNDED, ids=named)


@dataclass
class Steps:
    """Everything that passed the decoder, in order."""

    frames: list[FrameTokens] = field(default_factory=list)

    def token_ids(self, table: Tensor, image_token: int) -> list[int]:
        """The ids behind the embeddings; `image_token` where the adapter says it is visual."""
        ids: list[int] = []
        for frame in self.frames:
            visual = torch.zeros(frame.num_tokens, dtype=torch.bool)
            if frame.visual is not None:
                visual = frame.visual[0]
            for embedding, is_visual in zip(frame.embeds[0], visual, strict=True):
                same = (table == embedding).all(-1).nonzero().flatten().tolist()
                ids += [image_token] if is_visual else same
        return ids

    def positions(self) -> Tensor:
        return torch.cat([frame.positions for frame in self.frames], -1)


class WatchedInternVL3(InternVL3):
    """Notes what passes the decoder."""

    steps: Steps

    def step(self, frame: FrameTokens, attention: Any, max_tokens: int) -> Tensor:
        self.steps.frames.append(frame)
        return super().step(frame, attention, max_tokens)


@cache
def decoder(kind: str, dtype: torch.dtype) -> DecoderModel:
    return DecoderModel(tiny_qwen2(dtype=dtype, **DECODERS[kind]))


@cache
def internvl(dtype: torch.dtype) -> WatchedInternVL3:
    model = WatchedInternVL3(*tiny_internvl(dtype=dtype))
    model.steps = Steps()
    return model


def token_ids(model: DecoderModel, batch: int, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, model.spec.vocab, (batch, count), generator=generator)


def stock_logits(model: Any, **inputs: Tensor) -> Tensor:
    assert model.config.get_text_config()._attn_implementation == "sdpa"
    with torch.no_grad():
        return model(**inputs).logits


def greedy(model: Any, new: int, **inputs: Tensor) -> list[int]:
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
    ids = model.generate(**inputs, **options)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()


def worst(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got - expected).abs().max())


def video(frames: int, seed: int = 0, size: tuple[int, int] = (40, 60)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, *size, 3), generator=generator).to(torch.uint8)


def processed(model: InternVL3, frames: Tensor, question: str = QUESTION) -> dict[str, Tensor]:
    """What the installed processor makes of the whole video and the question."""
    content = [{"type": "video"}, {"type": "text", "text": question}]
    text = model.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    inputs = model.processor(text=text, videos=[frames.permute(0, 3, 1, 2)], return_tensors="pt")
    pixels = inputs["pixel_values"].to(model.dtype)
    return {"input_ids": inputs["input_ids"], "pixel_values": pixels}


def one_of(values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(values))


def lists_of_cuts(count: int) -> st.SearchStrategy[list[int]]:
    """Sizes of consecutive runs that hold `count` things."""
    marks = st.sets(st.integers(1, max(count - 1, 1)))
    ends = marks.map(lambda inner: [0, *sorted(inner & set(range(1, count))), count])
    return ends.map(lambda e: [b - a for a, b in pairwise(e)])


@DTYPES
@MEMORIES
@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_pushed_frame_by_frame_equals_one_forward(kind, memory, dtype):
    model = decoder(kind, dtype)
    ids = token_ids(model, 2, 40)
    session = VideoSession(model, memory)
    for part in ids[:, :33].split([10, 1, 12, 10], 1):
        session.push(model.frame(part, session.cursor))
    expected = stock_logits(model.hf_model, input_ids=ids)[:, 33:]
    assert worst(session.question_logits(ids[:, 33:]), expected) <= TOLERANCES[dtype]
    positions = session.archive.columns["positions"].view()
    assert torch.equal(positions, torch.arange(33).expand(1, 2, -1))


@given(data=st.data())
@settings(max_examples=40)
def test_a_decoder_equals_one_forward_however_the_stream_is_cut(data):
    model = decoder(data.draw(one_of(DECODERS)), data.draw(one_of(TOLERANCES)))
    memory = data.draw(one_of(UNBOUNDED))
    batch, seen, asked = data.draw(st.tuples(*[st.integers(1, n) for n in (3, 40, 6)]))
    ids = token_ids(model, batch, seen + asked, data.draw(st.integers(0, 99)))
    session = VideoSession(model, memory, frames_per_step=data.draw(st.integers(1, 4)))
    frames, cursor = [], Cursor()
    for part in ids[:, :seen].split(data.draw(lists_of_cuts(seen)), 1):
        frames.append(model.frame(part, cursor))
        seen_now = cursor.tokens + part.shape[1]
        cursor = Cursor(tokens=seen_now, position=seen_now)
    for size in data.draw(lists_of_cuts(len(frames))):
        session.push(frames[:size])
        del frames[:size]
    expected = stock_logits(model.hf_model, input_ids=ids)[:, seen:]
    got = session.question_logits(ids[:, seen:])
    assert worst(got, expected) <= TOLERANCES[model.dtype]


@DTYPES
@MEMORIES
@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoders_answer_is_greedy_generates(kind, memory, dtype):
    model = decoder(kind, dtype)
    ids = token_ids(model, 1, 40)
    session = VideoSession(model, memory)
    for part in ids[:, :33].split([10, 1, 12, 10], 1):
        session.push(model.frame(part, session.cursor))
    answer = session.ask(ids[:, 33:], max_new_tokens=20, min_new_tokens=20)
    assert answer.token_ids.tolist() == greedy(model.hf_model, 20, input_ids=ids)
    first = stock_logits(model.hf_model, input_ids=ids)[0, -1]
    assert worst(answer.first_logits, first) <= TOLERANCES[dtype]


@DTYPES
@MEMORIES
def test_internvl3_pushed_frame_by_frame_equals_the_stock_model_and_its_answer(memory, dtype):
    model, frames = internvl(dtype), video(4)
    inputs = processed(model, frames)
    expected = stock_logits(model.hf_model, **inputs)
    session = VideoSession(model, memory)
    for frame in frames:
        session.push(frame)
    question = model.question_ids(QUESTION)
    assert session.cursor.tokens + question.shape[1] == expected.shape[1]
    got = session.question_logits(question)
    assert worst(got, expected[:, -question.shape[1] :]) <= TOLERANCES[dtype]
    answer = session.ask(QUESTION, max_new_tokens=20, min_new_tokens=20)
    assert answer.token_ids.tolist() == greedy(model.hf_model, 20, **inputs)
    assert worst(answer.first_logits, expected[0, -1]) <= TOLERANCES[dtype]


@given(data=st.data())
@settings(max_examples=20)
def test_internvl3_equals_the_stock_model_however_the_video_is_cut(data):
    model = internvl(data.draw(one_of(TOLERANCES)))
    count, memory = data.draw(st.integers(1, 12)), data.draw(one_of(UNBOUNDED))
    frames = video(count, data.draw(st.integers(0, 99)))
    session = VideoSession(model, memory, frames_per_step=data.draw(st.integers(1, 4)))
    inputs = processed(model, frames)
    model.steps.frames.clear()
    for part in frames.split(data.draw(lists_of_cuts(count))):
        session.push(part)
    got = session.question_logits(model.question_ids(QUESTION))
    expected = stock_logits(model.hf_model, **inputs)[:, -got.shape[1] :]
    assert worst(got, expected) <= TOLERANCES[model.dtype]
    table = model.hf_model.get_input_embeddings().weight
    passed = model.steps.token_ids(table, model.processor.image_token_id)
    assert passed == inputs["input_ids"][0].tolist()
    assert torch.equal(model.steps.positions(), torch.arange(len(passed))[None, None])


def test_the_pictures_are_part_of_the_comparison():
    model = internvl(torch.float64)
    expected = stock_logits(model.hf_model, **processed(model, video(3)))
    session = VideoSession(model, FullMemory())
    session.push(video(3).flip(0))
    got = session.question_logits(model.question_ids(QUESTION))
    assert worst(got, expected[:, -got.shape[1] :]) > 0.1
