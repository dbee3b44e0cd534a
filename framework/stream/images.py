"""Images as they come from users, turned into one kind: uint8 RGB [height, width, 3]; of several
videos side by side [videos, height, width, 3]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from ..frame_tokens import FrameTokens

NESTED = 4  # sequences of sequences of images; deeper ones are no video


def as_images(frames: object) -> list[Tensor]:
    """Frames as a list of [height, width, 3] uint8 tensors, or [videos, height, width, 3].

    Args:
        frames: uint8 tensor or array [frames, height, width, 3] or [height, width, 3], a PIL
            image, or a sequence of those; gray and alpha images are converted to RGB. Of several
            videos [videos, frames, height, width, 3], or a sequence of those; of one as without it.

    Raises:
        ValueError: for other types, other dtypes, other channel counts, images without pixel values
            (sparse, on meta) or no frame at all.
    """
    images = [image for part in _parts(frames, NESTED) for image in _split(_as_tensor(part))]
    if not images:
        raise ValueError("push got no frames: give at least one image")
    return images


def stack_videos(videos: Sequence[object]) -> Tensor:
    """Several videos side by side, for one session: uint8 [videos, frames, height, width, 3].

    Args:
        videos: frames of each as `VideoSession.push` takes them, as many of each and all of one
            size.

    Raises:
        ValueError: naming the numbers of frames or the sizes that differ; for no video, or what
            `push` refuses.
    """
    clips = [as_images(frames) for frames in videos]
    if not clips:
        raise ValueError("stack_videos got no videos: give the frames of at least one")
    if any(image.dim() > 3 for clip in clips for image in clip):
        raise ValueError("one of the videos is a batch itself: give the frames of one video each")
    lengths = [len(clip) for clip in clips]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"videos of one batch must be equally long, these are of {lengths} frames: cut them to "
            f"{min(lengths)}, or give each a session of its own"
        )
    sizes = sorted({tuple(image.shape[:2]) for clip in clips for image in clip})
    if len(sizes) > 1:
        raise ValueError(
            f"frames of one batch must be of one size, these are of {sizes} pixels: resize or crop "
            "the videos, or give each a session of its own"
        )
    return torch.stack([torch.stack(clip) for clip in clips])


def _parts(frames: object, depth: int) -> Iterator[object]:
    """Images and stacks of images, out of sequences of sequences."""
    if not isinstance(frames, Sequence) or isinstance(frames, str | bytes):
        yield frames
        return
    if depth == 0:
        raise ValueError(
            f"frames are sequences nested more than {NESTED} deep: give one sequence of images"
        )
    for part in frames:
        yield from _parts(part, depth - 1)


def _as_tensor(frames: object) -> Tensor:
    if isinstance(frames, FrameTokens):
        raise ValueError("got images and FrameTokens in one push: push them one after the other")
    if isinstance(frames, Tensor):
        return _readable(frames)
    if not isinstance(frames, np.ndarray):
        return torch.from_numpy(_from_pil(frames))
    _require_uint8(frames.dtype, np.dtype(np.uint8))
    return torch.from_numpy(np.require(frames, requirements=["C", "W"]))


def _readable(frames: Tensor) -> Tensor:
    _require_uint8(frames.dtype, torch.uint8)
    if frames.layout != torch.strided:
        raise ValueError(
            f"frames must be dense tensors, got {frames.layout}: convert with .to_dense()"
        )
    if frames.is_meta:
        raise ValueError(
            f"frames of shape {tuple(frames.shape)} lie on the device meta, which holds no pixels: "
            "give tensors with values"
        )
    return frames


def _require_uint8(given: object, wanted: object) -> None:
    if given != wanted:
        raise ValueError(
            f"frames must be uint8 pixels in 0..255, got {given}: scale and convert with "
            ".to(torch.uint8) or .astype(numpy.uint8), or push FrameTokens"
        )


def _from_pil(image: object) -> np.ndarray:
    from PIL import Image

    if not isinstance(image, Image.Image):
        files = "; files are read by crossframe.framework.video.stream_video"
        remedy = files if isinstance(image, str | PathLike) else ""
        raise ValueError(
            "frames must be FrameTokens, PIL images or uint8 [frames, height, width, 3], "
            f"got {type(image).__name__}{remedy}"
        )
    if image.mode == "F" or image.mode.startswith("I"):
        raise ValueError(
            f"PIL images must have 8 bits per channel, got mode {image.mode!r}: scale to 0..255 "
            'and convert("L")'
        )
    try:
        return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"a PIL image of mode {image.mode!r} cannot be read, decode it anew "
            f"({' '.join(str(error).split())[:200]})"
        ) from error


def _split(tensor: Tensor) -> list[Tensor]:
    shape = tuple(tensor.shape)
    if tensor.dim() == 3 and shape[-1] in (1, 3, 4):
        tensor = tensor[None]
    if tensor.dim() not in (4, 5) or shape[-1] not in (1, 3, 4):
        raise ValueError(
            "frames must be [frames, height, width, 3] (or 1 or 4 channels), of several videos "
            f"[videos, frames, height, width, 3], got shape {shape}"
        )
    if 0 in shape[-3:-1] or 0 in shape[:-4]:
        raise ValueError(f"frames have no pixels: shape {shape}")
    if tensor.dim() == 5:
        tensor = tensor[0] if len(tensor) == 1 else tensor.transpose(0, 1)
    return [_to_rgb(image) for image in tensor]


def _to_rgb(image: Tensor) -> Tensor:
    channels = image.shape[-1]
    return image.expand(*image.shape[:-1], 3) if channels == 1 else image[..., :3]
