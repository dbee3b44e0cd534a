"""Qwen2.5-VL: streaming equals one stock forward of what the installed processor makes."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from crossframe.framework import CrossFrameMemory, Cursor, FrameTokens, FullMemory, VideoSession
from crossframe.methods import (
    RecencyMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)
from crossframe.models import load_model
from crossframe.models.qwen2_5_vl import Qwen2_5VL
from crossframe.models.tiny import tiny_internvl, tiny_qwen2
from crossframe.models.tiny_qwen2_5_vl import save_tiny_qwen2_5_vl, tiny_qwen2_5_vl

UNBOUNDED: list[CrossFrameMemory] = [
    FullMemory(),
    StateKVMemory(None),
    RecencyMemory(None),
    SlidingWindowMemory(None),
    TokenDroppingMemory(ratio=0.0),
]
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
KINDS: dict[str, dict[str, Any]] = {
    "untied": {},
    "tied": {"tie_word_embeddings": True, "hidden": 112, "heads": 7, "kv_heads": 1, "layers": 3},
}
SIZES = [(70, 100), (100, 70), (20, 31), (64, 200)]
RATES = [0.1, 0.3, 1.0, 2.0, 3.0, 29.97]
QUESTION = "What happens in this video?"


class Watched(Qwen2_5VL):
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


def visual_of(frame: FrameTokens) -> Tensor:
    """[tokens] bool; a question's tokens are none of them."""
    return torch.zeros(frame.num_tokens).bool() if frame.visual is None else frame.visual[0]


@cache
def loaded(dtype: torch.dtype = torch.float64, kind: str = "untied") -> tuple[Any, Any]:
    return tiny_qwen2_5_vl(dtype=dtype, **KINDS[kind])


def adapter(dtype: torch.dtype = torch.float64, kind: str = "untied", **options: Any) -> Watched:
    model = Watched(*loaded(dtype, kind), **options)
    model.steps = []
    return model


def video(frames: int, seed: int = 0, size: tuple[int, int] = (70, 100)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, *size, 3), generator=generator).to(torch.uint8)


def processed(model: Qwen2_5VL, frames: Tensor, question: str = QUESTION) -> dict[str, Tensor]:
    """What the installed processor makes of the whole video and the question."""
    processor, count = model.processor, len(frames)
    content = [{"type": "video"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    times = {"fps": model.fps, "frames_indices": list(range(count)), "total_num_frames": count}
    inputs = processor(
        text=text,
        videos=[frames.permute(0, 3, 1, 2)],
        video_metadata=[times],
        do_sample_frames=False,
        return_tensors="pt",
    )
    inputs["pixel_values_videos"] = inputs["pixel_values_videos"].to(model.dtype)
    return {name: value for name, value in inputs.items() if isinstance(value, Tensor)}


def stock_logits(model: Any, **inputs: Tensor) -> Tensor:
    assert model.config.get_text_config()._attn_implementation == "sdpa"
    with torch.no_grad():
        return model(**inputs).logits


def stock_positions(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    names = ("input_ids", "mm_token_type_ids", "video_grid_thw", "second_per_grid_ts")
    return model.model.get_rope_index(**{name: inputs[name] for name in names})[0]


def greedy(model: Any, new: int, **inputs: Tensor) -> list[int]:
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
    return model.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :].tolist()


def worst(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got - expected).abs().max())


def session_after(*pushes: object, model: Qwen2_5VL | None = None) -> VideoSession:
    session = VideoSession(model or adapter(), FullMemory())
    for frames in pushes:
        session.push(frames)
    return session


def asked(session: VideoSession) -> Tensor:
    return session.question_logits(session.model.question_ids(QUESTION))


def require_equal(
    session: VideoSession, model: Watched, inputs: dict[str, Tensor], new: int = 20
) -> None:
    """Logits over the question, ids and positions of the whole prompt, the answer."""
    got = asked(session)
    expected = stock_logits(model.hf_model, **inputs)[:, -got.shape[1] :]
    assert worst(got, expected) <= TOLERANCES[model.dtype]
    assert model.passed_ids() == inputs["input_ids"][0].tolist()
    positions = torch.cat([frame.positions for frame in model.steps], -1)
    assert torch.equal(positions, stock_positions(model.hf_model, inputs))
    answer = session.ask(QUESTION, max_new_tokens=new, min_new_tokens=new)
    assert answer.token_ids.tolist() == greedy(model.hf_model, new, **inputs)
    assert worst(answer.first_logits, expected[0, -1]) <= TOLERANCES[model.dtype]


# Parity


@pytest.mark.parametrize("memory", UNBOUNDED, ids=lambda memory: type(memory).__name__)
@pytest.mark.parametrize("kind", KINDS)
@DTYPES
def test_frame_by_frame_equals_the_stock_model_and_its_answer(dtype, kind, memory):
    model, frames = adapter(dtype, kind), video(5)
    session = VideoSession(model, memory)
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

    model, count = adapter(draw(TOLERANCES), fps=draw(RATES)), data.draw(st.integers(1, 9))
    frames = video(count, data.draw(st.integers(0, 99)), draw(SIZES))
    session = VideoSession(model, draw(UNBOUNDED), frames_per_step=draw([1, 2, 3]))
    for part in frames.split(data.draw(cuts(count))):
        session.push(part)
    require_equal(session, model, processed(model, frames), new=2)


def test_pictures_their_order_and_rate_are_part_of_the_comparison():
    model, frames = adapter(), video(4)
    expected = stock_logits(model.hf_model, **processed(model, frames))
    others = [session_after(frames.flip(0)), session_after(frames.clone().fill_(7))]
    for session in [*others, session_after(frames, model=adapter(fps=0.5))]:
        got = asked(session)
        assert worst(got, expected[:, -got.shape[1] :]) > 0.05


def test_these_are_the_native_classes():
    model, processor = loaded()
    assert type(model) is transformers.Qwen2_5_VLForConditionalGeneration
    assert type(processor) is transformers.Qwen2_5_VLProcessor
    assert type(processor.video_processor) is transformers.Qwen2VLVideoProcessor


# Positions in time


@pytest.mark.parametrize("fps", RATES)
def test_times_of_a_long_video_are_the_stock_models(fps):
    model, frames = adapter(fps=fps), video(2)
    inputs = processed(model, frames.repeat(30, 1, 1, 1))
    expected = stock_positions(model.hf_model, inputs)
    session = VideoSession(model, StateKVMemory(4))
    for _ in range(30):
        session.push(frames)
    asked(session)
    assert torch.equal(torch.cat([step.positions for step in model.steps], -1), expected)


def test_text_goes_on_behind_the_rows_and_columns():
    model = adapter(fps=0.1)  # 80 positions in time between two patches
    session = session_after(video(6), model=model)
    start = session.cursor.tokens - 3 * 8
    assert session.cursor.position == start + 4
    assert int(session.archive.columns["positions"].view().max()) == start + 160
    found = session.slots(0)
    times = [int(found.positions[0][found.frame == number].max()) for number in range(3)]
    assert times == [start, start + 80, start + 160]


def test_the_answer_goes_on_behind_the_question_in_slow_videos():
    model, frames = adapter(fps=0.1), video(6)
    inputs = processed(model, frames)
    options: Any = {"max_new_tokens": 5, "min_new_tokens": 5}
    stock = model.hf_model.generate(
        **inputs, **options, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    seen: list[Tensor] = []
    handle = model.hf_model.lm_head.register_forward_hook(
        lambda module, args, output: seen.append(output[0, -1])
    )
    try:
        session_after(frames, model=model).ask(QUESTION, **options)
    finally:
        handle.remove()
    for got, expected in zip(seen, stock.logits, strict=True):  # which `generate` rounds
        assert worst(got.float(), expected[0]) <= 1e-5


def test_timestamps_travel_along_and_place_nothing():
    session, timed = session_after(video(3)), session_after()
    timed.push(video(3), [0.0, 5.0, 5.5])
    assert torch.equal(asked(session), asked(timed))
    with torch.no_grad():
        model = adapter()
        prompt = model.prologue(Cursor())
        assert prompt is not None
        cursor = Cursor(prompt.num_tokens, 0, prompt.num_tokens)
        patch = model.encode(video(2), [1.5, 2.0], cursor)
    assert patch.timestamp == 1.5
    assert patch.take(torch.tensor([0])).next_position == patch.next_position


@pytest.mark.parametrize("fps", [0, -1.0, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused(fps):
    with pytest.raises(ValueError, match="fps must be a number of frames per second above 0"):
        adapter(fps=fps)


# Streams


def test_a_waiting_frame_is_asked_about_and_changes_nothing():
    session = session_after(video(5))
    assert (session.cursor.frames, len(session.state.pending)) == (2, 1)
    before = session.cursor
    assert torch.equal(asked(session), asked(session))
    assert session.cursor == before
    session.push(video(6)[5])
    assert torch.equal(asked(session), asked(session_after(video(6))))


@pytest.mark.parametrize("size", [(100, 120), (20, 31), (300, 40)])
def test_a_patch_of_another_size_is_refused(size):
    session = session_after(video(4))
    with pytest.raises(ValueError, match=r"the 2 temporal patches before them .* to one size"):
        session.push(video(2, size=size))
    session.push(video(6)[4:])
    assert torch.equal(asked(session), asked(session_after(video(6))))


def test_forks_and_saved_sessions_go_on_as_if_nothing_had_happened(tmp_path):
    frames, file = video(7), Path(tmp_path) / "stream"
    expected = asked(session_after(frames))
    session = session_after(frames[:3])
    session.save(file)
    for other in (session.fork(), VideoSession.load(file, adapter())):
        other.push(frames[3:])
        assert torch.equal(asked(other), expected)


def test_nothing_is_left_on_the_model(fingerprint):
    model = Qwen2_5VL(*tiny_qwen2_5_vl())
    before = fingerprint(model)
    session = VideoSession(model, StateKVMemory(9))
    session.push(video(5))
    session.ask(QUESTION, max_new_tokens=3)
    assert fingerprint(model) == before
    assert model.hf_model.model.rope_deltas is None


# Frames and text


def test_kinds_of_images_are_one_and_the_same():
    frames = video(2)
    expected = asked(session_after(frames))
    pil = [Image.fromarray(frame.numpy()) for frame in frames]
    alpha = torch.cat([frames, torch.full_like(frames[..., :1], 7)], -1)
    for kind in (frames.numpy(), list(frames), pil, [pil[0], frames[1].numpy()], alpha):
        assert torch.equal(asked(session_after(kind)), expected)
    gray = frames[..., :1]
    colours = session_after(gray.expand(-1, -1, -1, 3).contiguous())
    assert torch.equal(asked(session_after(gray)), asked(colours))
    with pytest.raises(ValueError, match=r"must be \[frames, height, width, 3\]"):
        session_after(np.zeros((40, 60), np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (1, 199), (2160, 3840)])
def test_frames_of_any_size_pass(size):
    session = session_after(video(1, size=size))
    assert session.ask("What?", max_new_tokens=2).first_logits.isfinite().all()


@pytest.mark.parametrize("question", ["", "What?", " a\n\nb", "It's 'ein' Bär: <b>?\n"])
def test_the_question_has_the_processors_ids(question):
    model = adapter()
    expected = processed(model, video(2), question)["input_ids"][0].tolist()
    ids = model.question_ids(question)[0].tolist()
    assert expected[-len(ids) :] == ids
    assert len(expected) == session_after(video(2)).cursor.tokens + len(ids)
    assert model.text(torch.tensor(ids[:1])) == ""  # the closing vision marker


@pytest.mark.parametrize("token", ["<|video_pad|>", "<|image_pad|>"])
def test_a_question_may_not_stand_for_pictures(token):
    with pytest.raises(ValueError, match="which stands for pictures"):
        session_after(video(1)).ask(f"What is in {token}?")


# What does not belong together


def test_another_model_class_or_processor_is_refused():
    model, processor = loaded()
    wrong: list[Any] = [tiny_qwen2(), tiny_internvl()[0], model.model]
    for other in wrong:
        with pytest.raises(ValueError, match=f"got {type(other).__name__}; use load_model"):
            Qwen2_5VL(other, processor)
    wrong = [None, processor.tokenizer, tiny_internvl()[1]]
    for other in wrong:
        with pytest.raises(ValueError, match=f"Qwen2_5_VLProcessor, got {type(other).__name__}"):
            Qwen2_5VL(model, other)


def test_a_processor_of_another_checkpoint_is_refused():
    model, processor = tiny_qwen2_5_vl()
    template = processor.chat_template
    processor.chat_template = "{{ messages[0].content[-1].text }}"
    with pytest.raises(ValueError, match="puts no video token with the model's id"):
        Qwen2_5VL(model, processor)
    processor.chat_template = template
    model.config.video_token_id = 7
    with pytest.raises(ValueError, match="puts no video token with the model's id 7"):
        Qwen2_5VL(model, processor)


@pytest.mark.parametrize("options", [{}, {"tie_word_embeddings": True}], ids=str)
def test_a_loaded_model_answers_like_the_saved_one(tmp_path, options):
    folder = save_tiny_qwen2_5_vl(tmp_path, **options)
    read = load_model(folder, device="cpu", fps=1.0)
    assert isinstance(read, Qwen2_5VL)
    assert type(read.processor) is transformers.Qwen2_5_VLProcessor
    written = Qwen2_5VL(*tiny_qwen2_5_vl(**options), fps=1.0)
    answers = [
        session_after(video(3), model=model).ask("What happens?", max_new_tokens=5)
        for model in (read, written)
    ]
    assert answers[0].text == answers[1].text
    assert worst(answers[0].first_logits, answers[1].first_logits) <= 1e-4
