"""Real video files of clips, and what encoding costs them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from PIL import Image

from ...framework.video import stream_video
from .sprites import Picture

# One thread and these settings give the same bytes with the same encoder. Of pictures of two blocks
# across x264's macroblock tree reads memory that nobody wrote: ten files of a clip were five.
ENCODER = {"crf": "18", "preset": "medium", "threads": "1", "mbtree": "0"}


def write_video(
    output: Path, images: Iterable[Image.Image], fps: int, *, movflags: str = "", **options: str
) -> None:
    """Encode images of one size as H.264.

    Args:
        output: an mp4; folders on the way are made.
        movflags: of the container; "faststart" puts its index in front, for players of web pages.
        options: of the encoder.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with av.open(output, "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        for step, image in enumerate(images):
            if step == 0:
                stream.width, stream.height, stream.pix_fmt = *image.size, "yuv420p"
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = step, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_clip(
    output: Path, frames: Picture, fps: int = 2, *, factor: int = 1, **options: str
) -> None:
    """Encode the frames of a clip, [frames, size, size, 3] uint8.

    Args:
        output: an mp4; folders on the way are made.
        factor: pixels across and down for each pixel of the clip. H.264 keeps colours at half the
            size, so that 2 keeps those of 32-pixel clips.
        options: of the encoder, instead of `ENCODER`'s.

    Raises:
        ValueError: for a factor below 1.
    """
    if factor < 1:
        raise ValueError(f"factor must be at least 1, got {factor}")
    write_video(output, _images(frames, factor), fps, **(ENCODER | options))


@dataclass(frozen=True)
class EncodingLoss:
    """How far decoded frames are from those encoded.

    Attributes:
        mean_absolute_error: of a channel's value, out of 255.
        psnr: peak signal-to-noise ratio in decibels over all pixels; infinite without any error.
    """

    mean_absolute_error: float
    psnr: float


def encoding_loss(
    frames: Picture, fps: int = 2, *, factor: int = 1, **options: str
) -> EncodingLoss:
    """Encode a clip as `write_clip` does, decode it as any video of the project, and compare.

    Of an enlarged clip the mean over each block of pixels is compared.

    Raises:
        ValueError: for a factor below 1, or if not as many frames come back.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        write_clip(path, frames, fps, factor=factor, **options)
        decoded = [image.numpy() for image, _ in stream_video(path, fps=None)]
    if len(decoded) != len(frames):
        raise ValueError(f"{len(frames)} frames were encoded, {len(decoded)} came back")
    count, size = frames.shape[:2]
    blocks = np.stack(decoded).reshape(count, size, factor, size, factor, 3)
    errors = blocks.mean((2, 4)) - frames
    square = float((errors * errors).mean())
    psnr = 10 * math.log10(255 * 255 / square) if square else math.inf
    return EncodingLoss(float(abs(errors).mean()), psnr)


def _images(frames: Picture, factor: int) -> Iterator[Image.Image]:
    for frame in frames:
        yield Image.fromarray(frame.repeat(factor, 0).repeat(factor, 1))
