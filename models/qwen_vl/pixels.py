"""Pixels and times of Qwen-VL and GLM-V: each temporal patch as in the whole video."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor
from transformers.image_utils import SizeDict
from transformers.video_processing_utils import BaseVideoProcessor

MOST_LONG = 200  # the processors' bound on length by width


class QwenVLPixels:
    """The video processor, one temporal patch after the other.

    Args:
        processor: of the checkpoint.
        planned_frames: frames of the whole video, over which its budget of pixels is shared out;
            None for `most_frames`.
        most_frames: that the processor samples from any video.

    Attributes:
        sized_by_length: planned_frames was left open and makes a difference.

    Raises:
        ValueError: for fewer planned frames than make one temporal patch.
    """

    def __init__(self, processor: Any, planned_frames: int | None, most_frames: int) -> None:
        self.video = processor.video_processor
        self.frames_per_patch: int = self.video.temporal_patch_size
        self.planned_frames = most_frames if planned_frames is None else planned_frames
        if self.planned_frames < self.frames_per_patch:
            raise ValueError(
                f"planned_frames must be at least {self.frames_per_patch}, got {planned_frames}: "
                "a single frame is repeated to fill a temporal patch"
            )
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}
        self.sized_by_length = planned_frames is None and self._depends_on_number()

    def for_frames(self, count: int) -> QwenVLPixels:
        """The same for a video of so many frames."""
        twin = copy(self)
        twin.planned_frames, twin._sizes = max(count, self.frames_per_patch), {}
        return twin

    def __call__(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [2 or 1, 3, height, width] as flat patches [patches, numbers], and their grid
        [[1, rows, columns]]; one frame is repeated."""
        height, width = self.size(*frames.shape[-2:])
        target = SizeDict(height=height, width=width)
        resized = BaseVideoProcessor.resize(self.video, frames, target, self.video.resample)
        inputs = self.video(videos=[resized], do_resize=False, do_sample_frames=False)
        return inputs["pixel_values_videos"], inputs["video_grid_thw"]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after the processor's resizing of the planned video.

        Raises:
            ValueError: for frames more than 200 times as long as wide.
        """
        require_not_thin(height, width)
        if (height, width) not in self._sizes:
            self._sizes[height, width] = self._resized(self.planned_frames, height, width)
        return self._sizes[height, width]

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the visual tokens of frames of this size, in the planned video."""
        side = self.video.patch_size * self.video.merge_size
        rows, columns = (pixels // side for pixels in self.size(height, width))
        return rows, columns

    def seconds(self, timestamps: Sequence[float | None], number: int) -> float:
        """The middle between the first and the last frame of a patch, as the processor has it; see
        `times`."""
        known = self.times(timestamps, number)
        return (known[0] + known[-1]) / 2

    def times(self, timestamps: Sequence[float | None], number: int) -> list[float]:
        """Seconds of a patch's frames.

        Args:
            timestamps: of the patch's frames; None where the frames count as sampled at `fps`.
            number: of the patch in its stream.

        Raises:
            ValueError: if some frames have a timestamp and some have none.
        """
        known = [time for time in timestamps if time is not None]
        if not known:
            first = number * self.frames_per_patch
            return [(first + place) / self.video.fps for place in range(len(timestamps))]
        if len(known) < len(timestamps):
            raise ValueError(
                f"frames of one temporal patch came with timestamps {list(timestamps)}: give one "
                "for every frame of a stream or for none"
            )
        return known

    def _resized(self, count: int, height: int, width: int) -> tuple[int, int]:
        # Without any pixels: only the shapes are asked for.
        video = torch.empty((count, 3, height, width), dtype=torch.uint8, device="meta")
        grid = self.video(videos=[video], do_sample_frames=False)["video_grid_thw"][0]
        patch = self.video.patch_size
        return int(grid[1]) * patch, int(grid[2]) * patch

    def _depends_on_number(self) -> bool:
        """Whether large frames of a video beyond any length are made smaller than those of one
        patch."""
        few, many = (self._resized(count, 4096, 4096) for count in (self.frames_per_patch, 10**6))
        return few != many


def require_not_thin(height: int, width: int) -> None:
    """Refuse frames that the processors refuse.

    Raises:
        ValueError: for frames more than 200 times as long as wide.
    """
    if max(height, width) > MOST_LONG * min(height, width):
        raise ValueError(
            f"frames of {height} x {width} pixels are more than {MOST_LONG} times as long as wide, "
            "which the processor refuses: crop or pad the video"
        )
