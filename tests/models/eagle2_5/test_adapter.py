"""The Eagle2.5 adapter: prompt, pixels and arithmetic as the released processor and model."""

import os
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from crossframe.models import InternVL3
from crossframe.models.eagle2_5.adapter import Eagle2_5
from crossframe.models.eagle2_5.modules import pixel_shuffle
from crossframe.models.eagle2_5.processing import PICTURES, Eagle2_5Processor
from crossframe.models.tiny import tiny_eagle2_5, tiny_internvl, tiny_tokenizer

from ...every import FAMILIES
from ..streams import video

REAL = "CROSSFRAME_EAGLE_TOKENIZER"  # a folder with the tokenizer of nvidia/Eagle2.5-8B
CHAT = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
TIMES = [0.0, 0.5, 1.0, 1.5]
adapter = FAMILIES["eagle2_5"].model


# Pixels


def test_pixels_are_the_released_processors():
    """The fixture of models.md §4.2, from a run of the released image processor."""
    t, y, x = torch.meshgrid(*map(torch.arange, (4, 360, 640)), indexing="ij")
    red, green, blue = x * 255 // 639 + 7 * t, y * 255 // 359 + 13 * t, x + y + 31 * t
    frames = (torch.stack([red, green, blue], -1) % 256).to(torch.uint8)
    pixels = Eagle2_5Processor(tiny_tokenizer()).pixels(frames)
    assert pixels.shape == (4, 3, 448, 448) and pixels.dtype == torch.float32
    assert float(pixels.double().mean()) == pytest.approx(0.0030680, abs=5e-8)
    assert float(pixels.double().std()) == pytest.approx(0.5759693, abs=5e-8)
    for place, expected in (
        ((0, 0, 0), (-1, -1, -1)),
        ((3, 447, 447), (-0.843137, -0.701961, -0.474510)),
        ((1, 200, 300), (0.396078, -0.003922, -0.145098)),
    ):
        assert pixels[place[0], :, *place[1:]].tolist() == pytest.approx(expected, abs=5e-7)


def test_pixel_shuffle_maps_patches_as_specified():
    side, channels = 32, 5
    patches = torch.arange(2 * side * side * channels).view(2, side, side, channels)
    out = pixel_shuffle(patches.flatten(1, 2), 2).view(2, 16, 16, 4 * channels)
    for di in (0, 1):
        for dj in (0, 1):
            place = (2 * di + dj) * channels
            expected = patches[:, di::2, dj::2]
            assert torch.equal(out[..., place : place + channels], expected)


# The prompt


def test_prompt_strings_are_the_released_processors():
    processor = Eagle2_5Processor(tiny_tokenizer())
    picture = "<img>" + "<IMG_CONTEXT>" * 256 + "</img>"
    end = "What?<|im_end|>\n<|im_start|>assistant\n"
    assert processor.prompt("What?", [0, 0.25], 2.857) == (
        f"{CHAT}The first video sampled with 2.86 fps: "
        f"Frame 1 sample at 0.00s: {picture}Frame 2 sample at 0.25s: {picture}{end}"
    )
    assert processor.prompt("What?", [None, None], None) == (
        f"{CHAT}The first video: Frame 1: {picture}Frame 2: {picture}{end}"
    )
    assert processor.prompt("", [7], None) == (
        f"{CHAT}The first video: Frame 1 sample at 7.00s: {picture}{end.removeprefix('What?')}"
    )


@pytest.mark.parametrize("frames", [1, 4, 12])
def test_a_frame_is_256_context_tokens(frames):
    processor = Eagle2_5Processor(tiny_tokenizer())
    inputs = processor(video(frames, (4, 4)), "What?", fps=1.0)
    assert inputs["input_ids"].shape[0] == 1
    assert (inputs["input_ids"] == processor.image_token_id).sum() == 256 * frames
    assert inputs["pixel_values"].shape == (frames, 3, 448, 448)


@pytest.mark.skipif(REAL not in os.environ, reason=f"{REAL} names no folder of a real tokenizer")
def test_ids_are_the_released_tokenizers():
    """As tokenised once by the released processor."""
    processor = Eagle2_5Processor(AutoTokenizer.from_pretrained(os.environ[REAL]))
    ids = processor.tokenize(processor.prompt("Describe this video.", TIMES, 2.0))
    assert (len(ids), ids.count(151667)) == (1119, 1024)
    system = [151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198, 151644, 872, 198]
    header = [785, 1156, 2766, 48876, 448, 220, 17, 13, 15, 15, 33881, 25, 16321]
    assert ids[: len(system + header)] == system + header
    assert ids[-5:] == [151645, 198, 151644, 77091, 198]
    second = [4369, 220, 17, 6077, 518, 220, 15, 13, 20, 15, 82, 25, 220, 151665]
    start = ids.index(151666) + 1
    assert ids[start : start + 14 + 257] == [*second, *[151667] * 256, 151666]


@given(question=st.text().filter(lambda text: not PICTURES.search(text)))
def test_any_question_has_the_ids_of_the_whole_prompt(question):
    model = adapter(fps=2.0)
    whole = model.processor.tokenize(model.processor.prompt(question, [0.0], 2.0))
    before = model.processor.tokenize(model.processor.prompt("", [0.0], 2.0))
    start = before.index(model.processor.tokenize("</img>")[0]) + 1
    assert model.question_ids(question)[0].tolist() == whole[start:]


# What does not belong together


def test_another_model_or_processor_is_refused():
    model, processor = FAMILIES["eagle2_5"].loaded()
    other: Any = tiny_internvl()
    with pytest.raises(ValueError, match="got InternVLForConditionalGeneration; use load_model"):
        Eagle2_5(other[0], processor)
    with pytest.raises(ValueError, match="Eagle2_5Processor, got InternVLProcessor"):
        Eagle2_5(model, other[1])
    with pytest.raises(ValueError, match="got Eagle2_5ForConditionalGeneration"):
        InternVL3(model, other[1])


@pytest.mark.parametrize("fps", [0, -1.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(fps):
    with pytest.raises(ValueError, match=f"fps must be a positive number or None, got {fps}"):
        adapter(fps=fps)


def test_a_processor_of_other_sizes_is_refused():
    model, _ = FAMILIES["eagle2_5"].loaded()
    wrong = Eagle2_5Processor(tiny_tokenizer())
    with pytest.raises(ValueError, match="448 pixels and 256 tokens, the model expects 56 and 4"):
        Eagle2_5(model, wrong)


def test_a_tokenizer_with_other_ids_is_refused():
    model, processor = tiny_eagle2_5(layers=1)
    model.config.image_token_index = 5
    with pytest.raises(ValueError, match=r"<IMG_CONTEXT> the id 48., the model expects 5: load"):
        Eagle2_5(model, processor)


@pytest.mark.parametrize("token", ["<img>", "</img>", "<IMG_CONTEXT>", "<|im_start|>"])
def test_a_tokenizer_without_a_special_token_is_refused(token):
    class Without:
        """Knows all special tokens but one."""

        def encode(self, text: str, **_: Any) -> list[int]:
            return [1, 2] if text == token else [3]

    lacking: Any = Without()
    words = token.replace("|", r"\|")
    with pytest.raises(ValueError, match=f"no special token {words}: load the tokenizer of an"):
        Eagle2_5Processor(lacking)
