"""LLaVA-OneVision: streaming equals one stock forward of what the installed processor makes."""

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
from crossframe.models.llava_onevision import LlavaOnevision
from crossframe.models.tiny import tiny_internvl, tiny_qwen2
from crossframe.models.tiny_llava_onevision import (
    save_tiny_llava_onevision,
    tiny_llava_onevision,
    tiny_llava_onevision_processor,
)

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
    "odd side": {},
    "even side": {"image_size": 56},
    "tied": {"tie_word_embeddings": True, "hidden": 56, "heads": 7, "kv_heads": 1, "layers": 3},
}
QUESTION = "What happens in this video?"


class Watched(LlavaOnevision):
    """Notes what passes the decoder."""

    steps: list[FrameTokens]

    def step(self, frame: FrameTokens, attention: Any, max_tokens: int) -> Tensor:
        self.steps.append(frame)
        return super().step(frame, attention, max_tokens)

    def passed_ids(self) -> list[int]:
        """Ids behind the embeddings; the video token's at visual tokens and at the newline."""
        table = self.hf_model.get_input_embeddings().weight
        embeds = torch.cat([frame.embeds[0] for frame in self.steps])
        found = (embeds[:, None] == table).all(-1)
        ids = found.int().argmax(-1)
        return ids.where(found.any(-1), self.hf_model.config.video_token_id).tolist()


@cache
def loaded(dtype: torch.dtype = torch.float64, kind: str = "odd side") -> tuple[Any, Any]:
    return tiny_llava_onevision(dtype=dtype, **KINDS[kind])


def adapter(dtype: torch.dtype = torch.float64, kind: str = "odd side") -> Watched:
    model = Watched(*loaded(dtype, kind))
    model.steps = []
    return model


def video(frames: int, seed: int = 0, size: tuple[int, int] = (40, 60)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, *size, 3), generator=generator).to(torch.uint8)


def processed(model: LlavaOnevision, frames: Tensor, question: str = QUESTION) -> dict[str, Tensor]:
    """What the installed processor makes of the whole video and the question."""
    processor = model.processor
    content = [{"type": "video"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    inputs = processor(text=text, videos=[frames.permute(0, 3, 1, 2)], return_tensors="pt")
    pixels = inputs["pixel_values_videos"].to(model.dtype)
    return {"input_ids": inputs["input_ids"], "pixel_values_videos": pixels}


def stock_logits(model: Any, **inputs: Tensor) -> Tensor:
    assert model.config.get_text_config()._attn_implementation == "sdpa"
    with torch.no_grad():
        return model(**inputs).logits


def greedy(model: Any, new: int, **inputs: Tensor) -> list[int]:
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
    return model.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :].tolist()


def worst(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got - expected).abs().max())


def session_after(*pushes: object, model: LlavaOnevision | None = None) -> VideoSession:
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
    ids = inputs["input_ids"][0].tolist()
    assert model.passed_ids() == ids
    positions = torch.cat([frame.positions for frame in model.steps], -1)
    assert torch.equal(positions, torch.arange(len(ids))[None, None])
    answer = session.ask(QUESTION, max_new_tokens=new, min_new_tokens=new)
    assert answer.token_ids.tolist() == greedy(model.hf_model, new, **inputs)
    assert worst(answer.first_logits, expected[0, -1]) <= TOLERANCES[model.dtype]


# Parity


@pytest.mark.parametrize("memory", UNBOUNDED, ids=lambda memory: type(memory).__name__)
@pytest.mark.parametrize("kind", KINDS)
@DTYPES
def test_frame_by_frame_equals_the_stock_model_and_its_answer(dtype, kind, memory):
    model, frames = adapter(dtype, kind), video(3)
    session = VideoSession(model, memory)
    for frame in frames:
        session.push(frame)
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

    model, count = adapter(draw(TOLERANCES)), data.draw(st.integers(1, 9))
    frames = video(count, data.draw(st.integers(0, 99)), draw([(40, 60), (60, 40), (7, 90)]))
    session = VideoSession(model, draw(UNBOUNDED), frames_per_step=draw([1, 2, 3]))
    for part in frames.split(data.draw(cuts(count))):
        session.push(part)
    require_equal(session, model, processed(model, frames), new=2)


def test_pictures_and_their_order_are_part_of_the_comparison():
    model, frames = adapter(), video(4)
    expected = stock_logits(model.hf_model, **processed(model, frames))
    for changed in (frames.flip(0), frames.clone().fill_(7)):
        got = asked(session_after(changed))
        assert worst(got, expected[:, -got.shape[1] :]) > 0.1


def test_these_are_the_native_classes():
    model, processor = loaded()
    assert type(model) is transformers.LlavaOnevisionForConditionalGeneration
    assert type(processor) is transformers.LlavaOnevisionProcessor
    assert type(processor.video_processor) is transformers.LlavaOnevisionVideoProcessor


# The newline behind all frames


def test_the_newline_is_the_first_token_of_every_question():
    model = adapter()
    video_id = model.hf_model.config.video_token_id
    ids = model.question_ids("What?")
    assert ids[0].tolist().count(video_id) == 1
    text = "<video>\nWhat?<|im_end|><|im_start|>assistant\n"
    assert model.processor.tokenizer.decode(ids[0]) == text
    embeds = model.embed(ids)
    table = model.hf_model.get_input_embeddings()
    assert torch.equal(embeds[0, 0], model.hf_model.model.image_newline)
    assert not torch.equal(embeds[0, 0], table.weight[video_id])
    assert torch.equal(embeds[:, 1:], table(ids[:, 1:]))


def test_the_newline_moves_on_with_the_video():
    model, frames = adapter(), video(5)
    session = session_after(frames[:2])
    for count in (3, 5):
        first = session.ask(QUESTION, max_new_tokens=3, min_new_tokens=3)
        again = session.ask(QUESTION, max_new_tokens=3, min_new_tokens=3)
        assert torch.equal(first.first_logits, again.first_logits)
        session.push(frames[session.cursor.frames : count])
        expected = stock_logits(model.hf_model, **processed(model, frames[:count]))
        assert worst(asked(session)[0, -1], expected[0, -1]) <= 1e-9
        assert (
            session.cursor.tokens
            == len(processed(model, frames[:count])["input_ids"][0]) - asked(session).shape[1]
        )


def test_only_the_question_is_embedded_anew():
    """A generated video token keeps its plain embedding, as in the stock model."""
    model, frames = adapter(), video(2)
    inputs, video_id = processed(model, frames), model.hf_model.config.video_token_id
    others = [i for i in range(model.spec.vocab) if i != video_id]
    options: Any = {"max_new_tokens": 4, "min_new_tokens": 4, "suppress_tokens": others}
    stock = model.hf_model.generate(
        **inputs, **options, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    seen: list[Tensor] = []
    handle = model.hf_model.lm_head.register_forward_hook(
        lambda module, args, output: seen.append(output[0, -1])
    )
    try:
        answer = session_after(frames, model=model).ask(QUESTION, **options)
    finally:
        handle.remove()
    assert answer.token_ids.tolist() == [video_id] * 4
    for got, expected in zip(seen, stock.logits, strict=True):  # which `generate` rounds
        assert worst(got.float(), expected[0]) <= 1e-5


def test_nothing_is_left_on_the_model(fingerprint):
    model = LlavaOnevision(*tiny_llava_onevision())
    stock_logits(model.hf_model, **processed(model, video(1)))  # installs transformers' own hooks
    before = fingerprint(model)
    session = VideoSession(model, StateKVMemory(9))
    session.push(video(3))
    session.ask(QUESTION, max_new_tokens=3)
    assert fingerprint(model) == before
    with pytest.raises(ValueError, match="not used by the model"):
        session.ask(QUESTION, max_new_tokens=3, nonsense=True)
    assert fingerprint(model) == before


# Streams


def test_forks_and_saved_sessions_go_on_as_if_nothing_had_happened(tmp_path):
    frames, file = video(5), Path(tmp_path) / "stream"
    expected = asked(session_after(frames))
    session = session_after(frames[:3])
    session.save(file)
    for other in (session.fork(), VideoSession.load(file, adapter())):
        other.push(frames[3:])
        assert torch.equal(asked(other), expected)


# Frames


@pytest.mark.parametrize(("side", "count"), [(28, 1), (42, 4), (56, 4), (70, 9)])
def test_tokens_per_frame_are_those_of_the_stock_model(side, count):
    model = LlavaOnevision(*tiny_llava_onevision(image_size=side))
    assert model.tokens_per_frame == count
    with torch.no_grad():
        frame = model.encode(video(1), [1.5], Cursor())
    assert frame.num_tokens == count
    assert frame.timestamp == 1.5
    assert frame.visual is not None
    assert frame.visual.all()


def test_frames_of_384_pixels_have_196_tokens():
    config: Any = transformers.LlavaOnevisionConfig()
    config.text_config.update({"num_hidden_layers": 1})
    config.vision_config.update({"num_hidden_layers": 1})
    with torch.device("meta"):
        model = transformers.LlavaOnevisionForConditionalGeneration(config)
    processor: Any = tiny_llava_onevision_processor()
    processor.video_processor = transformers.LlavaOnevisionVideoProcessor()
    processor.video_token_id = config.video_token_id
    processor.tokenizer.encode = lambda *args, **options: [7, config.video_token_id, 8]
    assert LlavaOnevision(model, processor).tokens_per_frame == 196


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


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2160, 3840)])
def test_frames_of_any_size_pass(size):
    session = session_after(video(1, size=size))
    assert session.ask("What?", max_new_tokens=2).first_logits.isfinite().all()


def test_times_do_not_reach_the_model():
    session, timed = session_after(video(3)), session_after()
    timed.push(video(3), [0.0, 5.0, 5.5])
    assert torch.equal(asked(session), asked(timed))


# What does not belong together


@pytest.mark.parametrize("question", ["", "What?", " a\n\nb", "It's 'ein' Bär: <b>?\n"])
def test_the_question_has_the_processors_ids(question):
    model = adapter()
    expected = processed(model, video(2), question)["input_ids"][0].tolist()
    asked_ids = model.question_ids(question)[0].tolist()
    assert expected[-len(asked_ids) :] == asked_ids
    assert len(expected) == session_after(video(2)).cursor.tokens + len(asked_ids)


@pytest.mark.parametrize("token", ["<video>", "<image>"])
def test_a_question_may_not_stand_for_pictures(token):
    with pytest.raises(ValueError, match=f"question contains {token}, which stands for pictures"):
        session_after(video(1)).ask(f"What is in {token}?")


def test_another_model_class_or_processor_is_refused():
    model, processor = loaded()
    wrong: list[Any] = [tiny_qwen2(), tiny_internvl()[0], model.model]
    for other in wrong:
        with pytest.raises(ValueError, match=f"got {type(other).__name__}; use load_model"):
            LlavaOnevision(other, processor)
    wrong = [None, processor.tokenizer, tiny_internvl()[1]]
    for other in wrong:
        with pytest.raises(
            ValueError, match=f"LlavaOnevisionProcessor, got {type(other).__name__}"
        ):
            LlavaOnevision(model, other)


def test_a_processor_of_another_checkpoint_is_refused():
    model, processor = tiny_llava_onevision()
    with pytest.raises(ValueError, match="frames of 56 x 56 pixels, the model takes 42 x 42"):
        LlavaOnevision(model, tiny_llava_onevision_processor(image_size=56))
    processor.chat_template = "{{ messages[0].content[-1].text }}"
    with pytest.raises(ValueError, match="chat template puts no <video> into the prompt"):
        LlavaOnevision(model, processor)
    other: Any = processor
    other.video_token_id = None
    with pytest.raises(ValueError, match=r"'<video>' the id None, the model expects \d+"):
        LlavaOnevision(model, other)


def test_a_tiny_frame_must_hold_whole_patches():
    with pytest.raises(ValueError, match="image_size=50 is not a multiple of 14"):
        tiny_llava_onevision_processor(image_size=50)


@pytest.mark.parametrize("options", [{}, {"tie_word_embeddings": True}], ids=str)
def test_a_loaded_model_answers_like_the_saved_one(tmp_path, options):
    folder = save_tiny_llava_onevision(tmp_path, **options)
    read = load_model(folder, device="cpu")
    assert isinstance(read, LlavaOnevision)
    written = LlavaOnevision(*tiny_llava_onevision(**options))
    assert type(read.processor) is transformers.LlavaOnevisionProcessor
    answers = [
        session_after(video(3), model=model).ask("What happens?", max_new_tokens=5)
        for model in (read, written)
    ]
    assert answers[0].text == answers[1].text
    assert worst(answers[0].first_logits, answers[1].first_logits) <= 1e-4
