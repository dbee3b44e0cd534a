"""What Qwen-VL and GLM-V share: pairs of frames, sized for the length of their stream."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from ...framework import Cursor, FrameTokens
from ..chat import ChatDecoder
from .pixels import QwenVLPixels

VIDEO = 2  # how `get_rope_index` marks the visual tokens of videos


class QwenVL(ChatDecoder):
    """An adapter whose frames pass the vision tower two at a time, around a loaded model and its
    processor; `planned_frames` as of `QwenVLPixels`."""

    position_axes = 3

    def __init__(self, model: Any, processor: Any, planned_frames: int | None) -> None:
        super().__init__(model, model.model.language_model)
        rope = self.config.rope_parameters
        rotated = int(self.spec.head_dim * rope.get("partial_rotary_factor", 1))
        _require_sections(rope.get("mrope_section"), rotated // 2)
        self.vlm: Any = model.model
        self.processor: Any = processor
        most = self.most_sampled(self.processor.video_processor)
        self.pixels: Any = QwenVLPixels(processor, planned_frames, most)
        self.frames_per_patch = self.pixels.frames_per_patch
        self.sized_by_length = self.pixels.sized_by_length

    def most_sampled(self, video_processor: Any) -> int:
        """Frames that the processor takes of a video beyond any length."""
        return video_processor.max_frames

    def see(self, frames: Tensor) -> tuple[Any, Tensor]:
        """What the tower says of frames [frames, height, width, 3], and their grid [1, 3]."""
        tower = self.vlm.visual
        pixels, grid = self.pixels(frames.permute(0, 3, 1, 2).to(tower.device))
        vision = tower(pixels.to(tower.dtype), grid_thw=grid.to(tower.device), return_dict=True)
        return vision, grid

    def placed(
        self, patch: FrameTokens, vision: Any, first: int, kind: int, cursor: Cursor, **grid: Tensor
    ) -> FrameTokens:
        """The patch at the stock model's positions, with what else the tower found.

        Args:
            vision: what the tower says of it, from `see`.
            first: place of its first visual token; all of them stand together.
            kind: `VIDEO` or `IMAGE`.
            grid: from `see`, by its name in `get_rope_index`.
        """
        visual = torch.zeros(1, patch.num_tokens, dtype=torch.int64)
        visual[:, first : first + len(vision.pooler_output)] = 1
        positions, _ = self.vlm.get_rope_index(visual * kind, visual * kind, **grid)
        extras = self.extras(vision, patch, first)
        return replace(patch, positions=positions + cursor.position, extras=extras)

    def extras(self, vision: Any, patch: FrameTokens, first: int) -> Mapping[str, Tensor]:
        """Further decoder inputs of a patch from what the tower found; none by default."""
        del vision, patch, first
        return {}

    def check_image(self, height: int, width: int, cursor: Cursor) -> None:
        del cursor
        self.pixels.size(height, width)

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        return self.pixels.token_grid(height, width)

    def for_stream(self, frames: int, system: str | None = None, fps: float | None = None) -> Self:
        """Sized for a video of so many frames, unless `planned_frames` was given."""
        twin = super().for_stream(frames, system, fps)
        if self.sized_by_length:
            twin = copy(twin)
            twin.pixels = self.pixels.for_frames(frames)
        return twin


def _require_sections(sections: Any, pairs: int) -> None:
    """Refuse shares of the rotary pairs for time, rows and columns that are not all pairs."""
    counts = sections if isinstance(sections, list | tuple) else []
    whole = all(type(count) is int and count >= 0 for count in counts)
    if len(counts) != 3 or not whole or sum(counts) != pairs:
        raise ValueError(
            f"config.json has mrope_section={sections!r}, which are no three numbers of rotary "
            f"pairs with the sum {pairs}: download the checkpoint anew"
        )
