"""Qwen2.5-VL: pairs of frames through transformers' native classes, in one block of vision."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from ...framework import Cursor, FrameTokens
from ..chat import ChatPrompt, require_class, require_same_id
from ..prompt import surround
from .adapter import VIDEO, QwenVL
from .images import QwenVLImages

USUAL_FPS = 2.0


class Qwen2_5VL(QwenVL):
    """Adapter for Qwen2.5-VL checkpoints.

    Two frames make one temporal patch; a frame left over is repeated, as the processor does. One
    pair of vision markers surrounds the whole video: the start ends the prologue, the end begins
    every question. All frames of a stream must have one size.

    Rotary positions in time count from the video's start at the declared `fps`, whatever the
    timestamps say. Text goes on behind the rows and columns of one patch, however long the video
    is, as in the stock model: positions in time run past it.

    Args:
        model: a loaded `Qwen2_5_VLForConditionalGeneration`.
        processor: its `Qwen2_5_VLProcessor`.
        fps: frames per second at which the stream is pushed. None: as `for_stream` is told, and 2,
            at which the processor samples, where that is not known.
        planned_frames: how many frames the stream will have; matters only where the video processor
            shares pixels out over a video (`cap_pixels_per_frame`). None: its `max_frames`.

    Raises:
        ValueError: for another model family, a processor that does not fit it, or an impossible
            `fps` or `planned_frames`.
    """

    def __init__(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        processor: Qwen2_5_VLProcessor,
        *,
        fps: float | None = None,
        planned_frames: int | None = None,
    ) -> None:
        require_class("Qwen2_5VL", model, Qwen2_5_VLForConditionalGeneration)
        require_class("Qwen2_5VL", processor, Qwen2_5_VLProcessor)
        if fps is not None and not 0 < fps < float("inf"):
            raise ValueError(f"fps must be a number of frames per second above 0, got {fps!r}")
        super().__init__(model, processor, planned_frames)
        self.fps, self._fps_given = fps or USUAL_FPS, fps is not None
        self._times = torch.empty(0, dtype=torch.int64)
        require_same_id(
            self.processor.video_token,
            self.processor.video_token_id,
            self.hf_model.config.video_token_id,
        )
        self.prompt = ChatPrompt(processor, "Qwen2.5-VL")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """Frames [2 or 1, height, width, 3] as their visual tokens alone.

        Raises:
            ValueError: if they take other numbers of tokens or positions than the patches before.
        """
        vision, grid = self.see(frames)
        patch = surround(self, [], vision.pooler_output[None], [], cursor, timestamps[0])
        start, kinds = len(self.prompt.prefix_ids), torch.full((1, patch.num_tokens), VIDEO)
        positions = self._positions(kinds, grid) + start
        behind = int(positions.max()) + 1
        self._require_one_size(frames.shape[1:3], patch.num_tokens, behind, cursor)
        positions[0] += self._time(cursor.frames)
        return replace(patch, positions=positions, next_position=behind)

    def check_image(self, height: int, width: int, cursor: Cursor) -> None:
        rows, columns = self.patch_grid(height, width)
        if cursor.frames:
            behind = len(self.prompt.prefix_ids) + max(rows, columns)
            self._require_one_size((height, width), rows * columns, behind, cursor)

    def for_stream(self, frames: int, system: str | None = None, fps: float | None = None) -> Self:
        """Sized for a video of so many frames, with times of this rate, unless `planned_frames` or
        `fps` was given."""
        twin = super().for_stream(frames, system, fps)
        if fps is not None and not self._fps_given:
            twin = copy(twin)
            twin.fps, twin._times = fps, torch.empty(0, dtype=torch.int64)
        return twin

    def for_images(self) -> QwenVL:
        return Qwen2_5VLImages(self)

    def _require_one_size(
        self, size: Sequence[int], tokens: int, behind: int, cursor: Cursor
    ) -> None:
        """Refuse a patch of other numbers of tokens or positions than those before it."""
        start = len(self.prompt.prefix_ids)
        seen = start + cursor.frames * tokens
        if (cursor.tokens, cursor.position) != (seen, behind if cursor.frames else start):
            raise ValueError(
                f"frames of {tuple(size)} became {tokens} tokens, which is not what the "
                f"{cursor.frames} temporal patches before them have: resize all frames of a stream "
                "to one size"
            )

    def _time(self, number: int) -> int:
        """The position in time of a temporal patch, counted from the first one's."""
        if number >= len(self._times):
            kinds = torch.full((1, 2 * number + 16), VIDEO)
            side = self.vlm.config.vision_config.spatial_merge_size
            grid = torch.tensor([[kinds.shape[1], side, side]])
            self._times = self._positions(kinds, grid)[0, 0]
        return int(self._times[number])

    def _positions(self, kinds: Tensor, grid: Tensor) -> Tensor:
        """[3, 1, tokens] of a video alone, as the installed transformers rounds its times."""
        times = {"second_per_grid_ts": torch.tensor([self.frames_per_patch / self.fps])}
        return self.vlm.get_rope_index(kinds, kinds, video_grid_thw=grid, **times)[0]


class Qwen2_5VLImages(QwenVLImages, Qwen2_5VL):
    """Qwen2.5-VL with every frame as an image of its own, see `QwenVLImages`."""
