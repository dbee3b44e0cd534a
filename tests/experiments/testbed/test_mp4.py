"""Real files: what is written comes back, nearly, frame for frame."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossframe.experiments.testbed import Setting, make_clip
from crossframe.experiments.testbed.mp4 import encoding_loss, write_clip, write_video
from crossframe.framework.video import probe_video, stream_video

FRAMES = make_clip(Setting(scene=2), 2, 7, 12).frames


def test_a_clip_is_as_many_frames_at_its_rate_and_size(tmp_path: Path) -> None:
    write_clip(tmp_path / "new" / "clip.mp4", FRAMES, 4, factor=3)
    info = probe_video(tmp_path / "new" / "clip.mp4")
    assert (info.width, info.height, info.num_frames) == (96, 96, 12)
    assert info.fps == 4
    assert info.duration == 3
    times = [time for _, time in stream_video(info.path, fps=None)]
    assert times == [step / 4 for step in range(12)]


def test_frames_come_back_in_order(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", FRAMES)
    for image, frame in zip(stream_video(tmp_path / "clip.mp4", fps=None), FRAMES, strict=True):
        errors = abs(FRAMES.astype(int) - image[0].numpy()).mean((1, 2, 3))
        assert (FRAMES[errors.argmin()] == frame).all()


def test_the_same_clip_gives_the_same_file_whatever_memory_held_before(tmp_path: Path) -> None:
    frames = make_clip(Setting(), 1, 2, 32).frames
    rng, files = np.random.default_rng(0), set[bytes]()
    for number in range(8):
        sizes = rng.choice([200, 1000, 3000, 5000, 20_000, 100_000, 400_000], 400)
        garbage = [rng.integers(0, 255, size, np.uint8) for size in sizes]
        del garbage
        write_clip(tmp_path / f"{number}.mp4", frames, 1)
        files.add((tmp_path / f"{number}.mp4").read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize(("factor", "error", "psnr"), [(1, 5.5, 28), (2, 3.0, 36), (4, 2.0, 40)])
def test_the_loss_is_what_the_page_says(factor: int, error: float, psnr: float) -> None:
    loss = encoding_loss(FRAMES, factor=factor)
    assert 0.5 < loss.mean_absolute_error < error
    assert psnr < loss.psnr < psnr + 6


def test_the_loss_is_measured_against_the_frames_that_were_given() -> None:
    still = np.full((4, 32, 32, 3), 128, np.uint8)
    assert encoding_loss(still).mean_absolute_error < 1.5
    coarse, fine = (encoding_loss(FRAMES, factor=2, crf=crf) for crf in ("40", "10"))
    assert coarse.mean_absolute_error > 2 * fine.mean_absolute_error
    assert coarse.psnr < fine.psnr - 6


def test_the_index_stands_in_front_where_that_is_wanted(tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in FRAMES]
    for name, more in (("end.mp4", {}), ("front.mp4", {"movflags": "faststart"})):
        write_video(tmp_path / name, images, 2, **more)
        content = (tmp_path / name).read_bytes()
        assert (content.index(b"moov") < content.index(b"mdat")) == bool(more)


def test_a_factor_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        write_clip(tmp_path / "clip.mp4", FRAMES, factor=0)
