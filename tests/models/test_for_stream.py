"""Adapters set up for one stream: its number of frames, its system turn, the reply's beginning."""

from typing import Any

import pytest
import torch

from crossframe.framework import Cursor
from crossframe.models import DecoderModel, InternVL3, Qwen2_5VL
from crossframe.models.tiny import tiny_internvl, tiny_qwen2, tiny_qwen2_5_vl, tiny_tokenizer

from ..every import FAMILIES, NATIVE, Family
from .stock import processed
from .streams import QUESTION, asked, session_after, video

SYSTEM = "Carefully watch this video.\nIt's a  man's car; pay attention to every detail."


SIZED = ("glm4v", "qwen3_vl", "qwen3_5", "smolvlm")
EVERY = pytest.mark.parametrize("name", NATIVE)
EAGLE, QWEN2_5, QWEN3 = (FAMILIES[name] for name in ("eagle2_5", "qwen2_5_vl", "qwen3_vl"))


def adapter(name: str) -> Any:
    """For three frames."""
    options: dict[str, Any] = {"planned_frames": 3} if name in SIZED else {}
    return NATIVE[name].model(**options)


def prompt_ids(name: str, system: str | None) -> list[int]:
    """Of the whole prompt about three frames, by the family's own processor."""
    inputs = processed(adapter(name), video(3), fps=NATIVE[name].fps, system=system)
    return inputs["input_ids"][0].tolist()


# The system turn


@EVERY
@pytest.mark.parametrize("system", [SYSTEM, "", " early \n", "Früh 早上", None])
def test_the_whole_prompt_is_the_processors_with_that_system_turn(system, name):
    model = adapter(name).for_stream(3, system)
    asked(session_after(model, video(3)))
    assert model.passed_ids().tolist() == prompt_ids(name, system)


def test_eagles_prompt_is_its_processors_with_that_system_turn():
    model = EAGLE.model()
    told: Any = model.for_stream(3, SYSTEM)
    session = session_after(told)
    session.push(video(3), [0.0, 0.5, 1.0])
    asked(session)
    assert type(told) is type(model)
    inputs = told.processor(video(3), QUESTION, timestamps=[0.0, 0.5, 1.0])
    assert SYSTEM in told.processor.tokenizer.decode(inputs["input_ids"][0])
    assert told.passed_ids().tolist() == inputs["input_ids"][0].tolist()
    assert SYSTEM not in model.processor.prompt(QUESTION, [0.0], None)


def test_behind_the_video_the_system_turn_comes_with_the_question():
    model = NATIVE["internvl3"].model(layout="video_first").for_stream(2, SYSTEM)
    asked(session_after(model, video(2)))
    processor = model.processor
    turns = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = processor.tokenizer.encode(text)
    assert model.passed_ids().tolist()[-len(ids) :] == ids
    assert model.prologue(Cursor()) is None


@EVERY
def test_streams_of_one_model_keep_their_own_system_turn(name):
    model = adapter(name)
    told = model.for_stream(3, SYSTEM)
    model.steps, told.steps = [], []
    asked(session_after(told, video(3)))
    asked(session_after(model, video(3)))
    assert model.passed_ids().tolist() == prompt_ids(name, None)
    assert told.passed_ids().tolist() == prompt_ids(name, SYSTEM)
    assert told.hf_model is model.hf_model


@pytest.mark.parametrize("name", [name for name, family in NATIVE.items() if family.own_template])
def test_a_template_that_has_no_system_turn_is_told(name, monkeypatch):
    model = adapter(name)
    processor, template = model.prompt.processor, model.prompt.processor.chat_template
    user = "{%- if messages[0].role == 'system' -%}{%- set messages = messages[1:] -%}{%- endif -%}"
    monkeypatch.setattr(processor, "chat_template", user + template)
    with pytest.raises(ValueError, match=r"leaves out the system turn .Careful.*without one"):
        model.for_stream(3, SYSTEM)
    refusing = "{{- raise_exception('no system turns') if messages[0].role == 'system' -}}"
    monkeypatch.setattr(processor, "chat_template", refusing + template)
    with pytest.raises(ValueError, match=r"refuses \['system', 'user'\] turns: no system turns"):
        model.for_stream(3, SYSTEM)
    model.for_stream(3)


@EVERY
def test_a_system_turn_with_pictures_is_refused(name):
    model = adapter(name)
    with pytest.raises(ValueError, match=r"the system turn contains .*which stands for pictures"):
        model.for_stream(3, f"Watch {model.prompt.processor.video_token}.")


def test_eagle_refuses_pictures_in_the_system_turn():
    with pytest.raises(ValueError, match="the system turn contains <video-1>"):
        EAGLE.model().for_stream(3, "Watch <video-1>.")


def test_a_raw_decoder_has_no_place_for_a_system_turn():
    model = DecoderModel(tiny_qwen2(), tiny_tokenizer())
    assert model.for_stream(3) is model
    with pytest.raises(ValueError, match=r"DecoderModel has no place for the system turn 'Watch.'"):
        model.for_stream(3, "Watch.")


# The reply's beginning


@pytest.mark.parametrize("text", ["Best Option: (", "Best option: (", "A", "早上"])
def test_a_replys_beginning_is_tokenized_without_special_tokens(text):
    models = [family.model() for family in FAMILIES.values()]
    models.append(DecoderModel(tiny_qwen2(), tiny_tokenizer()))
    for model in models:
        ids = model.reply_ids(text)
        assert ids.dtype == torch.int64
        assert ids.shape[0] == 1
        assert model.text(ids[0]) == text
        # Behind the question it is what the whole text gives.
        if isinstance(model, InternVL3):
            whole = model.prompt.tokenize(model.prompt.around_video(QUESTION)[1] + text)
            assert [*model.question_ids(QUESTION)[0].tolist(), *ids[0].tolist()] == whole


def test_without_a_tokenizer_there_is_no_beginning():
    with pytest.raises(ValueError, match=r"no tokenizer: cannot begin the reply with 'Best'"):
        DecoderModel(tiny_qwen2()).reply_ids("Best")


# The number of frames


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 23])
def test_qwen3_frames_are_sized_for_the_stream(count):
    open_end, size = QWEN3.model(), (70, 100)
    assert open_end.sized_by_length
    model = open_end.for_stream(count)
    planned = QWEN3.model(planned_frames=max(count, 2))
    assert model.pixels.size(*size) == planned.pixels.size(*size)
    frames = video(min(count, 2), size)
    with torch.no_grad():
        mine, theirs = (m.encode(frames, [None] * len(frames), Cursor()) for m in (model, planned))
    assert torch.equal(mine.embeds, theirs.embeds)
    assert open_end.pixels.planned_frames == 24
    assert model.hf_model is open_end.hf_model
    assert model.for_stream(24).pixels.size(*size) == open_end.pixels.size(*size)


def test_a_number_that_the_user_planned_stays():
    model = QWEN3.model(planned_frames=6)
    assert not model.sized_by_length
    assert model.for_stream(2) is model


def test_qwen2_5_frames_depend_on_their_number_only_where_the_budget_is_shared_out():
    model, processor = tiny_qwen2_5_vl()
    free = Qwen2_5VL(model, processor)
    assert not free.sized_by_length
    assert free.for_stream(2) is free
    processor.video_processor.cap_pixels_per_frame = True
    processor.video_processor.max_video_tokens = 24
    shared = Qwen2_5VL(model, processor)
    assert shared.sized_by_length
    sizes = [shared.for_stream(count).pixels.size(300, 400) for count in (2, 4, 8)]
    expected = [
        Qwen2_5VL(model, processor, planned_frames=count).pixels.size(300, 400)
        for count in (2, 4, 8)
    ]
    assert sizes == expected
    assert len(set(sizes)) > 1


def test_other_families_do_not_depend_on_it():
    for name in ("internvl3", "llava_onevision", "perception_lm"):
        model = adapter(name)
        assert not model.sized_by_length
        assert model.for_stream(100) is model
    assert not EAGLE.model().sized_by_length


# Scaling by the planned length


def test_only_dynamic_rope_is_scaled_by_length():
    assert InternVL3(*tiny_internvl()).scaled_by_length
    assert not InternVL3(*tiny_internvl(rope_factor=None)).scaled_by_length
    assert not QWEN3.model().scaled_by_length


# The rate


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 3.7])
def test_times_of_qwen2_5_are_the_processors_at_that_rate(fps):
    open_end = QWEN2_5.model()
    session_after(open_end, video(6))  # it knows times of its own now
    told = open_end.for_stream(6, fps=fps)
    session = session_after(told, video(6))
    declared = session_after(QWEN2_5.model(fps=fps), video(6))
    assert torch.equal(session.slots(0).positions, declared.slots(0).positions)
    assert torch.equal(asked(session), asked(declared))
    assert (told.fps, open_end.fps) == (fps, 2.0)
    assert told.hf_model is open_end.hf_model


@pytest.mark.parametrize("fps", [0.5, 2.0])
def test_eagles_header_names_that_rate(fps):
    model = EAGLE.model()
    told: Any = model.for_stream(3, fps=fps)
    session = session_after(told)
    session.push(video(3), [0.0, 0.5, 1.0])
    asked(session)
    inputs = told.processor(video(3), QUESTION, timestamps=[0.0, 0.5, 1.0], fps=fps)
    assert told.passed_ids().tolist() == inputs["input_ids"][0].tolist()
    assert model.fps is None


@pytest.mark.parametrize("family", [QWEN2_5, EAGLE])
def test_a_declared_rate_stays(family: Family):
    declared = family.model(fps=1.5)
    assert declared.for_stream(4, fps=3.0).fps == 1.5
    assert declared.for_stream(4, SYSTEM, 3.0).fps == 1.5


@EVERY
def test_a_rate_goes_with_a_system_turn_and_a_length(name):
    told = adapter(name).for_stream(3, SYSTEM, 2.0)
    asked(session_after(told, video(3)))
    assert told.passed_ids().tolist() == prompt_ids(name, SYSTEM)
