"""LLaVA-OneVision: the newline behind all frames, tokens per frame."""

from typing import Any

import pytest
import torch
import transformers

from crossframe.framework import Cursor
from crossframe.models.llava_onevision import LlavaOnevision
from crossframe.models.tiny import (
    tiny_llava_onevision,
    tiny_llava_onevision_processor,
)

from ..every import NATIVE
from .stock import decoded_alike, processed, stock_logits, worst
from .streams import QUESTION, asked, session_after, video

adapter = NATIVE["llava_onevision"].model


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
    session = session_after(model, frames[:2])
    for count in (3, 5):
        first = session.ask(QUESTION, max_new_tokens=3, min_new_tokens=3)
        again = session.ask(QUESTION, max_new_tokens=3, min_new_tokens=3)
        assert torch.equal(first.first_logits, again.first_logits)
        session.push(frames[session.cursor.frames : count])
        inputs, got = processed(model, frames[:count]), asked(session)
        assert worst(got[0, -1], stock_logits(model.hf_model, **inputs)[0, -1]) <= 1e-9
        assert session.cursor.tokens == inputs["input_ids"].shape[1] - got.shape[1]


def test_only_the_question_is_embedded_anew():
    """A generated video token keeps its plain embedding, as in the stock model."""
    model, frames = adapter(), video(2)
    inputs, video_id = processed(model, frames), model.hf_model.config.video_token_id
    others = [i for i in range(model.spec.vocab) if i != video_id]
    options: Any = {"max_new_tokens": 4, "min_new_tokens": 4, "suppress_tokens": others}
    assert decoded_alike(session_after(model, frames), inputs, options) == [video_id] * 4


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
    assert LlavaOnevision(model, processor).tokens_per_frame == 196


# What does not belong together


def test_a_processor_of_another_frame_size_is_refused():
    model, _ = NATIVE["llava_onevision"].loaded()
    with pytest.raises(ValueError, match="frames of 56 x 56 pixels, the model takes 42 x 42"):
        LlavaOnevision(model, tiny_llava_onevision_processor(image_size=56))


def test_a_tiny_frame_must_hold_whole_patches():
    with pytest.raises(ValueError, match="image_size=50 is not a multiple of 14"):
        tiny_llava_onevision_processor(image_size=50)
