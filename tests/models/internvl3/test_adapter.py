"""The InternVL3 adapter: prompt, pixels and features as the installed processor has them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import InternVLConfig, InternVLForConditionalGeneration

from crossframe.framework import Cursor, DecoderSpec, FrameTokens
from crossframe.models import InternVL3
from crossframe.models.hf import spec_of
from crossframe.models.paper_models import SIZES, paper_config
from crossframe.models.tiny import tiny_internvl, tiny_processor

from ...every import FAMILIES
from ..stock import processed, worst
from ..streams import asked, session_after, video

adapter = FAMILIES["internvl3"].model


def texts(model: Any, *frames: FrameTokens) -> list[str]:
    return [str(model.processor.decode(model.ids_of(frame))) for frame in frames]


# The prompt


def test_the_chat_layout_has_the_processors_ids_past_frame_ten():
    model, frames = adapter(), video(13)
    asked(session_after(model, frames))
    expected = processed(model, frames)["input_ids"][0].tolist()
    assert model.passed_ids().tolist() == expected
    assert texts(model, model.steps[11]) == ["\nFrame11: <img>" + "<IMG_CONTEXT>" * 4 + "</img>"]


def test_the_prologue_is_the_chat_prefix_and_belongs_to_no_frame():
    model = adapter()
    prologue = model.prologue(Cursor())
    assert texts(model, prologue) == ["<|im_start|>user\n"]
    session = session_after(model, video(2))
    frame_numbers = session.slots(0).frame[0, 0].tolist()
    assert frame_numbers[: prologue.num_tokens] == [-1] * prologue.num_tokens
    assert sorted(set(frame_numbers)) == [-1, 0, 1]
    assert session.slots(0).visual[0, 0].sum() == 2 * 4


def test_the_video_first_layout_is_the_releases():
    model = adapter(layout="video_first")
    assert model.prologue(Cursor()) is None
    session_after(model, video(12))
    expected = "<img>" + "<IMG_CONTEXT>" * 4 + "</img>\n"
    assert texts(model, *model.steps) == [expected] * 12
    for part in model.steps:
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


def test_layouts_give_different_streams_and_both_answer():
    answers = []
    for layout in ("chat", "video_first"):
        session = session_after(adapter(layout=layout), video(3))
        answers.append(session.ask("What happens?", max_new_tokens=3).first_logits)
    assert not torch.equal(answers[0], answers[1])


# Pixels and features


def test_features_of_single_frames_equal_the_batched_processors():
    model, frames = adapter(), video(5)
    pixels = processed(model, frames)["pixel_values"]
    with torch.no_grad():
        batched = model.hf_model.model.get_image_features(pixels, return_dict=True).pooler_output
    session_after(model, frames)
    for part, expected in zip(model.steps[1:], batched, strict=True):
        assert (part.embeds[part.visual] - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("per_step", [1, 3])
def test_a_batch_of_frames_in_one_push_equals_single_pushes(per_step):
    together = session_after(adapter(), video(5), frames_per_step=per_step)
    parts = video(5).split([2, 1, 2])
    apart = session_after(adapter(), *parts, frames_per_step=per_step)
    assert worst(asked(together), asked(apart)) <= 1e-9


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


# InternVL3.5

# Qwen3's decoders of 0.6B, 8B and 30B-A3B, behind InternViT-300M.
QWEN3 = {
    "1B": ("qwen3", (28, 1024, 3072, 16, 8, 128)),
    "8B": ("qwen3", (36, 4096, 12288, 32, 8, 128)),
    "30B-A3B": ("qwen3_moe", (48, 2048, 6144, 32, 4, 128)),
}
EXPERTS = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}


def config_3_5(family: str, sizes: tuple[int, ...], image_token: int) -> Any:
    text = {"model_type": family, "vocab_size": 151936, "eos_token_id": 151645}
    text |= dict(zip(SIZES, sizes, strict=True)) | (EXPERTS if family == "qwen3_moe" else {})
    vision: Any = paper_config("InternVL3-1B").vision_config
    return InternVLConfig(text_config=text, vision_config=vision, image_token_id=image_token)


@pytest.mark.parametrize(("family", "sizes"), QWEN3.values(), ids=QWEN3)
def test_internvl3_5_has_the_released_sizes(family, sizes):
    layers, hidden, width, *heads = sizes
    width = 8 * 768 if family == "qwen3_moe" else width
    expected = DecoderSpec(layers, hidden, width, *heads, vocab=151936)
    assert spec_of(config_3_5(family, sizes, 3).text_config) == expected


def test_internvl3_5_of_1b_takes_a_frame():
    processor: Any = tiny_processor(image_size=448)
    with torch.device("meta"):
        config = config_3_5(*QWEN3["1B"], processor.image_token_id)
        config.vision_config.num_hidden_layers = 2  # the tower is InternVL3's
        model: Any = InternVLForConditionalGeneration(config).bfloat16().eval()
    session = session_after(InternVL3(model, processor), torch.zeros(1, 448, 448, 3).byte())
    held = session.slots(0)
    assert held.keys.is_meta
    assert held.keys.shape == (1, 8, session.cursor.tokens, 128)
    assert session.cursor.tokens > 256


def test_another_decoder_of_the_tiny_one_is_refused():
    with pytest.raises(ValueError, match=r"one of \('qwen2', 'qwen3', 'qwen3_moe'\), got 'gpt'"):
        tiny_internvl(decoder="gpt")


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
