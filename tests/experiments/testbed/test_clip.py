"""Clips: the same bits from the same seed, and pictures that show what the truth says."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossframe.experiments.testbed import Setting, make_clip, make_truth
from crossframe.experiments.testbed.backgrounds import tiles
from crossframe.experiments.testbed.kinds import BACKGROUNDS, COLOURS, SHAPES
from crossframe.experiments.testbed.sprites import Stamp, bar, mask_of, press

CROWDED = Setting(distractors=3, occlusion=0.5, scene=(1, 6))
# Hashes of what these settings drew when they were published. If one changes, so do all results.
PUBLISHED = {
    Setting(): "611b21939a8b8302",
    CROWDED: "e4156bbdbed93316",
    Setting(size=64, background="static", every=2): "f0990759ce054470",
    Setting(stage="cups", scene=3): "711db16f6bed8011",
    Setting(stage="exits", scene=3, size=128): "b7496cd797b1ee7d",
}
settings = st.builds(
    Setting,
    size=st.sampled_from((32, 36, 64)),
    stage=st.sampled_from(("scenes", "cups", "exits")),
    background=st.sampled_from(("static", "changing")),
    scene=st.integers(1, 9),
    cuts=st.sampled_from((0.0, 0.5, 1.0)),
    distractors=st.integers(0, 3),
    motion=st.integers(0, 16),
    occlusion=st.sampled_from((0.0, 0.5)),
    presence=st.sampled_from((0.0, 0.65, 1.0)),
    every=st.sampled_from((1, 2)),
)
seeds = st.integers(0, 2**32 - 1)


def pixels(setting: Setting, seed: int = 5) -> str:
    return hashlib.sha256(make_clip(setting, 2, seed, 24).frames.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("setting", PUBLISHED, ids=lambda setting: setting.stage)
def test_bits_are_those_that_were_published(setting: Setting) -> None:
    assert pixels(setting) == PUBLISHED[setting]


@given(setting=settings, seed=seeds)
def test_a_clip_is_made_of_its_seed_alone(setting: Setting, seed: int) -> None:
    one, again = (make_clip(setting, 0, seed, 12) for _ in range(2))
    assert (one.frames == again.frames).all()
    assert one.truth.scenes == again.truth.scenes == make_truth(setting, 0, seed, 12).scenes
    assert one.frames.shape == (12, setting.size, setting.size, 3)
    assert one.frames.dtype == np.uint8
    other = make_clip(setting, 0, (seed + 1) % 2**32, 12)
    assert (one.frames != other.frames).any()


@given(setting=settings, seed=seeds)
def test_truth_by_frame_is_that_of_its_scenes(setting: Setting, seed: int) -> None:
    truth = make_truth(setting, 0, seed, 24)
    shape, colour = [-1] * 24, [-1] * 24
    for scene in truth.scenes:
        for frame in range(scene.start, scene.end):
            shape[frame], colour[frame] = scene.shape, scene.colour
    assert truth.shape.tolist() == shape
    assert truth.colour.tolist() == colour
    assert ((truth.place >= 0) == (truth.shape >= 0)).all()
    assert ((truth.background >= 0) & (truth.background < len(BACKGROUNDS))).all()


@given(setting=settings, seed=seeds)
def test_things_change_at_multiples_of_every_only(setting: Setting, seed: int) -> None:
    clip = make_clip(setting, 0, seed, 12)
    for frame in range(12):
        first = frame - frame % setting.every
        assert (clip.frames[frame] == clip.frames[first]).all()


@given(seed=seeds, scene=st.integers(1, 6), cuts=st.sampled_from((0.0, 0.5)))
def test_a_static_background_stays_pixel_for_pixel_until_a_cut(
    seed: int, scene: int, cuts: float
) -> None:
    setting = Setting(background="static", scene=scene, cuts=cuts, presence=0, distractors=2)
    clip = make_clip(setting, 0, seed, 24)
    for one, other in pairwise(range(24)):
        same = (clip.frames[one] == clip.frames[other]).all()
        assert same == (clip.truth.background[one] == clip.truth.background[other])


def test_a_changing_background_changes_in_every_frame() -> None:
    frames = make_clip(Setting(cuts=0, presence=0), 0, 1, 24).frames
    assert all((one != other).any() for one, other in pairwise(frames))


@given(seed=seeds, size=st.sampled_from((32, 64, 128)))
def test_the_object_is_where_and_in_the_colour_that_truth_says(seed: int, size: int) -> None:
    clip = make_clip(Setting(size=size, motion=8, scene=3), 0, seed, 24)
    for frame, shape, colour, place in zip(
        clip.frames, clip.truth.shape, clip.truth.colour, clip.truth.place, strict=True
    ):
        for number, rgb in enumerate(COLOURS.values()):
            near = frame.astype(int) - np.array(rgb)
            shown = ((near >= 0) & (near <= 15)).all(-1)
            assert shown.any() == (number == colour)
            if number == colour:
                rows, columns = np.nonzero(shown)
                high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
                assert 11 * size // 32 <= max(high, wide) <= 17 * size // 32
                if SHAPES[shape] in ("circle", "square", "ring", "cross"):
                    middle = rows.min() + rows.max() + 1, columns.min() + columns.max() + 1
                    assert place == 2 * (middle[0] > size) + (middle[1] > size)


@given(seed=seeds, setting=settings)
def test_neighbouring_objects_differ_in_shape_and_once_means_once(
    seed: int, setting: Setting
) -> None:
    truth = make_truth(setting, 0, seed, 48)
    shapes = [scene.shape for scene in truth.scenes]
    if setting.stage != "cups":
        assert all(one != other for one, other in pairwise(shapes))
        assert all(shapes.count(shape) == 1 for shape in truth.once)
        assert set(shapes) <= {*truth.regular, *truth.once}
        assert not {*truth.regular} & {*truth.once}


def test_shares_are_as_the_setting_says() -> None:
    truths = [make_truth(Setting(cuts=0.3), 0, seed, 32) for seed in range(300)]
    shown = np.mean([(truth.shape >= 0).mean() for truth in truths])
    cut = np.mean([(np.diff(truth.background) != 0).mean() for truth in truths])
    assert abs(shown - 0.65) < 0.02
    assert abs(cut - 0.3) < 0.02


def test_the_length_of_scenes_is_drawn_per_clip() -> None:
    lengths = set()
    for seed in range(60):
        truth = make_truth(Setting(scene=(2, 5), presence=1), 0, seed, 60)
        own = {scene.end - scene.start for scene in truth.scenes[:-1]}
        assert len(own) == 1
        lengths |= own
    assert lengths == {2, 3, 4, 5}


def test_a_bar_covers_part_of_the_object_and_never_all_of_it() -> None:
    bare, barred = (
        make_clip(Setting(occlusion=share, scene=4, presence=1), 0, 7, 40).frames
        for share in (0.0, 1.0)
    )
    hidden = (bare != barred).any(-1).mean((1, 2))
    assert hidden.max() > 0.01
    assert hidden.max() <= 4 * 16 / 32**2


def coloured(frame: np.ndarray, colour: int) -> np.ndarray:
    near = frame.astype(int) - np.array(list(COLOURS.values())[colour])
    return np.argwhere(((near >= 0) & (near <= 15)).all(-1))


def test_the_ball_is_shown_over_its_cup() -> None:
    for seed in range(40):
        clip = make_clip(Setting(stage="cups", scene=2), 0, seed, 24)
        for scene in clip.truth.scenes:
            _, columns = coloured(clip.frames[scene.start], scene.colour).T
            assert int(columns.mean() / (32 / 3)) == scene.cup


def test_a_swap_shows_the_third_cup_at_rest_and_the_other_two_gone() -> None:
    for seed in range(20):
        clip = make_clip(Setting(stage="cups", scene=3, cuts=0, background="static"), 0, seed, 24)
        rest = make_clip(Setting(stage="cups", scene=3, cuts=0, presence=0), 0, seed, 24)
        assert not rest.truth.swaps
        for swap in clip.truth.swaps:
            middle = clip.frames[swap.start + 1].astype(int)
            near = middle - np.array((176, 128, 84))
            wood = np.asarray(((near >= 0) & (near <= 15)).all(-1))
            (third,) = {0, 1, 2} - {swap.first, swap.second}
            assert wood[21, 4 + 10 * third : 9 + 10 * third].all()
            assert wood[:10].any()  # one passes above
            assert wood[24:].any()  # and one below


def test_an_object_leaves_by_the_side_that_truth_says() -> None:
    for seed in range(40):
        clip = make_clip(Setting(stage="exits", scene=3), 0, seed, 24)
        for scene in clip.truth.scenes:
            if scene.end - scene.start == 3 and SHAPES[scene.shape] == "square":
                rows, columns = coloured(clip.frames[scene.end - 1], scene.colour).T
                touched = columns.min() == 0, columns.max() == 31, rows.min() == 0, rows.max() == 31
                assert touched == tuple(side == scene.side for side in range(4))


def test_shapes_differ_from_one_another_at_every_size() -> None:
    for side in range(13, 65):
        masks = [mask_of(shape, side) for shape in SHAPES]
        for number, mask in enumerate(masks):
            assert mask[:, side // 4 : -side // 4].any(axis=0).all()
            assert (mask == mask[:, ::-1]).mean() > 0.97  # upright
            for other in masks[number + 1 :]:
                assert (mask != other).mean() > 0.08


def test_kinds_of_background_differ_from_one_another_and_repeat_as_they_drift() -> None:
    for size in (32, 64, 128):
        images = tiles(size).astype(int)
        assert (images[:, :size] == images[:, size:]).all()
        assert (images[:, :, :size] == images[:, :, size:]).all()
        for number, image in enumerate(images):
            for other in images[number + 1 :]:
                assert abs(image - other).mean() > 4


def test_a_stamp_may_leave_the_picture_on_every_side() -> None:
    for top, left, covered in ((-3, -3, 4), (6, 6, 4), (2, 2, 25), (-9, 0, 0), (0, 8, 0)):
        picture = np.zeros((8, 8, 3), np.uint8)
        press(picture, Stamp(bar(5, 5), (9, 9, 9), top, left))
        assert (picture == 9).all(-1).sum() == covered


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape must be one of circle, .*, got 'heart'"):
        mask_of("heart", 14)


@pytest.mark.parametrize(
    ("part", "seed", "frames", "message"),
    [
        (3, 0, 8, r"part must be one of 0 \(train\), 1 \(search\), 2 \(judge\), got 3"),
        (0, -1, 8, r"seed must be 0 to 4294967295, got -1"),
        (0, 2**32, 8, r"seed must be 0 to 4294967295, got 4294967296"),
        (0, 0, 9, r"frames must be a multiple of every, 2, and at least that; got 9"),
        (0, 0, 0, r"frames must be a multiple of every, 2, and at least that; got 0"),
    ],
)
def test_clips_that_there_are_not_are_refused(
    part: int, seed: int, frames: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_clip(Setting(every=2), part, seed, frames)
