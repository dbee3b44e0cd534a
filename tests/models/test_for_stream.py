"""Adapters set up for one stream: its number of frames, its system turn, the reply's beginning."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch

from crossframe.framework import Cursor
from crossframe.models import (
    DecoderModel,
    Eagle2_5,
    InternVL3,
    LlavaOnevision,
    Qwen2_5VL,
    Qwen3VL,
)
from crossframe.models.tiny import (
    tiny_eagle2_5,
    tiny_internvl,
    tiny_llava_onevision,
    tiny_qwen2,
    tiny_qwen2_5_vl,
    tiny_qwen3_vl,
    tiny_tokenizer,
)

from .streams import QUESTION, Watched, asked, session_after, video

SYSTEM = "Carefully watch this video.\nIt's a  man's car; pay attention to every detail."


class WatchedInternVL3(Watched, InternVL3):
    picture_token = "image_token_id"


class WatchedLlava(Watched, LlavaOnevision):
    """Notes what passes the decoder."""


class WatchedQwen2_5(Watched, Qwen2_5VL):
    """Notes what passes the decoder."""


class WatchedQwen3(Watched, Qwen3VL):
    """Notes what passes the decoder."""


class WatchedEagle(Watched, Eagle2_5):
    picture_token = "image_token_index"


@dataclass(frozen=True)
class Family:
    """An adapter that notes what passes it, and how its processor is told of three frames."""

    adapter: Any
    tiny: Callable[..., tuple[Any, Any]]
    options: dict[str, Any] = field(default_factory=dict)
    fps: float | None = None


FAMILIES = {
    "internvl3": Family(WatchedInternVL3, tiny_internvl),
    "llava_onevision": Family(WatchedLlava, tiny_llava_onevision),
    "qwen2_5_vl": Family(WatchedQwen2_5, tiny_qwen2_5_vl, fps=2.0),
    "qwen3_vl": Family(WatchedQwen3, tiny_qwen3_vl, {"planned_frames": 3}, fps=2.0),
}
EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@cache
def loaded(tiny: Callable[..., tuple[Any, Any]]) -> tuple[Any, Any]:
    return tiny(dtype=torch.float64)


def adapter(family: Family, **options: Any) -> Any:
    return family.adapter(*loaded(family.tiny), **family.options, **options)


def processed(family: Family, system: str | None) -> list[int]:
    """Ids of the whole prompt about three frames, by the family's own processor."""
    _, processor = loaded(family.tiny)
    content = [{"type": "video"}, {"type": "text", "text": QUESTION}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if system is not None:
        turns = [{"role": "system", "content": [{"type": "text", "text": system}]}, *turns]
    text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    times: dict[str, Any] = {}
    if family.fps is not None:
        told = {"fps": family.fps, "frames_indices": [0, 1, 2], "total_num_frames": 3}
        times = {"video_metadata": [told], "do_sample_frames": False}
    inputs = processor(
        text=text, videos=[video(3).permute(0, 3, 1, 2)], return_tensors="pt", **times
    )
    return inputs["input_ids"][0].tolist()


# The system turn


@EVERY
@pytest.mark.parametrize("system", [SYSTEM, "", " early \n", "Früh 早上", None])
def test_the_whole_prompt_is_the_processors_with_that_system_turn(system, family):
    model = adapter(family).for_stream(3, system)
    asked(session_after(model, video(3)))
    assert model.passed_ids().tolist() == processed(family, system)


def test_eagles_prompt_is_its_processors_with_that_system_turn():
    model = WatchedEagle(*loaded(tiny_eagle2_5))
    told = model.for_stream(3, SYSTEM)
    session = session_after(told)
    session.push(video(3), [0.0, 0.5, 1.0])
    asked(session)
    assert isinstance(told, Eagle2_5)
    inputs = told.processor(video(3), QUESTION, timestamps=[0.0, 0.5, 1.0])
    assert SYSTEM in told.processor.tokenizer.decode(inputs["input_ids"][0])
    assert told.passed_ids().tolist() == inputs["input_ids"][0].tolist()
    assert SYSTEM not in model.processor.prompt(QUESTION, [0.0], None)


def test_behind_the_video_the_system_turn_comes_with_the_question():
    model = WatchedInternVL3(*loaded(tiny_internvl), layout="video_first").for_stream(2, SYSTEM)
    asked(session_after(model, video(2)))
    _, processor = loaded(tiny_internvl)
    turns = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids = processor.tokenizer.encode(text)
    assert model.passed_ids().tolist()[-len(ids) :] == ids
    assert model.prologue(Cursor()) is None


@EVERY
def test_streams_of_one_model_keep_their_own_system_turn(family):
    model = adapter(family)
    told = model.for_stream(3, SYSTEM)
    model.steps, told.steps = [], []
    asked(session_after(told, video(3)))
    asked(session_after(model, video(3)))
    assert model.passed_ids().tolist() == processed(family, None)
    assert told.passed_ids().tolist() == processed(family, SYSTEM)
    assert told.hf_model is model.hf_model


@EVERY
def test_a_template_that_has_no_system_turn_is_told(family, monkeypatch):
    model = adapter(family)
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
def test_a_system_turn_with_pictures_is_refused(family):
    model = adapter(family)
    with pytest.raises(ValueError, match=r"the system turn contains .*which stands for pictures"):
        model.for_stream(3, f"Watch {model.prompt.processor.video_token}.")


def test_eagle_refuses_pictures_in_the_system_turn():
    with pytest.raises(ValueError, match="the system turn contains <video-1>"):
        Eagle2_5(*loaded(tiny_eagle2_5)).for_stream(3, "Watch <video-1>.")


def test_a_raw_decoder_has_no_place_for_a_system_turn():
    model = DecoderModel(tiny_qwen2(), tiny_tokenizer())
    assert model.for_stream(3) is model
    with pytest.raises(ValueError, match=r"DecoderModel has no place for the system turn 'Watch.'"):
        model.for_stream(3, "Watch.")


# The reply's beginning


@pytest.mark.parametrize("text", ["Best Option: (", "Best option: (", "A", "早上"])
def test_a_replys_beginning_is_tokenized_without_special_tokens(text):
    models = [adapter(family) for family in FAMILIES.values()]
    models += [Eagle2_5(*loaded(tiny_eagle2_5)), DecoderModel(tiny_qwen2(), tiny_tokenizer())]
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
    open_end, size = Qwen3VL(*loaded(tiny_qwen3_vl)), (70, 100)
    assert open_end.sized_by_length
    model = open_end.for_stream(count)
    planned = Qwen3VL(*loaded(tiny_qwen3_vl), planned_frames=max(count, 2))
    assert model.pixels.size(*size) == planned.pixels.size(*size)
    frames = video(min(count, 2), size)
    with torch.no_grad():
        mine, theirs = (m.encode(frames, [None] * len(frames), Cursor()) for m in (model, planned))
    assert torch.equal(mine.embeds, theirs.embeds)
    assert open_end.pixels.planned_frames == 24
    assert model.hf_model is open_end.hf_model
    assert model.for_stream(24).pixels.size(*size) == open_end.pixels.size(*size)


def test_a_number_that_the_user_planned_stays():
    model = Qwen3VL(*loaded(tiny_qwen3_vl), planned_frames=6)
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
    for family in (FAMILIES["internvl3"], FAMILIES["llava_onevision"]):
        model = adapter(family)
        assert not model.sized_by_length
        assert model.for_stream(100) is model
    assert not Eagle2_5(*loaded(tiny_eagle2_5)).sized_by_length


# Scaling by the planned length


def test_only_dynamic_rope_is_scaled_by_length():
    assert InternVL3(*tiny_internvl()).scaled_by_length
    assert not InternVL3(*tiny_internvl(rope_factor=None)).scaled_by_length
    assert not Qwen3VL(*loaded(tiny_qwen3_vl)).scaled_by_length


# The rate


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 3.7])
def test_times_of_qwen2_5_are_the_processors_at_that_rate(fps):
    open_end = WatchedQwen2_5(*loaded(tiny_qwen2_5_vl))
    session_after(open_end, video(6))  # it knows times of its own now
    told = open_end.for_stream(6, fps=fps)
    session = session_after(told, video(6))
    declared = session_after(WatchedQwen2_5(*loaded(tiny_qwen2_5_vl), fps=fps), video(6))
    assert torch.equal(session.slots(0).positions, declared.slots(0).positions)
    assert torch.equal(asked(session), asked(declared))
    assert (told.fps, open_end.fps) == (fps, 2.0)
    assert told.hf_model is open_end.hf_model


@pytest.mark.parametrize("fps", [0.5, 2.0])
def test_eagles_header_names_that_rate(fps):
    model = WatchedEagle(*loaded(tiny_eagle2_5))
    told: Any = model.for_stream(3, fps=fps)
    session = session_after(told)
    session.push(video(3), [0.0, 0.5, 1.0])
    asked(session)
    inputs = told.processor(video(3), QUESTION, timestamps=[0.0, 0.5, 1.0], fps=fps)
    assert told.passed_ids().tolist() == inputs["input_ids"][0].tolist()
    assert model.fps is None


@pytest.mark.parametrize(
    ("adapter", "tiny"), [(WatchedQwen2_5, tiny_qwen2_5_vl), (WatchedEagle, tiny_eagle2_5)]
)
def test_a_declared_rate_stays(adapter: Any, tiny: Any):
    declared = adapter(*loaded(tiny), fps=1.5)
    assert declared.for_stream(4, fps=3.0).fps == 1.5
    assert declared.for_stream(4, SYSTEM, 3.0).fps == 1.5


@EVERY
def test_a_rate_goes_with_a_system_turn_and_a_length(family):
    told = adapter(family).for_stream(3, SYSTEM, 2.0)
    asked(session_after(told, video(3)))
    assert told.passed_ids().tolist() == processed(family, SYSTEM)
