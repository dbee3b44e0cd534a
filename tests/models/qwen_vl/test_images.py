"""Frames as images of their own: equal to the stock model on a prompt of images."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import Cursor, FullMemory, VideoSession
from crossframe.framework.testing import check_law
from crossframe.methods import SimpleStream, StateKVMemory
from crossframe.models import InternVL3
from crossframe.models.qwen_vl.qwen2_5_vl import Qwen2_5VLImages
from crossframe.models.qwen_vl.qwen3_vl import Qwen3VLImages
from crossframe.models.tiny import tiny_internvl

from ...every import NATIVE, UNBOUNDED, named
from ...watched import Watched
from ..stock import require_equal
from ..streams import DTYPES, QUESTION, asked, video

SYSTEM = "Watch closely."
SIZES = [(70, 100), (100, 70), (20, 31), (64, 200)]


class WatchedQwen3VL(Watched, Qwen3VLImages):
    """Notes what passes the decoder."""

    picture_token = "image_token_id"


class WatchedQwen2_5VL(Watched, Qwen2_5VLImages):
    """Notes what passes the decoder."""

    picture_token = "image_token_id"


IMAGES = {"qwen3_vl": WatchedQwen3VL, "qwen2_5_vl": WatchedQwen2_5VL}
EACH = pytest.mark.parametrize("family", IMAGES)


@cache
def around_a_video(family: str, dtype: torch.dtype = torch.float64) -> Any:
    return NATIVE[family].model(dtype)


def adapter(family: str, dtype: torch.dtype = torch.float64) -> Any:
    return IMAGES[family](around_a_video(family, dtype))


def images(count: int) -> list[Tensor]:
    """Frames, each of a size of its own."""
    return [video(1, SIZES[n % len(SIZES)], seed=n)[0] for n in range(count)]


def whole(model: Any, frames: Sequence[Tensor], system: str = "") -> dict[str, Tensor]:
    """What the installed processor makes of the release's prompt: one user turn."""
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    turn = f"<|im_start|>user\n{len(frames) * picture}\n{QUESTION}<|im_end|>\n"
    text = f"{system}{turn}<|im_start|>assistant\n"
    pictures = [frame.permute(2, 0, 1) for frame in frames]
    inputs = model.processor(text=text, images=pictures, return_tensors="pt")
    pixels = inputs["pixel_values"].to(model.dtype)
    return {**inputs, "pixel_values": pixels}


@pytest.mark.parametrize("count", [1, 2, 5])
@EACH
@DTYPES
def test_image_by_image_equals_the_stock_model_and_its_answer(family, dtype, count) -> None:
    model, frames = adapter(family, dtype), images(count)
    session = VideoSession(model, FullMemory())
    for number, frame in enumerate(frames):
        session.push(frame, 1.5 * number)
    assert session.cursor.frames == count
    require_equal(session, model, whole(model, frames))


@pytest.mark.parametrize("memory", UNBOUNDED, ids=named)
@EACH
def test_unbounded_memories_and_steps_of_several_images_change_nothing(family, memory) -> None:
    model, frames = adapter(family), images(6)
    session = VideoSession(model, memory, frames_per_step=4)
    session.push(frames[:1])
    session.push(frames[1:])
    require_equal(session, model, whole(model, frames), new=3)


@EACH
def test_simple_stream_is_the_stock_model_on_its_last_frames_as_images(family) -> None:
    model, frames = adapter(family), images(9)
    stream = SimpleStream(around_a_video(family), 4, as_images=True)
    for number, frame in enumerate(frames):
        stream.push(frame, number)
    session = after(model, frames[-4:])
    require_equal(session, model, whole(model, frames[-4:]))
    ids = model.question_ids(QUESTION)
    assert torch.equal(stream.question_logits(ids), session.question_logits(ids))
    got, expected = (each.ask(QUESTION, max_new_tokens=6) for each in (stream, session))
    assert torch.equal(got.token_ids, expected.token_ids)


@EACH
def test_four_images_have_twice_the_visual_tokens_of_a_video_of_four_frames(family) -> None:
    model, frames = around_a_video(family).for_stream(4), video(4, (64, 64))
    apart, together = (after(twin, frames) for twin in (model.for_images(), model))
    seen = [int(each.archive.columns["visual"].joined().sum()) for each in (apart, together)]
    assert seen == [16, 8]


def after(model: Any, frames: Tensor | Sequence[Tensor]) -> VideoSession:
    session = VideoSession(model, FullMemory())
    session.push(frames)
    return session


@pytest.mark.parametrize("question", [QUESTION, "", "\n\nWhat?", "  two blanks", "<|im_end|>"])
@EACH
def test_the_prompts_ids_are_put_together_as_in_the_release(family, question) -> None:
    model, frame = adapter(family), images(1)[0]
    tokenizer, config = model.processor.tokenizer, model.hf_model.config
    turn, end = (tokenizer.convert_tokens_to_ids(f"<|im_{name}|>") for name in ("start", "end"))

    def encoded(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    with torch.no_grad():
        shown = model.encode(frame[None], [None], Cursor(3, 0, 3))
    ids = [turn, *encoded("user\n"), config.vision_start_token_id]
    ids += [config.image_token_id] * int(shown.visual.sum()) + [config.vision_end_token_id]
    ids += [*encoded("\n"), *encoded(question), end, *encoded("\n"), turn, *encoded("assistant\n")]
    after(model, [frame]).question_logits(model.question_ids(question))
    assert model.passed_ids().tolist() == ids


@EACH
def test_a_system_turn_enters_only_where_it_is_told(family) -> None:
    frames = images(2)
    told = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    first = around_a_video(family).for_stream(2, SYSTEM).for_images()
    model = IMAGES[family](around_a_video(family).for_stream(2, SYSTEM))
    session = after(model, frames)
    require_equal(session, model, whole(model, frames, told), new=2)
    for twin in (first, around_a_video(family).for_images().for_stream(2, SYSTEM, fps=1.0)):
        assert torch.equal(asked(after(twin, frames)), asked(session))


@pytest.mark.parametrize("size", SIZES)
@EACH
def test_the_grid_of_an_image_is_its_own(family, size) -> None:
    model = adapter(family)
    with torch.no_grad():
        shown = model.encode(video(1, size), [2.5], Cursor())
    assert shown.timestamp == 2.5
    rows, columns = model.patch_grid(*size)
    assert rows * columns == int(shown.visual.sum())
    assert shown.positions[:, 0, 1:-1].amax(-1).tolist() == [1, rows, columns]


@EACH
def test_the_video_side_stays_as_it_was(family) -> None:
    model, frames = around_a_video(family), video(4)
    before = asked(after(model, frames))
    images_side = model.for_images()
    assert images_side.for_images() is images_side
    assert (images_side.frames_per_patch, model.frames_per_patch) == (1, 2)
    assert not images_side.sized_by_length
    assert not torch.equal(asked(after(images_side, frames)), before)
    assert torch.equal(asked(after(model, frames)), before)


@pytest.mark.parametrize("law", ["4 positions", "9 asking"])
@EACH
def test_laws(family, law) -> None:
    check_law(law, StateKVMemory(5), models=st.just(adapter(family)), max_examples=3)


def test_a_model_with_one_way_to_take_frames_says_so() -> None:
    model = InternVL3(*tiny_internvl())
    with pytest.raises(ValueError, match=r"^InternVL3 takes frames in one way only, .* push them"):
        SimpleStream(model, as_images=True)


def test_frame_tokens_are_no_images() -> None:
    model = around_a_video("qwen3_vl")
    with torch.no_grad():
        patch = model.encode(video(2), [None, None], Cursor())
    stream = SimpleStream(model, as_images=True)
    with pytest.raises(
        ValueError, match=r"encoded already .*: push images, or leave out as_images"
    ):
        stream.push(patch)
