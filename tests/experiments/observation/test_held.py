"""What is noted of a session is what the session holds, patch for patch and step for step."""

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from crossframe.experiments.observation.contact_sheet import contact_sheet
from crossframe.experiments.observation.held import (
    NEVER_ENTERED,
    FollowedMemory,
    FramePatches,
    HeldTokens,
    shares_over_time,
)
from crossframe.experiments.observation.held_page import (
    NEVER_ENTERED_BYTE,
    as_bytes,
    evenly,
    held_page,
    opening_step,
    page_data,
    shown_frames,
)
from crossframe.experiments.observation.pictures import Picture, PictureTaker
from crossframe.framework import CrossFrameMemory, VideoModel, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.encoding import encode_frames
from crossframe.methods import (
    AdaptiveHeadBudgets,
    FullMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)
from crossframe.models import InternVL3, Qwen3VL
from crossframe.models.tiny import tiny_internvl, tiny_qwen3_vl

MEMORIES = [
    FullMemory(),
    StateKVMemory(9),
    SlidingWindowMemory(2),
    AdaptiveHeadBudgets(StateKVMemory(9)),
    TokenDroppingMemory(ratio=0.5),
    TokenDroppingMemory(StateKVMemory(6), ratio=0.3),
]
MODELS = {
    "reference": ReferenceDecoder,
    "with a prompt": lambda: InternVL3(*tiny_internvl()),
    "pairs of frames": lambda: Qwen3VL(*tiny_qwen3_vl(), planned_frames=8),
}


def video(count: int, size: tuple[int, int] = (64, 96)) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *size, 3), generator=generator).to(torch.uint8)


def followed(
    model: VideoModel, memory: CrossFrameMemory, count: int = 8
) -> tuple[list[FramePatches], list[list[list[set[int]]]], list[Tensor]]:
    """What was noted; [step][layer][head] the tokens held; the visual tokens of each frame."""
    camera, held = PictureTaker(model.frames_per_patch, model.text), HeldTokens(model.spec)
    session = VideoSession(model, FollowedMemory(memory, held))
    frames = [(image, float(place)) for place, image in enumerate(video(count))]
    found, visual = [], []
    for part in encode_frames(model, camera.watch(frames)):
        start = session.cursor.tokens
        session.push(part)
        if part.images:
            found.append([tokens_of(session, n) for n in range(model.spec.num_layers)])
            visual.append(start + part.tokens.visual_mask()[0].nonzero()[:, 0])
    return held.frames(camera.pictures, model.patch_grid), found, visual


def tokens_of(session: VideoSession, layer: int) -> list[set[int]]:
    slots = session.slots(layer)
    return [{index for index in head if index >= 0} for head in slots.index[0].tolist()]


@pytest.mark.parametrize("memory", MEMORIES, ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_shares_are_those_of_the_session_at_every_step(name: str, memory: CrossFrameMemory) -> None:
    model = MODELS[name]()
    noted, found, visual = followed(model, memory)
    assert len(noted) == len(found) == 8 // model.frames_per_patch
    for step, layers in enumerate(found):
        for frame, tokens in list(zip(noted, visual, strict=True))[: step + 1]:
            per_layer = []
            for layer, heads in enumerate(layers):
                share = [sum(token in head for head in heads) for token in tokens.tolist()]
                expected = torch.tensor(share).double() / len(heads)
                per_layer.append(expected)
                assert torch.equal(frame.share(step, layer).flatten(), expected)
            mean = torch.stack(per_layer).mean(0).view(frame.rows, frame.columns)
            assert torch.allclose(frame.share(step), mean)


def test_tokens_left_out_by_the_memory_are_told_apart_from_evicted_ones() -> None:
    model = InternVL3(*tiny_internvl())
    noted, _, _ = followed(model, TokenDroppingMemory(StateKVMemory(6), ratio=0.5))
    first, *later = noted
    assert bool(first.entered.all())  # the first frame has nothing to be equal to
    for frame in later:
        assert int((~frame.entered).sum()) == 2  # of four
        assert (frame.share(0)[~frame.entered] == 0).all()
    evicted, _, _ = followed(model, StateKVMemory(6))
    assert all(bool(frame.entered.all()) for frame in evicted)


def test_pictures_are_the_first_of_each_patch_and_small() -> None:
    camera, frames = PictureTaker(2, str), video(5, (480, 320))
    passed = list(camera.watch((image, n / 2) for n, image in enumerate(frames)))
    assert all(torch.equal(image, frame) for (image, _), frame in zip(passed, frames, strict=True))
    assert [picture.seconds for picture in camera.pictures] == [0.0, 1.0, 2.0]
    assert {picture.pixels.shape for picture in camera.pictures} == {(160, 107, 3)}
    assert {picture.size for picture in camera.pictures} == {(480, 320)}
    exact = frames[2].reshape(160, 3, 320, 3)[:, :, 0].float().mean(1)  # blocks of three rows
    assert abs(float(camera.pictures[1].pixels.mean()) - float(frames[2].float().mean())) < 1
    assert exact.shape == (160, 3)


# The page's table of tokens


@pytest.mark.parametrize("count", [1, 2, 5, 63, 64, 65, 128, 512])
@pytest.mark.parametrize("most", [2, 5, 64, 250])
def test_thinning_is_even_and_keeps_both_ends(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_bytes_tell_at_which_steps_of_the_slider_a_token_was_held() -> None:
    last = torch.tensor([NEVER_ENTERED, -1, 0, 1, 2, 3, 4, 9], dtype=torch.int16)
    assert as_bytes(last, [0, 2, 4, 9]).tolist() == [NEVER_ENTERED_BYTE, 0, 1, 1, 2, 2, 3, 4]


def test_page_data_give_the_same_shares_as_python() -> None:
    noted, _, _ = followed(InternVL3(*tiny_internvl()), StateKVMemory(9))
    shown, steps = [0, 3, 7], [0, 2, 5, 7]
    data = page_data({"a": noted}, shown, steps)
    (memory,) = data["memories"]
    table = np.frombuffer(base64.b64decode(memory["last"]), np.uint8)
    table = table.reshape(data["layers"] * data["heads"], data["tokens"])
    for entry, number in zip(data["frames"], shown, strict=True):
        for place, step in enumerate(steps):
            if step < number:
                continue
            own = table[:, entry["start"] : entry["start"] + entry["rows"] * entry["columns"]]
            expected = noted[number].share(step).flatten().numpy()
            assert np.allclose((own > place).mean(0), expected)


def patches(layers: int, heads: int, tokens: int) -> FramePatches:
    picture = Picture(np.zeros((9, 16, 3), np.uint8), (90, 160), 0.0)
    return FramePatches(picture, 1, tokens, torch.zeros(layers, heads, tokens, dtype=torch.int16))


def test_a_page_shows_at_most_64_frames_and_fewer_of_large_models() -> None:
    assert len(shown_frames([patches(2, 2, 4)] * 64)) == 64
    assert len(shown_frames([patches(2, 2, 4)] * 200)) == 64
    large = [patches(36, 8, 1024)] * 200
    assert 20 <= len(shown_frames(large)) <= 28  # 8 MiB / (36 * 8 * 1024 bytes)
    assert 10 <= len(shown_frames(large, memories=2)) <= 14


def test_a_page_says_what_it_leaves_out() -> None:
    page = held_page("a <video>", {"Some(1)": [patches(1, 1, 2)] * 300}, 2, {"model": "m"})
    assert "a &lt;video&gt;" in page
    for note in (
        "2 frames at a time share their tokens",
        "64 of 300 frames are shown",
        "The slider stops at 250 of 300 steps",
    ):
        assert note in page
    assert "are shown" not in held_page("v", {"Some(1)": [patches(1, 1, 2)] * 64}, 1, {})


def lasting(*steps: int) -> list[FramePatches]:
    """Frames of one token each, held until after these steps."""
    frames = [patches(1, 1, 1) for _ in steps]
    return [
        replace(frame, last=torch.full((1, 1, 1), step, dtype=torch.int16))
        for frame, step in zip(frames, steps, strict=True)
    ]


@pytest.mark.parametrize(
    ("held", "step"),
    [
        ([lasting(2, 2, 2, 3, 4)], 2),  # where two frames behind the newest are bright
        ([lasting(0, 1, 2, 3, 4)], 4),  # nothing is ever bright: the end
        ([lasting(4, 4, 4, 4, 4)], 4),
        ([lasting(3, 3, 2, 3, 4), lasting(0, 1, 2, 3, 4)], 3),  # where they differ in two
        ([lasting(3, 3, 2, 3, 4), lasting(3, 3, 2, 3, 4)], 4),
    ],
)
def test_the_page_opens_where_most_is_to_be_seen(held: list[Any], step: int) -> None:
    assert opening_step(held) == step
    data = page_data({str(n): frames for n, frames in enumerate(held)}, [0, 4], [0, 1, 4])
    assert data["opening"] == {2: 1, 3: 1, 4: 2}[step]  # the slider's last stop before it


# The contact sheet


def test_the_timeline_is_the_mean_of_all_shares() -> None:
    noted, _, _ = followed(InternVL3(*tiny_internvl()), StateKVMemory(9))
    over_time = shares_over_time(noted)
    assert over_time.shape == (8, 8)
    for number, frame in enumerate(noted):
        for step in range(number, 8):
            assert over_time[number, step] == pytest.approx(float(frame.share(step).mean()))


@pytest.mark.parametrize("count", [2, 3, 9])
def test_the_sheet_has_a_picture_for_every_frame_seen_and_labels(count: int) -> None:
    noted, _, _ = followed(InternVL3(*tiny_internvl()), StateKVMemory(9), count)
    figure: Any = contact_sheet(noted, "a title")
    assert figure.get_suptitle() == "a title"
    labels = {axes.get_xlabel() for part in figure.subfigs for axes in part.axes}
    assert "frames seen" in labels
    titles = [axes.get_title() for axes in figure.subfigs[0].axes if axes.get_title()]
    assert titles[0] == "frame 1, 0.0 s"
    assert titles[-1] == f"frame {count}, {count - 1}.0 s"
