"""The InternVL3 adapter: prompt, pixels and features as the installed processor has them."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import Cursor, FrameTokens, VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import InternVL3
from crossframe.models.tiny import tiny_internvl

from ..stock import processed, worst
from ..streams import QUESTION, asked, session_after, video


@cache
def adapter(layout: str = "chat") -> InternVL3:
    return InternVL3(*tiny_internvl(dtype=torch.float64), layout=layout)


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


# The prompt


def test_the_chat_layout_has_the_processors_ids_past_frame_ten():
    model, frames = adapter(), video(13)
    parts = encoded(model, frames)
    ids = [token for part in parts for token in ids_of(model, part)]
    expected = processed(model, frames)["input_ids"][0].tolist()
    assert ids + model.question_ids(QUESTION)[0].tolist() == expected
    text = model.processor.decode(ids_of(model, parts[11]))
    assert text == "\nFrame11: <img>" + "<IMG_CONTEXT>" * 4 + "</img>"


def test_the_prologue_is_the_chat_prefix_and_belongs_to_no_frame():
    model = adapter()
    prologue = model.prologue(Cursor())
    assert prologue is not None
    assert model.processor.decode(ids_of(model, prologue)) == "<|im_start|>user\n"
    session = session_after(model, video(2))
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
    content = [{"type": "text", "text": "What?"}]
    whole = model.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    assert model.processor.decode(model.question_ids("What?")[0]) == whole


def names_no_picture(question: str) -> bool:
    return not any(token in question for token in ("<video>", "<IMG_CONTEXT>"))


@given(question=st.text().filter(names_no_picture))
def test_any_text_has_the_processors_ids(question):
    ids = adapter().question_ids(question)[0].tolist()
    expected = processed(adapter(), video(1), question)["input_ids"][0].tolist()
    assert expected[-len(ids) :] == ids


@pytest.mark.parametrize("token", ["<video>", "<IMG_CONTEXT>"])
def test_a_question_of_the_releases_layout_may_not_stand_for_pictures(token):
    session = session_after(adapter("video_first"), video(1))
    with pytest.raises(ValueError, match=f"question contains {token}.*take it out"):
        session.ask(f"What is in {token}?")


def test_layouts_give_different_streams_and_both_answer():
    answers = []
    for layout in ("chat", "video_first"):
        session = session_after(adapter(layout), video(3))
        answers.append(session.ask("What happens?", max_new_tokens=3).first_logits)
    assert not torch.equal(answers[0], answers[1])


# Pixels and features


def test_features_of_single_frames_equal_the_batched_processors():
    model, frames = adapter(), video(5)
    pixels = processed(model, frames)["pixel_values"]
    with torch.no_grad():
        batched = model.hf_model.model.get_image_features(pixels, return_dict=True).pooler_output
    for part, expected in zip(encoded(model, frames)[1:], batched, strict=True):
        assert part.visual is not None
        assert (part.embeds[part.visual] - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("per_step", [1, 3])
def test_a_batch_of_frames_in_one_push_equals_single_pushes(per_step):
    together = session_after(adapter(), video(5), frames_per_step=per_step)
    parts = video(5).split([2, 1, 2])
    apart = session_after(adapter(), *parts, frames_per_step=per_step)
    assert worst(asked(together), asked(apart)) <= 1e-9


@pytest.mark.parametrize("size", [(56, 56), (1, 1), (1, 300), (301, 17), (720, 1280)])
def test_frames_of_any_size_become_one_tile(size):
    session = session_after(adapter(), video(2, size))
    assert session.slots(0).visual[0, 0].sum() == 2 * 4
    assert session.ask("What?", max_new_tokens=2).first_logits.isfinite().all()


def test_the_size_may_change_inside_a_stream():
    sizes = [video(1, (30, 40)), video(1, (50, 20)), video(1, (56, 56))]
    together = session_after(adapter(), [part[0] for part in sizes])
    assert session_after(adapter(), *sizes).cursor == together.cursor


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((40, 60), np.uint8), r"must be \[frames, height, width, 3\].*\(40, 60\)"),
        (torch.rand(1, 40, 60, 3), "must be uint8 .* got torch.float32"),
        (video(2).permute(0, 3, 1, 2), r"got shape \(2, 3, 70, 100\)"),
        (torch.zeros(1, 0, 60, 3, dtype=torch.uint8), "no pixels"),
        ([], "no frames"),
        ("video.mp4", "got str"),
    ],
)
def test_what_is_no_image_is_refused_and_the_session_goes_on(frames, words):
    session = session_after(adapter(), video(1))
    with pytest.raises(ValueError, match=words):
        session.push(frames)
    session.push(video(2))
    assert torch.equal(asked(session), asked(session_after(adapter(), video(1), video(2))))


def test_timestamps_are_optional_and_do_not_change_the_prompt():
    session = VideoSession(adapter(), StateKVMemory(9))
    session.push(video(2), timestamps=[0.0, 0.5])
    session.push(video(1))
    untimed = session_after(adapter(), video(2), video(1), memory=StateKVMemory(9))
    assert torch.equal(asked(session), asked(untimed))
    with pytest.raises(ValueError, match="2 frames came with 1 timestamps"):
        session.push(video(2), timestamps=[3.0])


# What does not belong together


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match=r"one of \('chat', 'video_first'\), got 'vertical'"):
        InternVL3(*tiny_internvl(), layout="vertical")


@pytest.mark.parametrize(("image_size", "per_frame"), [(28, 1), (112, 16), (448, 256)])
def test_the_video_first_layout_adds_three_tokens_at_every_size(image_size, per_frame):
    model = InternVL3(*tiny_internvl(image_size=image_size), layout="video_first")
    session = session_after(model, video(2))
    assert session.slots(0).visual[0, 0].sum() == 2 * per_frame
    assert session.cursor.tokens == 2 * (per_frame + 3)
