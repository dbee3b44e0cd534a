"""SmolVLM2: a prompt that says beforehand how long the video is, and the time of every frame."""

import pytest
import torch
from transformers.models.smolvlm import processing_smolvlm

from crossframe.framework import Cursor
from crossframe.models import SmolVLM, load_model
from crossframe.models.tiny import tiny_smolvlm_processor

from ..every import NATIVE
from .stock import processed
from .streams import QUESTION, asked, session_after, video

FAMILY = NATIVE["smolvlm"]
FRAME = "<fake_token_around_image><global-img>" + 4 * "<image>" + "<fake_token_around_image>"


def texts(model) -> list[str]:
    return [model.processor.decode(model.ids_of(part)) for part in model.steps]


def test_the_prompt_reads_as_the_processors():
    model = FAMILY.model().for_stream(3, fps=0.02)
    asked(session_after(model, video(3)))
    assert "".join(texts(model)) == (
        "<|im_start|>User: You are provided the following series of three frames from a 0:01:40 "
        f"[H:MM:SS] video.\n\nFrame from 00:00:{FRAME}\nFrame from 00:50:{FRAME}\n"
        f"Frame from 01:40:{FRAME}\n\n{QUESTION}<end_of_utterance>\nAssistant:"
    )


def test_the_prologue_ends_before_what_the_first_frame_may_be_merged_with():
    model = FAMILY.model().for_stream(2)
    prologue, first = model.prologue(Cursor()), model.encode(video(1), [3725.0], Cursor())
    assert prologue.visual is not None and not prologue.visual.any()
    whole = model.ids_of(prologue, first).tolist()
    text = model.processor.decode(whole)
    assert text.endswith(f"video.\n\nFrame from 62:05:{FRAME}")
    assert whole == model.processor.tokenizer.encode(text)


def test_what_was_planned_stays_in_the_prompt_however_long_the_stream_becomes():
    model = FAMILY.model(planned_frames=21, duration=3700.5)
    assert not model.sized_by_length
    session = session_after(model.for_stream(2, fps=1.0), video(4))
    assert session.cursor.frames == 4
    assert "twenty-one frames from a 1:01:40 [H:MM:SS]" in texts(model.for_stream(2))[0]


def test_an_open_end_is_the_most_that_the_processor_samples():
    model = FAMILY.model()
    session_after(model, video(1))
    assert model.sized_by_length
    assert "sixty-four frames from a 0:00:31 [" in texts(model)[0]  # the last of 64 at 2 a second


def test_a_declared_rate_stays():
    model = FAMILY.model(fps=0.5)
    assert model.for_stream(3, fps=4.0).fps == 0.5
    assert FAMILY.model().for_stream(3, fps=4.0).fps == 4.0


def test_a_video_of_a_length_is_the_processors():
    frames, told = video(3), {"fps": 2.0, "frames_indices": [0, 1, 2], "duration": 65.0}
    model = FAMILY.model(planned_frames=3, duration=65.0)
    asked(session_after(model, frames))
    inputs = model.processor(
        text=processed_text(model),
        videos=[[frames.permute(0, 3, 1, 2)]],
        video_metadata=[told | {"total_num_frames": 3}],
        do_sample_frames=False,
        return_tensors="pt",
    )
    assert model.passed_ids().tolist() == inputs["input_ids"][0].tolist()
    assert model.passed_ids().tolist() != processed(model, frames, fps=2.0)["input_ids"][0].tolist()


def processed_text(model) -> str:
    before, after = model.prompt.around_video(QUESTION)
    return f"{before}<video>{after}"


@pytest.mark.parametrize("option", ["planned_frames", "fps", "duration"])
def test_impossible_numbers_are_refused(option):
    with pytest.raises(ValueError, match=f"{option} must be a number above 0, got -1"):
        SmolVLM(*FAMILY.loaded(), **{option: -1})


def test_a_processor_of_other_tiles_is_refused():
    with pytest.raises(ValueError, match="writes 9 tokens a frame, the model makes 4: load the"):
        SmolVLM(FAMILY.loaded()[0], tiny_smolvlm_processor(image_size=42))
    with pytest.raises(ValueError, match=r"image_size=20 is not a multiple of 14; take 14"):
        tiny_smolvlm_processor(image_size=20)


def test_loading_without_num2words_says_what_to_install(tmp_path, monkeypatch):
    folder = FAMILY.save(tmp_path, layers=1)
    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(
        ValueError, match=r"needs a package .*num2words.*: install .* extra `families`"
    ):
        load_model(folder)


def test_an_odd_video_reaches_the_tower_as_in_the_processor():
    model, frames = FAMILY.model(torch.float32), video(2, (31, 97))
    pixels = processed(model, frames, fps=2.0)["pixel_values"]
    with torch.no_grad():
        expected = model.vlm.get_image_features(pixels, return_dict=True).pooler_output
    session_after(model.for_stream(2), frames)
    found = torch.cat([part.embeds[part.visual] for part in model.steps[1:]])
    assert (found - torch.cat(list(expected))).abs().max() <= 1e-4
