"""Images as they come from users, turned into one kind: uint8 RGB [height, width, 3]."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor


def as_images(frames: object) -> list[Tensor]:
    """Frames as a list of [height, width, 3] uint8 tensors.

    Args:
        frames: uint8 tensor or array [frames, height, width, 3] or [height, width, 3], a PIL
            image, or a sequence of those; gray and alpha images are converted to RGB.

    Raises:
        ValueError: for other types, other dtypes, other channel counts or no frame at all.
    """
    if isinstance(frames, Sequence) and not isinstance(frames, str | bytes):
        images = [image for part in frames for image in as_images(part)]
    else:
        images = _split(_as_tensor(frames))
    if not images:
        raise ValueError("push got no frames: give at least one image")
    return images


def _as_tensor(frames: object) -> Tensor:
    if isinstance(frames, Tensor):
        tensor = frames
    elif isinstance(frames, np.ndarray):
        tensor = torch.from_numpy(np.require(frames, requirements=["C", "W"]))
    else:
        tensor = torch.from_numpy(_from_pil(frames))
    if tensor.dtype != torch.uint8:
        raise ValueError(
            f"frames must be uint8 pixels in 0..255, got {tensor.dtype}: scale and convert with "
            ".to(torch.uint8), or push FrameTokens"
        )
    return tensor


def _from_pil(image: object) -> np.ndarray:
    from PIL import Image

    if not isinstance(image, Image.Image):
        raise ValueError(
            "frames must be FrameTokens, PIL images or uint8 [frames, height, width, 3], "
            f"got {type(image).__name__}"
        )
    return np.array(image.convert("RGB"))


def _split(tensor: Tensor) -> list[Tensor]:
    if tensor.dim() == 3 and tensor.shape[-1] in (1, 3, 4):
        tensor = tensor[None]
    if tensor.dim() != 4 or tensor.shape[-1] not in (1, 3, 4):
        raise ValueError(
            "frames must be [frames, height, width, 3] (or 1 or 4 channels), "
            f"got shape {tuple(tensor.shape)}"
        )
    if 0 in tensor.shape[1:3]:
        raise ValueError(f"frames have no pixels: shape {tuple(tensor.shape)}")
    return [_to_rgb(image) for image in tensor]


def _to_rgb(image: Tensor) -> Tensor:
    channels = image.shape[-1]
    return image.expand(-1, -1, 3) if channels == 1 else image[..., :3]


def as_timestamps(timestamps: Sequence[float] | float | None, count: int) -> Sequence[float | None]:
    """One timestamp per frame, None where unknown.

    Raises:
        ValueError: if their number differs from the number of frames.
    """
    if timestamps is None:
        return [None] * count
    given = timestamps if isinstance(timestamps, Iterable) else [timestamps]
    times = [None if time is None else float(time) for time in given]
    if len(times) != count:
        raise ValueError(f"{count} frames came with {len(times)} timestamps; give one per frame")
    return times
