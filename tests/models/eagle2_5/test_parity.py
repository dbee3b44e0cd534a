"""Eagle2.5 streamed equals Eagle2.5 in one go: features, logits, answers, FLOPs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import FullMemory, VideoSession
from crossframe.framework.flops import VisionSpec
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import StateKVMemory
from crossframe.models.eagle2_5.adapter import Eagle2_5
from crossframe.models.eagle2_5.modules import (
    VISION_PIXELS,
    Eagle2_5Config,
    Eagle2_5ForConditionalGeneration,
)
from crossframe.models.eagle2_5.processing import Eagle2_5Processor
from crossframe.models.tiny import tiny_tokenizer

from ...every import FAMILIES
from ..stock import require_equal, worst
from ..streams import DTYPES, QUESTION, asked, rotary_products, video

TIMES = [0.0, 0.5, 1.0, 1.5]
SECOND = "Frame 2 sample at 0.50s: <img></img>"
KINDS: dict[str, tuple[float | None, list[float | None]]] = {
    "rate and times": (2.0, [0.0, 0.5, 1.0, 1.5, 12.25, 100.0]),
    "times only": (None, [0.0, 0.35, 0.7, 1.05, 1.4, 1.75]),
    "rate only": (0.8533, [None] * 6),
    "neither": (None, [None] * 6),
    "some times": (29.97, [None, 0.5, None, 1.5, 2.0, None]),
}
adapter = FAMILIES["eagle2_5"].model


def pushed(model: Eagle2_5, frames: Tensor, times: Any) -> VideoSession:
    session = VideoSession(model, FullMemory())
    for frame, time in zip(frames, times, strict=True):
        session.push(frame, time)
    return session


# Features


def test_visual_tokens_are_tower_shuffle_connector():
    model, _ = FAMILIES["eagle2_5"].loaded()
    pixels = torch.randn(3, 3, 56, 56, dtype=torch.float64)
    with torch.no_grad():
        tower = model.vision_model
        hidden = tower.encoder(tower.embeddings(pixels)).last_hidden_state
        hidden = torch.nn.functional.layer_norm(
            hidden, (32,), tower.post_layernorm.weight, tower.post_layernorm.bias, eps=1e-6
        )
        norm, first, _, last = model.mlp1
        merged = torch.stack(
            [hidden.view(3, 4, 4, 32)[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], 3
        ).reshape(3, 4, 128)
        scaled = torch.nn.functional.layer_norm(merged, (128,), norm.weight, norm.bias, eps=1e-5)
        inner = first(scaled)
        expected = last(inner * (1 + torch.erf(inner / 2**0.5)) / 2)
        assert (model.get_image_features(pixels) - expected).abs().max() <= 1e-12


def test_few_frames_pass_the_vision_tower_together():
    assert VISION_PIXELS == 8 * 448**2
    model, seen = adapter(), []
    tower = model.hf_model.vision_model
    handle = tower.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    try:
        pushed(model, video(3), [None] * 3)
        with torch.no_grad():
            model.hf_model.get_image_features(torch.zeros(2 * 512 + 1, 3, 56, 56))
    finally:
        handle.remove()
    assert seen == [1, 1, 1, 512, 512, 1], "8 x 448² pixels are 512 x 56²"


# The model


@pytest.mark.parametrize("kind", KINDS)
@DTYPES
def test_frames_pushed_one_by_one_equal_one_forward_and_its_answer(kind, dtype):
    fps, times = KINDS[kind]
    model, frames = adapter(dtype, fps=fps), video(6)
    session, processor = pushed(model, frames, times), model.processor
    # " Frame" is one token behind the header's colon, and so belongs to the first frame.
    texts = [str(processor.tokenizer.decode(model.ids_of(frame))) for frame in model.steps[:3]]
    assert texts[0] == processor.before_video(fps).removesuffix(" ")
    assert texts[1].startswith(" Frame 1") and texts[2].startswith("Frame 2")
    ids = processor.tokenize(processor.prompt(QUESTION, times, fps))
    inputs = {"input_ids": torch.tensor([ids]), "pixel_values": processor.pixels(frames)}
    require_equal(session, model, inputs)


@pytest.mark.parametrize("per_step", [1, 3])
def test_one_push_equals_single_pushes(per_step):
    model, frames = adapter(fps=2.0), video(4)
    together = VideoSession(model, FullMemory(), frames_per_step=per_step)
    together.push(frames, TIMES)
    assert worst(asked(together), asked(pushed(model, frames, TIMES))) <= 1e-9


def test_pictures_and_times_matter():
    model, frames = adapter(), video(3)
    first = asked(pushed(model, frames, TIMES[:3]))
    for other in (pushed(model, frames.flip(0), TIMES[:3]), pushed(model, frames, TIMES[1:])):
        assert worst(asked(other), first) > 0.1


@pytest.mark.parametrize("memory", [FullMemory(), StateKVMemory(9)], ids=str)
def test_a_push_costs_what_the_cost_model_says(memory):
    model, frames = adapter(), video(3)
    vision = VisionSpec(2, 32, 64, 16, 3 * 14 * 14, projector_hidden=64, projector_out=64)
    session = VideoSession(model, memory)
    session.push(frames[0])
    with flop_counter() as counter:
        session.push(frames[1])
    cost = session.costs[-1]
    beside = vision.flops_per_frame + rotary_products(model, cost.tokens)
    assert counter.get_total_flops() == cost.flops + beside


def test_the_whole_8b_takes_a_frame_on_the_meta_device_at_the_stated_cost():
    processor = Eagle2_5Processor(tiny_tokenizer())
    with torch.device("meta"):
        config = Eagle2_5Config(image_token_index=processor.image_token_id)
        model = Eagle2_5(Eagle2_5ForConditionalGeneration(config).bfloat16(), processor)
    session = VideoSession(model, FullMemory())
    session.push(video(1, (90, 160)), 0.0)
    with flop_counter() as counter:
        session.push(video(1, (90, 160)), 0.5)
    vision = VisionSpec(
        27, 1152, 4304, 1024, 3 * 14 * 14, projector_hidden=3584, projector_out=3584
    )
    rotary = counter.get_total_flops() - session.costs[-1].flops - vision.flops_per_frame
    assert 0 <= rotary <= 2 * 64 * session.costs[-1].tokens  # transformers 5.17 multiplies matrices
    assert session.costs[-1].tokens - 256 == len(model.processor.tokenize(SECOND))
    assert model.spec.kv_bytes_per_token(2) == 57_344


def test_a_prompt_must_fit_its_frames():
    model, processor = FAMILIES["eagle2_5"].loaded()
    inputs = processor(video(2), QUESTION)
    with pytest.raises(ValueError, match="prompt has 8 image tokens, the frames give 4"):
        model(inputs["input_ids"], inputs["pixel_values"][:1])
