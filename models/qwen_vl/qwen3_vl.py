"""Qwen3-VL: pairs of frames through transformers' native classes, with DeepStack and M-RoPE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import (
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeForConditionalGeneration,
    Qwen3VLProcessor,
)

from ...framework import Cursor, FrameTokens
from ..chat import require_class
from ..prompt import surround, text_tokens
from .adapter import VIDEO, QwenVL
from .images import QwenVLImages
from .qwen3_vl_prompt import Qwen3VLPrompt

DEEPSTACK = "deepstack"


class Qwen3VL(QwenVL):
    """Adapter for Qwen3-VL checkpoints, dense or mixture of experts.

    Two frames make one temporal patch; a frame left over is repeated, as the processor does.
    Features of the vision tower's inner layers travel as `extras["deepstack"]`
    [1, tokens, levels, hidden], zero at text tokens. Frames without timestamps count as sampled at
    the processor's `fps`, from the start of the stream.

    The processor shares a budget of pixels out over all frames of a video, so their size depends on
    their number. A stream is sized for `planned_frames` from its first frame on and keeps that size
    however long it becomes.

    Args:
        model: `Qwen3VLForConditionalGeneration` or `Qwen3VLMoeForConditionalGeneration`, loaded.
            FLOPs of experts count those a token passes, without the router.
        processor: its `Qwen3VLProcessor`.
        planned_frames: how many frames the stream will have, at least 2; if true, pixels are those
            the processor would make of the whole video. None: the most that the processor samples
            from any video, its `max_frames`; short videos look better with their own number.
        layout: "installed" or "release", see `Qwen3VLPrompt`.

    Raises:
        ValueError: for another model family, another processor, an unknown layout, less than 2
            planned frames, or a tokenizer whose vision tokens are not the model's.
    """

    families: ClassVar[tuple[type, ...]] = (
        Qwen3VLForConditionalGeneration,
        Qwen3VLMoeForConditionalGeneration,
    )

    def __init__(
        self,
        model: Qwen3VLForConditionalGeneration | Qwen3VLMoeForConditionalGeneration,
        processor: Qwen3VLProcessor,
        *,
        planned_frames: int | None = None,
        layout: str = "installed",
    ) -> None:
        require_class(type(self).__name__, model, *self.families)
        require_class(type(self).__name__, processor, Qwen3VLProcessor)
        super().__init__(model, processor, planned_frames)
        self.prompt = Qwen3VLPrompt(processor, layout, model.config)

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """Frames [2 or 1, height, width, 3] as `<t seconds>`, vision start, visual tokens, vision
        end.

        Raises:
            ValueError: if only one of two frames has a timestamp, or frames are more than 200 times
                as long as wide.
        """
        seconds = self.pixels.seconds(timestamps, cursor.frames)
        vision, grid = self.see(frames)
        before = self.prompt.before_ids(seconds, first=cursor.frames == 0)
        after = self.prompt.after_ids()
        patch = surround(self, before, vision.pooler_output[None], after, cursor, seconds)
        return self.placed(patch, vision, len(before), VIDEO, cursor, video_grid_thw=grid)

    def features(self, frames: Tensor) -> dict[str, Tensor]:
        """What the vision side makes of frames [frames, height, width, 3], without their text.

        Args:
            frames: of whole temporal patches, one pair after the other.

        Returns:
            "embeds" [pairs, tokens, hidden] and "deepstack" [pairs, tokens, levels, hidden], where
            `encode` puts visual tokens and their extras.

        Raises:
            ValueError: if a frame is left over.
        """
        if len(frames) % self.frames_per_patch:
            raise ValueError(f"features are of whole pairs, got {len(frames)} frames: add the last")
        vision, grid = self.see(frames)
        pairs = len(grid) * int(grid[0, 0])
        found = {
            "embeds": vision.pooler_output,
            DEEPSTACK: torch.stack(vision.deepstack_features, 1),
        }
        return {name: rows.unflatten(0, (pairs, -1)) for name, rows in found.items()}

    def extras(self, vision: Any, patch: FrameTokens, first: int) -> Mapping[str, Tensor]:
        """DeepStack's features at the patch's visual tokens."""
        levels = torch.stack(vision.deepstack_features, 1)
        spread = patch.embeds.new_zeros(1, patch.num_tokens, *levels.shape[1:])
        spread[:, first : first + len(levels)] = levels.to(spread)
        return {DEEPSTACK: spread}

    def for_images(self) -> QwenVL:
        return Qwen3VLImages(self)

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self.prompt.prologue_ids, cursor)

    def decoder_inputs(self, frame: FrameTokens) -> Mapping[str, Any]:
        if DEEPSTACK not in frame.extras:
            return {}
        levels = frame.extras[DEEPSTACK].to(self.device, self.dtype)
        # The mask only indexes hidden states. Numbers of whole rows do the same sums, as text adds
        # zeros, without the wait for a count that indexing by bool costs on a GPU.
        rows = torch.arange(frame.batch, device=self.device)
        return {"visual_pos_masks": rows, "deepstack_visual_embeds": levels.unbind(2)}


class Qwen3VLImages(QwenVLImages, Qwen3VL):
    """Qwen3-VL with every frame as an image of its own, see `QwenVLImages`."""
