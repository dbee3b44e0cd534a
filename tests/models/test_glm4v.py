"""GLM-4.1V, 4.5V and 4.6V: times, sizes, and keys that are turned in neighbouring pairs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import (
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    Glm4vMoeConfig,
    Glm4vMoeForConditionalGeneration,
)

from crossframe.framework import Cursor, DecoderSpec, VideoSession
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import StateKVMemory
from crossframe.models import GLM4V
from crossframe.models.tiny import tiny_glm4v, tiny_glm4v_processor

from ..every import NATIVE
from .stock import processed, worst
from .streams import asked, patches, rotary_products, session_after, video

FAMILY = NATIVE["glm4v"]


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("", ["0", "1", "2"]),
        ("4.5", ["0", "1", "2"]),
        ("4.6", ["0.0 seconds", "1.3 seconds", "2.7 seconds"]),
    ],
)
def test_the_time_of_a_pairs_first_frame_stands_behind_it(kind, texts):
    model = FAMILY.model(kind=kind).for_stream(6)
    session = session_after(model)
    session.push(video(6), [number / 1.5 for number in range(6)])
    tokenizer = model.prompt.processor.tokenizer
    for patch, text in zip(model.steps[1:], texts, strict=True):
        ids = model.ids_of(patch)[~patch.visual_mask()[0]]
        assert tokenizer.decode(ids) == f"<|begin_of_image|><|end_of_image|>{text}"


def test_without_times_frames_count_as_sampled_at_the_processors_rate():
    model = FAMILY.model(kind="4.6").for_stream(4)
    plain, timed = session_after(model, video(4)), session_after(model)
    timed.push(video(4), [0.0, 0.5, 1.0, 1.5])
    assert torch.equal(asked(plain), asked(timed))


def test_times_for_one_frame_of_a_pair_alone_are_refused():
    with pytest.raises(ValueError, match="give one for every frame of a stream or for none"):
        FAMILY.model().encode(video(2), [0.0, None], Cursor())


@pytest.mark.parametrize("count", [2, 3, 5, 12, 23])
def test_frames_are_sized_for_the_stream(count):
    open_end, frames = FAMILY.model(), video(count)
    assert open_end.sized_by_length
    model = open_end.for_stream(count)
    grid = processed(model, frames, fps=2.0)["video_grid_thw"][0]
    assert model.patch_grid(*frames.shape[1:3]) == (int(grid[1]) // 2, int(grid[2]) // 2)


@pytest.mark.parametrize(("release", "most"), [("4.1", 600), ("4.6", 640)])
def test_an_open_end_is_the_most_that_the_processor_samples(release, most):
    model = GLM4V(*tiny_glm4v(release=release))
    assert model.pixels.planned_frames == most
    with pytest.raises(ValueError, match="planned_frames must be at least 2, got 1"):
        GLM4V(*tiny_glm4v(release=release), planned_frames=1)
    with pytest.raises(ValueError, match=r"release must be '4.1' or '4.6', got '5'"):
        tiny_glm4v_processor(release="5")


def keys_at(model: Any, patch: Any, positions: Tensor) -> Tensor:
    """First-layer keys of a patch standing at other positions, by the decoder itself."""
    found: list[Tensor] = []

    def note(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        found.append(key)
        return torch.zeros_like(query)

    model.step(replace(patch, positions=positions), note, 500)
    return found[0]


@given(moves=st.tuples(*[st.integers(0, 60)] * 3), kind=st.sampled_from(["", "4.5", "4.6", "tied"]))
@settings(max_examples=12)
def test_keys_turned_along_each_axis_equal_keys_computed_there(moves, kind):
    model = FAMILY.model(kind=kind).for_stream(2)
    with torch.no_grad():
        patch = model.encode(video(2), [0.0, 0.5], Cursor())
        delta = torch.tensor(moves)[:, None, None].expand_as(patch.positions)
        before, after = (
            keys_at(model, patch, place) for place in (patch.positions, patch.positions + delta)
        )
        heads = delta[:, :, None].expand(-1, -1, before.shape[1], -1)
        turned = model.rotate(before, heads, 500)
    # The angles themselves are float32, as in transformers.
    assert worst(turned, after) <= 1e-4
    assert torch.equal(turned[..., 8:], before[..., 8:])  # half of a head of 16 is left as it is


def test_the_released_9b_is_taken():
    rope = {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}
    text = {"rope_parameters": rope | {"mrope_section": [8, 12, 12]}}
    processor = tiny_glm4v_processor()
    config = Glm4vConfig(text_config=text, image_token_id=processor.image_token_id)
    with torch.device("meta"):
        stock = Glm4vForConditionalGeneration(config).bfloat16().eval()
    model = GLM4V(stock, processor)
    assert model.spec == DecoderSpec(40, 4096, 13696, 32, 2, 128, 151552)


def test_the_experts_of_the_released_106b_are_counted():
    rope = {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}
    text = {"rope_parameters": rope | {"mrope_section": [8, 12, 12]}, "head_dim": 128}
    processor = tiny_glm4v_processor()
    config = Glm4vMoeConfig(text_config=text, image_token_id=processor.image_token_id)
    with torch.device("meta"):
        stock = Glm4vMoeForConditionalGeneration(config).bfloat16().eval()
    model = GLM4V(stock, processor)
    sizes = DecoderSpec(46, 4096, 9 * 1408, 96, 8, 128, 151424, dense_layers=1)
    assert model.spec == replace(sizes, dense_intermediate=10944)
    linear = sum(one.weight.numel() for one in model.decoder.modules() if type(one) is nn.Linear)
    # Each layer but the first has its shared expert among them, and passes 8 others.
    assert model.spec.linear_parameters == linear + 45 * 8 * 3 * 4096 * 1408


def test_the_counted_cost_of_a_push_is_the_closed_form():
    model = FAMILY.model(kind="4.5").for_stream(4)
    session = VideoSession(model, StateKVMemory(9))
    for frame in patches(model, 1, 2):
        with flop_counter() as counter:
            session.push(frame)
        router = 2 * frame.num_tokens * model.spec.hidden * 4  # of one of the two layers
        beside = rotary_products(model, frame.num_tokens) + router
        assert counter.get_total_flops() - beside == session.costs[-1].flops


def test_shares_of_the_rotary_pairs_that_are_not_all_are_refused():
    model, processor = tiny_glm4v()
    model.config.text_config.rope_parameters["mrope_section"] = [2, 1, 2]
    with pytest.raises(ValueError, match=r"mrope_section=\[2, 1, 2\], .* with the sum 4"):
        GLM4V(model, processor)
