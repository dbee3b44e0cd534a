"""Law 6 on Qwen3-VL: streaming equals one stock forward of what the installed processor makes."""

from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import CrossFrameMemory, FrameTokens, FullMemory, VideoSession
from crossframe.methods import (
    RecencyMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)
from crossframe.models.qwen3_vl import Qwen3VL
from crossframe.models.tiny_qwen3_vl import Qwen3VLOptions, tiny_qwen3_vl

UNBOUNDED: list[CrossFrameMemory] = [
    FullMemory(),
    StateKVMemory(None),
    RecencyMemory(None),
    SlidingWindowMemory(None),
    TokenDroppingMemory(ratio=0.0),
]
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
KINDS: dict[str, Qwen3VLOptions] = {
    "dense": {},
    "tied": {"tie_word_embeddings": True, "hidden": 56, "heads": 7, "kv_heads": 1, "layers": 2},
    "experts": {"experts": 4},
}
SIZES = [(70, 100), (100, 70), (20, 31), (64, 200)]
QUESTION = "What happens in this video?"


def visual_of(frame: FrameTokens) -> Tensor:
    """[tokens] bool; a question's tokens are none of them."""
    return torch.zeros(frame.num_tokens).bool() if frame.visual is None else frame.visual[0]


class Watched(Qwen3VL):
    """Notes what passes the decoder."""

    steps: list[FrameTokens]

    def step(self, frame: FrameTokens, attention: Any, max_tokens: int) -> Tensor:
        self.steps.append(frame)
        return super().step(frame, attention, max_tokens)

    def passed_ids(self) -> list[int]:
        """Ids behind the embeddings; the video token's where the adapter says so."""
        table = self.hf_model.get_input_embeddings().weight
        embeds = torch.cat([frame.embeds[0] for frame in self.steps])
        visual = torch.cat([visual_of(frame) for frame in self.steps])
        found = (embeds[:, None] == table).all(-1)
        assert (found.any(-1) != visual).all()
        ids = found.int().argmax(-1)
        return ids.where(~visual, self.hf_model.config.video_token_id).tolist()

    def passed_positions(self) -> Tensor:
        return torch.cat([frame.positions for frame in self.steps], -1)


@cache
def loaded(dtype: torch.dtype, kind: str) -> tuple[Any, Any]:
    return tiny_qwen3_vl(dtype=dtype, **KINDS[kind])


def adapter(dtype: torch.dtype, planned: int, kind: str = "dense", **options: Any) -> Watched:
    model = Watched(*loaded(dtype, kind), planned_frames=max(planned, 2), **options)
    model.steps = []
    return model


def video(frames: int, seed: int = 0, size: tuple[int, int] = (70, 100)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, *size, 3), generator=generator).to(torch.uint8)


def processed(model: Qwen3VL, frames: Tensor, fps: float = 2.0) -> dict[str, Tensor]:
    """What the installed processor makes of the whole video and the question."""
    processor: Any = model.prompt.processor
    content = [{"type": "video"}, {"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    numbers = list(range(len(frames)))
    if len(frames) == 1:  # which it refuses; so it gets the frame twice, at the same time
        frames, numbers = frames.expand(2, -1, -1, -1), [0, 0]
    inputs = processor(
        text=text,
        videos=[frames.permute(0, 3, 1, 2)],
        video_metadata=[{"fps": fps, "frames_indices": numbers, "total_num_frames": len(frames)}],
        do_sample_frames=False,
        return_tensors="pt",
    )
    pixels = inputs["pixel_values_videos"].to(model.dtype)
    return {**inputs, "pixel_values_videos": pixels}


def stock_logits(model: Any, **inputs: Tensor) -> Tensor:
    assert model.config.get_text_config()._attn_implementation == "sdpa"
    with torch.no_grad():
        return model(**inputs).logits


def stock_positions(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    names = ("input_ids", "mm_token_type_ids", "video_grid_thw")
    return model.model.get_rope_index(**{name: inputs[name] for name in names})[0]


def greedy(model: Any, new: int, **inputs: Tensor) -> list[int]:
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
    ids = model.generate(**inputs, **options)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()


def worst(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got - expected).abs().max())


def require_equal(
    session: VideoSession, model: Watched, inputs: dict[str, Tensor], new: int = 20
) -> None:
    """Logits over the question, ids and positions of the whole prompt, the answer."""
    got = session.question_logits(model.question_ids(QUESTION))
    expected = stock_logits(model.hf_model, **inputs)[:, -got.shape[1] :]
    assert worst(got, expected) <= TOLERANCES[model.dtype]
    assert model.passed_ids() == inputs["input_ids"][0].tolist()
    assert torch.equal(model.passed_positions(), stock_positions(model.hf_model, inputs))
    answer = session.ask(QUESTION, max_new_tokens=new, min_new_tokens=new)
    assert answer.token_ids.tolist() == greedy(model.hf_model, new, **inputs)
    assert worst(answer.first_logits, expected[0, -1]) <= TOLERANCES[model.dtype]


@pytest.mark.parametrize(
    ("kind", "count"),
    [("dense", count) for count in (1, 2, 3, 4, 5)] + [("tied", 3), ("experts", 5)],
)
@DTYPES
def test_frame_by_frame_equals_the_stock_model_and_its_answer(dtype, count, kind):
    model, frames = adapter(dtype, count, kind), video(count)
    session = VideoSession(model, FullMemory())
    for number, frame in enumerate(frames):
        session.push(frame, number / 2.0)
    require_equal(session, model, processed(model, frames))


def cuts(count: int) -> st.SearchStrategy[list[int]]:
    """Sizes of consecutive runs that hold `count` frames."""
    marks = st.sets(st.integers(1, max(count - 1, 1)))
    ends = marks.map(lambda inner: [0, *sorted(inner & set(range(1, count))), count])
    return ends.map(lambda e: [b - a for a, b in pairwise(e)])


@given(data=st.data())
@settings(max_examples=15)
def test_any_cut_of_any_video_equals_the_stock_model(data):
    def draw(values: Any) -> Any:
        return data.draw(st.sampled_from(list(values)))

    count, dtype = data.draw(st.integers(1, 12)), draw(TOLERANCES)
    model, fps = adapter(dtype, count), draw([0.3, 1.0, 2.0, 29.97])
    frames = video(count, data.draw(st.integers(0, 99)), draw(SIZES))
    session = VideoSession(model, draw(UNBOUNDED), frames_per_step=draw([1, 2, 3]))
    first = 0
    for size in data.draw(cuts(count)):
        numbers = range(first, first + size)
        session.push(frames[first : first + size], [number / fps for number in numbers])
        first += size
    require_equal(session, model, processed(model, frames, fps), new=2)


@pytest.mark.parametrize("count", [2, 5])
def test_the_releases_layout_equals_a_forward_without_the_outer_markers(count):
    model, frames = adapter(torch.float64, count, layout="release"), video(count)
    session = VideoSession(model, FullMemory())
    session.push(frames, [number / 2.0 for number in range(count)])
    inputs = processed(model, frames)
    ids = inputs["input_ids"]
    for name in ("input_ids", "mm_token_type_ids", "attention_mask"):
        inputs[name] = without_outer_markers(model, ids, inputs[name])
    require_equal(session, model, inputs)


def without_outer_markers(model: Qwen3VL, ids: Tensor, values: Tensor) -> Tensor:
    processor: Any = model.prompt.processor
    first = (ids[0] == processor.vision_start_token_id).nonzero()[0].item()
    last = (ids[0] == processor.vision_end_token_id).nonzero()[-1].item()
    kept = [place for place in range(ids.shape[1]) if place not in (first, last)]
    assert len(kept) == ids.shape[1] - 2
    return values[:, kept]


def test_pictures_and_their_order_are_part_of_the_comparison():
    model, frames = adapter(torch.float64, 4), video(4)
    expected = stock_logits(model.hf_model, **processed(model, frames))
    for changed in (frames.flip(0), frames.clone().fill_(7)):
        session = VideoSession(model, FullMemory())
        session.push(changed, [0.0, 0.5, 1.0, 1.5])
        got = session.question_logits(model.question_ids(QUESTION))
        assert worst(got, expected[:, -got.shape[1] :]) > 0.1


def test_the_stock_model_may_have_answered_before():
    model, frames = adapter(torch.float64, 5), video(5)
    inputs = processed(model, frames)
    expected = greedy(model.hf_model, 20, **inputs)
    assert model.hf_model.model.rope_deltas is not None  # what stock `generate` leaves behind
    session = VideoSession(model, FullMemory())
    session.push(frames, [number / 2.0 for number in range(5)])
    for _ in range(2):
        answer = session.ask(QUESTION, max_new_tokens=20, min_new_tokens=20)
        assert answer.token_ids.tolist() == expected
    assert greedy(model.hf_model, 20, **inputs) == expected


def test_these_are_the_native_classes():
    model, processor = loaded(torch.float64, "dense")
    assert type(model) is transformers.Qwen3VLForConditionalGeneration
    assert type(processor) is transformers.Qwen3VLProcessor
    assert type(processor.video_processor) is transformers.Qwen3VLVideoProcessor
