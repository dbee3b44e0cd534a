"""The InternVL3 adapter: prompt, pixels and features as the installed processor has them."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from crossframe.framework import Cursor, FrameTokens, FullMemory, VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import InternVL3
from crossframe.models.tiny import tiny_internvl, tiny_qwen2

QUESTIONS = [
    "What happens?",
    "",
    "\nOptions:\n(A) yes\n(B) no",
    "\n\n\nWhat?",
    " leading and trailing \n",
    "早上好 — ¿qué? e\u0301 é 🎬 \ufffc",
    "<|im_end|>\n<|im_start|>user\n",
    "<img></img>",
]


@cache
def adapter(layout: str = "chat") -> InternVL3:
    return InternVL3(*tiny_internvl(dtype=torch.float64), layout=layout)


def video(frames: int, *size: int) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    shape = (frames, *(size or (40, 60)), 3)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def rendered(question: str, with_video: bool) -> str:
    content = [{"type": "text", "text": question}]
    if with_video:
        content.insert(0, {"type": "video"})
    return adapter().processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )


def processed(frames: Tensor, question: str) -> Any:
    text, pictures = rendered(question, True), frames.permute(0, 3, 1, 2)
    return adapter().processor(text=text, videos=[pictures], return_tensors="pt")


def encoded(model: InternVL3, frames: Tensor) -> list[FrameTokens]:
    """Prologue and frames as a session asks for them."""
    found, cursor = [], Cursor()
    prologue = model.prologue(cursor)
    if prologue is not None:
        found.append(prologue)
        cursor = Cursor(tokens=prologue.num_tokens, position=prologue.num_tokens)
    for number, frame in enumerate(frames):
        with torch.no_grad():
            found.append(model.encode(frame[None], [None], cursor))
        after = cursor.tokens + found[-1].num_tokens
        cursor = Cursor(tokens=after, frames=number + 1, position=after)
    return found


def ids_of(model: InternVL3, tokens: FrameTokens) -> list[int]:
    """Ids behind embeddings; those of pictures where the adapter says so."""
    table = model.hf_model.get_input_embeddings().weight
    assert tokens.visual is not None
    return [
        model.processor.image_token_id
        if visual
        else int((table == embedding).all(-1).nonzero().item())
        for embedding, visual in zip(tokens.embeds[0], tokens.visual[0], strict=True)
    ]


def session_after(*pushes: object, memory: Any = None, **options: Any) -> VideoSession:
    session = VideoSession(adapter(), memory or FullMemory(), **options)
    for frames in pushes:
        session.push(frames)
    return session


def same(first: VideoSession, second: VideoSession) -> bool:
    asked = adapter().question_ids("What happens?")
    return torch.equal(first.question_logits(asked), second.question_logits(asked))


# The prompt


def test_the_chat_layout_has_the_processors_ids_past_frame_ten():
    model, frames = adapter(), video(13)
    parts = encoded(model, frames)
    ids = [token for part in parts for token in ids_of(model, part)]
    expected = processed(frames, "What happens?")["input_ids"][0].tolist()
    assert ids + model.question_ids("What happens?")[0].tolist() == expected
    text = model.processor.decode(ids_of(model, parts[11]))
    assert text == "\nFrame11: <img>" + "<IMG_CONTEXT>" * 4 + "</img>"


def test_the_prologue_is_the_chat_prefix_and_belongs_to_no_frame():
    model = adapter()
    prologue = model.prologue(Cursor())
    assert prologue is not None
    assert model.processor.decode(ids_of(model, prologue)) == "<|im_start|>user\n"
    session = session_after(video(2))
    frame_numbers = session.slots(0).frame[0, 0].tolist()
    assert frame_numbers[: prologue.num_tokens] == [-1] * prologue.num_tokens
    assert sorted(set(frame_numbers)) == [-1, 0, 1]
    assert session.slots(0).visual[0, 0].sum() == 2 * 4


def test_the_video_first_layout_is_the_releases():
    model, frames = adapter("video_first"), video(12)
    assert model.prologue(Cursor()) is None
    expected = "<img>" + "<IMG_CONTEXT>" * 4 + "</img>\n"
    parts = encoded(model, frames)
    assert len(parts) == 12
    for part in parts:
        assert part.num_tokens == 4 + 3
        assert model.processor.decode(ids_of(model, part)) == expected
        assert part.visual is not None
        assert part.visual[0].tolist() == [False, True, True, True, True, False, False]
    asked = model.question_ids("What?")[0].tolist()
    assert model.processor.decode(asked) == rendered("What?", False)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_question_has_the_processors_ids(question):
    expected = processed(video(2), question)["input_ids"][0].tolist()
    asked = adapter().question_ids(question)
    assert asked.shape[0] == 1
    before = [token for part in encoded(adapter(), video(2)) for token in ids_of(adapter(), part)]
    assert before + asked[0].tolist() == expected


@given(question=st.text().filter(lambda text: "<video>" not in text))
def test_any_text_has_the_processors_ids(question):
    asked = adapter().question_ids(question)[0].tolist()
    expected = processed(video(1), question)["input_ids"][0].tolist()
    assert expected[-len(asked) :] == asked


@pytest.mark.parametrize("layout", ["chat", "video_first"])
@pytest.mark.parametrize("token", ["<video>", "<IMG_CONTEXT>"])
def test_a_question_may_not_stand_for_pictures(token, layout):
    session = VideoSession(adapter(layout), FullMemory())
    session.push(video(1))
    with pytest.raises(ValueError, match=f"question contains {token}.*take it out"):
        session.ask(f"What is in {token}?")


def test_layouts_give_different_streams_and_both_answer():
    answers = []
    for layout in ("chat", "video_first"):
        session = VideoSession(adapter(layout), FullMemory())
        session.push(video(3))
        answers.append(session.ask("What happens?", max_new_tokens=3).first_logits)
    assert not torch.equal(answers[0], answers[1])


# Pixels and features


def test_features_of_single_frames_equal_the_batched_processors():
    model, frames = adapter(), video(5)
    pixels = processed(frames, "")["pixel_values"].to(model.dtype)
    with torch.no_grad():
        batched = model.hf_model.model.get_image_features(pixels, return_dict=True).pooler_output
    for part, expected in zip(encoded(model, frames)[1:], batched, strict=True):
        assert part.visual is not None
        assert (part.embeds[part.visual] - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("per_step", [1, 3])
def test_a_batch_of_frames_in_one_push_equals_single_pushes(per_step):
    together = session_after(video(5), frames_per_step=per_step)
    apart = session_after(*video(5).split([2, 1, 2]), frames_per_step=per_step)
    asked = adapter().question_ids("What happens?")
    difference = together.question_logits(asked) - apart.question_logits(asked)
    assert difference.abs().max() <= 1e-9


@pytest.mark.parametrize("size", [(56, 56), (1, 1), (1, 300), (301, 17), (720, 1280)])
def test_frames_of_any_size_become_one_tile(size):
    session = session_after(video(2, *size))
    assert session.slots(0).visual[0, 0].sum() == 2 * 4
    assert session.ask("What?", max_new_tokens=2).first_logits.isfinite().all()


def test_the_size_may_change_inside_a_stream():
    sizes = [video(1, 30, 40), video(1, 50, 20), video(1, 56, 56)]
    assert session_after(*sizes).cursor == session_after([p[0] for p in sizes]).cursor


def test_kinds_of_images_are_one_and_the_same():
    frames = video(2)
    expected = session_after(frames)
    pil = [Image.fromarray(frame.numpy()) for frame in frames]
    alpha = torch.cat([frames, torch.full_like(frames[..., :1], 7)], -1)
    for kind in (frames.numpy(), list(frames), pil, [pil[0], frames[1].numpy()], alpha):
        assert same(session_after(kind), expected)
    assert same(session_after(frames[0], pil[1]), expected)


def test_gray_is_repeated_over_the_colours():
    gray = video(1)[..., :1]
    expected = session_after(gray.expand(-1, -1, -1, 3).contiguous())
    assert same(session_after(gray), expected)
    assert same(session_after(Image.fromarray(gray[0, ..., 0].numpy())), expected)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((40, 60), np.uint8), r"must be \[frames, height, width, 3\].*\(40, 60\)"),
        (torch.rand(1, 40, 60, 3), "must be uint8 .* got torch.float32"),
        (video(2).permute(0, 3, 1, 2), r"got shape \(2, 3, 40, 60\)"),
        (torch.zeros(1, 0, 60, 3, dtype=torch.uint8), "no pixels"),
        ([], "no frames"),
        ("video.mp4", "got str"),
    ],
)
def test_what_is_no_image_is_refused_and_the_session_goes_on(frames, words):
    session = session_after(video(1))
    with pytest.raises(ValueError, match=words):
        session.push(frames)
    session.push(video(2))
    assert same(session, session_after(video(1), video(2)))


def test_timestamps_are_optional_and_do_not_change_the_prompt():
    session = VideoSession(adapter(), StateKVMemory(9))
    session.push(video(2), timestamps=[0.0, 0.5])
    session.push(video(1))
    assert same(session, session_after(video(2), video(1), memory=StateKVMemory(9)))
    with pytest.raises(ValueError, match="2 frames came with 1 timestamps"):
        session.push(video(2), timestamps=[3.0])


# What does not belong together


def test_another_model_class_is_refused():
    model, processor = tiny_internvl()
    wrong: list[Any] = [tiny_qwen2(), model.model]
    for other in wrong:
        with pytest.raises(ValueError, match=f"got {type(other).__name__}; use load_model"):
            InternVL3(other, processor)


def test_another_processor_is_refused():
    model, processor = tiny_internvl()
    wrong: list[Any] = [None, processor.tokenizer, processor.video_processor]
    for other in wrong:
        with pytest.raises(ValueError, match=f"InternVLProcessor .* got {type(other).__name__}"):
            InternVL3(model, other)


def test_a_tokenizer_with_other_ids_is_refused():
    model, processor = tiny_internvl()
    processor.image_token_id = 5
    with pytest.raises(ValueError, match=r"<IMG_CONTEXT>' the id 5.*processor of the same"):
        InternVL3(model, processor)


def test_a_chat_template_without_the_video_is_refused():
    model, processor = tiny_internvl()
    processor.chat_template = "{{ messages[0].content[-1].text }}"
    with pytest.raises(ValueError, match="puts no <video> into the prompt"):
        InternVL3(model, processor)


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match=r"one of \('chat', 'video_first'\), got 'vertical'"):
        InternVL3(*tiny_internvl(), layout="vertical")


@pytest.mark.parametrize(("image_size", "per_frame"), [(28, 1), (112, 16), (448, 256)])
def test_the_video_first_layout_adds_three_tokens_at_every_size(image_size, per_frame):
    model = InternVL3(*tiny_internvl(image_size=image_size), layout="video_first")
    session = VideoSession(model, FullMemory())
    session.push(video(2))
    assert session.slots(0).visual[0, 0].sum() == 2 * per_frame
    assert session.cursor.tokens == 2 * (per_frame + 3)
