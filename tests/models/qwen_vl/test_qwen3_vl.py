"""The Qwen3-VL adapter: times, frame sizes and pixels as the installed processor has them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import Cursor, FrameTokens
from crossframe.models.qwen_vl.qwen3_vl import Qwen3VL

from ...every import NATIVE
from ..stock import processed
from ..streams import asked, session_after, video


def adapter(planned: int | None = 4, layout: str = "installed") -> Any:
    return NATIVE["qwen3_vl"].model(planned_frames=planned, layout=layout)


def encoded(model: Qwen3VL, frames: Tensor, times: Any = None, number: int = 0) -> FrameTokens:
    with torch.no_grad():
        return model.encode(frames, times or [None] * len(frames), Cursor(9, number, 7))


# Time


def test_frames_without_timestamps_count_as_sampled_at_the_processors_rate():
    assert adapter().pixels.video.fps == 2
    session, timed, later = (session_after(adapter()) for _ in range(3))
    session.push(video(3))
    timed.push(video(3), [0.0, 0.5, 1.0])
    later.push(video(3), [0.0, 5.0, 10.0])
    assert torch.equal(asked(session), asked(timed))
    assert not torch.equal(asked(session), asked(later))
    assert encoded(adapter(), video(2), number=10).timestamp == 10.25


def test_a_patch_half_of_which_has_a_timestamp_is_refused():
    session = session_after(adapter())
    session.push(video(3)[0], 0.0)
    with pytest.raises(ValueError, match=r"timestamps \[0.0, None\]: give one for every frame"):
        session.push(video(3)[1])
    session.push(video(3)[1:], [0.5, 1.0])
    assert torch.equal(asked(session), asked(session_after(adapter(), video(3))))


# Frame sizes


@pytest.mark.parametrize("size", [(70, 100), (100, 70), (20, 31), (301, 17), (720, 1280)])
@pytest.mark.parametrize("planned", [2, 3, 5, 8, 23])
def test_planned_frames_give_the_size_of_a_video_of_that_many(planned, size):
    model = adapter(planned)
    whole = processed(model, video(planned, size), fps=2.0)
    rows, columns = whole["video_grid_thw"][0, 1:].tolist()
    assert model.pixels.size(*size) == (16 * rows, 16 * columns)
    pixels, grid = model.pixels(video(planned, size)[:2].permute(0, 3, 1, 2))
    assert grid.tolist() == [[1, rows, columns]]
    assert torch.equal(pixels.to(model.dtype), whole["pixel_values_videos"][: rows * columns])


def test_without_a_plan_frames_are_sized_for_the_longest_video():
    most = adapter().pixels.video.max_frames
    assert most == 24
    assert adapter(None).pixels.size(70, 100) == adapter(most).pixels.size(70, 100)
    assert adapter(None).pixels.size(70, 100) != adapter(4).pixels.size(70, 100)


def test_a_stream_may_outgrow_its_plan_and_keeps_its_size():
    session = session_after(adapter(4), video(8))
    assert session.slots(0).visual[0, 0].sum() == 4 * 6


def test_the_size_may_change_between_patches_and_not_inside_one():
    session = session_after(adapter(), video(2), video(2, (40, 40)), video(2, (2160, 3840)))
    found = session.slots(0)
    counts = [int((found.visual & (found.frame == n))[0, 0].sum()) for n in range(3)]
    assert counts == [6, 1, 8]
    session.push(video(1))
    with pytest.raises(ValueError, match="one temporal patch differ in size"):
        session.push(video(1, (40, 40)))
    session.push(video(1))


def test_frames_too_long_for_the_processor_are_refused():
    with pytest.raises(
        ValueError, match=r"1 x 300 pixels are more than 200 times as long as wide.*crop or pad"
    ):
        session_after(adapter(), video(2, (1, 300)))


# The vision tower


def test_features_of_single_patches_equal_those_of_the_whole_video():
    model, frames = adapter(5), video(5)
    whole = processed(model, frames, fps=2.0)
    pixels = whole["pixel_values_videos"]
    with torch.no_grad():
        found = model.hf_model.model.visual(pixels, whole["video_grid_thw"], return_dict=True)
    levels = torch.stack(found.deepstack_features, 1)
    for number, pair in enumerate(frames.split(2)):
        patch, own = encoded(model, pair, number=number), slice(6 * number, 6 * number + 6)
        visual = patch.visual_mask()
        assert (patch.embeds[visual] - found.pooler_output[own]).abs().max() <= 1e-9
        assert (patch.extras["deepstack"][visual] - levels[own]).abs().max() <= 1e-9
        assert levels.shape[1] == 2
        assert (patch.extras["deepstack"][~visual] == 0).all()


# What does not belong together


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"one of \('installed', 'release'\), got 'chat'"):
        adapter(layout="chat")
    for planned in (1, 0, -4):
        with pytest.raises(ValueError, match=f"planned_frames must be at least 2, got {planned}"):
            adapter(planned)
