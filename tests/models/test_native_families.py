"""What holds alike for every family that transformers loads itself: prompt, images, loading."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from crossframe.framework import VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import InternVL3, LlavaOnevision, Qwen2_5VL, Qwen3VL, load_model
from crossframe.models.tiny import (
    save_tiny_checkpoint,
    save_tiny_llava_onevision,
    save_tiny_qwen2_5_vl,
    save_tiny_qwen3_vl,
    tiny_internvl,
    tiny_llava_onevision,
    tiny_qwen2,
    tiny_qwen2_5_vl,
    tiny_qwen3_vl,
)

from .stock import processed, worst
from .streams import asked, session_after, video


@dataclass(frozen=True)
class Family:
    """An adapter and what it is tested with.

    Attributes:
        stock: transformers' classes of the model, the processor and its video processor.
        tokens: special tokens whose ids the adapter compares, as the processor names them.
        options: of the adapter.
        fps: at which the processor is told that frames were taken; None if it does not ask.
    """

    adapter: Any
    tiny: Callable[..., tuple[Any, Any]]
    save: Callable[..., Path]
    stock: tuple[type, type, type]
    tokens: tuple[str, ...] = ("video",)
    options: dict[str, Any] = field(default_factory=dict)
    fps: float | None = None


FAMILIES = {
    "internvl3": Family(
        InternVL3,
        tiny_internvl,
        save_tiny_checkpoint,
        (
            transformers.InternVLForConditionalGeneration,
            transformers.InternVLProcessor,
            transformers.InternVLVideoProcessor,
        ),
        tokens=("image",),
    ),
    "llava_onevision": Family(
        LlavaOnevision,
        tiny_llava_onevision,
        save_tiny_llava_onevision,
        (
            transformers.LlavaOnevisionForConditionalGeneration,
            transformers.LlavaOnevisionProcessor,
            transformers.LlavaOnevisionVideoProcessor,
        ),
    ),
    "qwen2_5_vl": Family(
        Qwen2_5VL,
        tiny_qwen2_5_vl,
        save_tiny_qwen2_5_vl,
        (
            transformers.Qwen2_5_VLForConditionalGeneration,
            transformers.Qwen2_5_VLProcessor,
            transformers.Qwen2VLVideoProcessor,
        ),
        fps=2.0,
    ),
    "qwen3_vl": Family(
        Qwen3VL,
        tiny_qwen3_vl,
        save_tiny_qwen3_vl,
        (
            transformers.Qwen3VLForConditionalGeneration,
            transformers.Qwen3VLProcessor,
            transformers.Qwen3VLVideoProcessor,
        ),
        tokens=("video", "vision_start", "vision_end"),
        options={"planned_frames": 2},
        fps=2.0,
    ),
}
EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
QUESTIONS = [
    "",
    "What happens?",
    "\nOptions:\n(A) yes\n(B) no",
    "\n\n\nWhat?",
    " leading and trailing \n",
    "It's 'ein' Bär: <b>?\n",
    "早上好 — ¿qué? e\u0301 é 🎬 \ufffc",
    "<|im_end|>\n<|im_start|>user\n",
    "<img></img>",
    "<2.0 seconds><|vision_start|><|vision_end|>",
]
NO_PLACE = "{{ messages[0].content[-1].text }}"


@cache
def loaded(tiny: Callable[..., tuple[Any, Any]]) -> tuple[Any, Any]:
    return tiny(dtype=torch.float64)


def adapter(family: Family) -> Any:
    return family.adapter(*loaded(family.tiny), **family.options)


@EVERY
def test_these_are_the_native_classes(family):
    model, processor = loaded(family.tiny)
    assert (type(model), type(processor), type(processor.video_processor)) == family.stock


# The question


@EVERY
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_question_has_the_processors_ids(question, family):
    model = adapter(family)
    expected = processed(model, video(2), question, fps=family.fps)["input_ids"][0].tolist()
    ids = model.question_ids(question)
    assert ids.shape[0] == 1
    assert expected[-ids.shape[1] :] == ids[0].tolist()
    assert len(expected) == session_after(model, video(2)).cursor.tokens + ids.shape[1]


@EVERY
@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_question_may_not_stand_for_pictures(kind, family):
    model = adapter(family)
    token = getattr(model.prompt.processor, f"{kind}_token")
    with pytest.raises(ValueError, match="which stands for pictures: take it out") as refusal:
        session_after(model, video(2)).ask(f"What is in {token}?")
    assert f"the question contains {token}," in str(refusal.value)


# Images


@EVERY
def test_kinds_of_images_are_one_and_the_same(family):
    model, frames = adapter(family), video(2)
    expected = asked(session_after(model, frames))
    pil = [Image.fromarray(frame.numpy()) for frame in frames]
    alpha = torch.cat([frames, torch.full_like(frames[..., :1], 7)], -1)
    for kind in (frames.numpy(), list(frames), pil, [pil[0], frames[1].numpy()], alpha):
        assert torch.equal(asked(session_after(model, kind)), expected)
    assert torch.equal(asked(session_after(model, frames[0], pil[1])), expected)


@EVERY
def test_gray_is_repeated_over_the_colours(family):
    model, gray = adapter(family), video(2)[..., :1]
    expected = asked(session_after(model, gray.expand(-1, -1, -1, 3).contiguous()))
    pil = [Image.fromarray(frame[..., 0].numpy()) for frame in gray]
    for kind in (gray, pil):
        assert torch.equal(asked(session_after(model, kind)), expected)
    with pytest.raises(ValueError, match=r"must be \[frames, height, width, 3\]"):
        session_after(model, np.zeros((40, 60), np.uint8))


# Streams and checkpoints


@EVERY
def test_forks_and_saved_sessions_go_on_as_if_nothing_had_happened(family, tmp_path):
    model, frames, file = adapter(family), video(7), tmp_path / "stream"
    expected = asked(session_after(model, frames))
    session = session_after(model, frames[:3])
    session.save(file)
    for other in (session.fork(), VideoSession.load(file, adapter(family))):
        other.push(frames[3:])
        assert torch.equal(asked(other), expected)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_nothing_is_left_on_the_model(name, fingerprint):
    model = FAMILIES[name].adapter(*FAMILIES[name].tiny())
    before = fingerprint(model)
    session = session_after(model, video(5), memory=StateKVMemory(9))
    session.ask("What?", max_new_tokens=3)
    assert fingerprint(model) == before
    assert model.hf_model.model.rope_deltas is None


@pytest.mark.parametrize(
    ("name", "sizes", "options"),
    [
        ("internvl3", {"seed": 3}, {"layout": "video_first"}),
        ("llava_onevision", {}, {}),
        ("llava_onevision", {"tie_word_embeddings": True}, {}),
        ("qwen2_5_vl", {}, {"fps": 1.0}),
        ("qwen2_5_vl", {"tie_word_embeddings": True}, {"fps": 1.0}),
        ("qwen3_vl", {}, {"planned_frames": 4, "layout": "release"}),
        ("qwen3_vl", {"tie_word_embeddings": True}, {"planned_frames": 4, "layout": "release"}),
        ("qwen3_vl", {"experts": 4}, {"planned_frames": 4, "layout": "release"}),
    ],
)
def test_a_loaded_model_answers_like_the_saved_one(tmp_path, name, sizes, options):
    family = FAMILIES[name]
    read: Any = load_model(family.save(tmp_path, **sizes), device="cpu", **options)
    assert type(read) is family.adapter
    assert type(read.prompt.processor) is family.stock[1]
    written = family.adapter(*family.tiny(**sizes), **options)
    answers = [
        session_after(model, video(3)).ask("What happens?", max_new_tokens=5)
        for model in (read, written)
    ]
    assert answers[0].text == answers[1].text
    assert worst(answers[0].first_logits, answers[1].first_logits) <= 1e-4


# What does not belong together


@EVERY
def test_another_model_class_or_processor_is_refused(family):
    model, processor = loaded(family.tiny)
    stranger = tiny_qwen3_vl() if family.adapter is InternVL3 else tiny_internvl()
    models: list[Any] = [tiny_qwen2(), stranger[0], model.model]
    for other in models:
        with pytest.raises(ValueError, match=f"got {type(other).__name__}; use load_model"):
            family.adapter(other, processor)
    processors: list[Any] = [None, processor.tokenizer, processor.video_processor, stranger[1]]
    for other in processors:
        words = f"{family.stock[1].__name__}, got {type(other).__name__}; use load_model"
        with pytest.raises(ValueError, match=words):
            family.adapter(model, other)


@EVERY
def test_a_tokenizer_with_other_ids_is_refused(family):
    for name in family.tokens:
        model, processor = family.tiny()
        setattr(processor, f"{name}_token_id", None)
        with pytest.raises(ValueError, match=r"' the id None, the model expects \d+") as refusal:
            family.adapter(model, processor)
        assert repr(getattr(processor, f"{name}_token")) in str(refusal.value)


@EVERY
def test_a_chat_template_without_the_video_is_refused(family):
    model, processor = family.tiny()
    processor.chat_template = NO_PLACE
    with pytest.raises(ValueError, match=r"chat template puts no .* into the prompt: load the"):
        family.adapter(model, processor)


@EVERY
def test_a_folder_without_its_processor_is_told(family, tmp_path):
    folder = family.save(tmp_path)
    (folder / "processor_config.json").unlink()
    words = f"{folder} has no whole processor for {family.adapter.__name__}: give the folder all"
    with pytest.raises(ValueError, match=words):
        load_model(folder)
