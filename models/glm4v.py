"""GLM-4.1V, 4.5V and 4.6V: pairs of frames through transformers' native classes, with times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import (
    Glm4vForConditionalGeneration,
    Glm4vMoeForConditionalGeneration,
    Glm4vProcessor,
    Glm46VForConditionalGeneration,
    Glm46VProcessor,
)
from transformers.video_utils import VideoMetadata

from ..framework import Cursor, FrameTokens
from .chat import ChatPrompt, require_class, require_same_id
from .prompt import surround
from .qwen_vl.adapter import VIDEO, QwenVL

FAMILIES = (
    Glm4vForConditionalGeneration,
    Glm46VForConditionalGeneration,
    Glm4vMoeForConditionalGeneration,
)
LONG = 2400  # seconds, beyond which both processors sample no more frames


class GLM4V(QwenVL):
    """Adapter for GLM-4.1V, 4.5V and 4.6V checkpoints, dense or mixture of experts.

    Two frames make one temporal patch; a frame left over is repeated, as the processor does. Every
    patch stands between image markers, behind them the time of its first frame as the processor
    writes it: whole seconds up to 4.5V, tenths in 4.6V. Frames without timestamps count as sampled
    at the processor's `fps`, from the start of the stream. Half of each head is rotated.

    The processor shares a budget of pixels out over all frames of a video, so their size depends on
    their number, as in `Qwen3VL`.

    Args:
        model: a loaded `Glm4vForConditionalGeneration`, `Glm46VForConditionalGeneration` or
            `Glm4vMoeForConditionalGeneration`. FLOPs of experts count those a token passes, without
            the router.
        processor: its `Glm4vProcessor` or `Glm46VProcessor`.
        planned_frames: how many frames the stream will have, at least 2; if true, pixels are those
            the processor would make of the whole video. None: the most that the processor samples
            from any video.

    Raises:
        ValueError: for another model family, another processor, less than 2 planned frames, or a
            tokenizer whose image token is not the model's.
    """

    def __init__(
        self,
        model: (
            Glm4vForConditionalGeneration
            | Glm46VForConditionalGeneration
            | Glm4vMoeForConditionalGeneration
        ),
        processor: Glm4vProcessor | Glm46VProcessor,
        *,
        planned_frames: int | None = None,
    ) -> None:
        require_class("GLM4V", model, *FAMILIES)
        require_class("GLM4V", processor, Glm4vProcessor, Glm46VProcessor)
        super().__init__(model, processor, planned_frames)
        token, token_id = self.processor.image_token, self.processor.image_token_id
        require_same_id(token, token_id, self.hf_model.config.image_token_id)
        self.prompt = ChatPrompt(processor, "GLM-V")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """Frames [2 or 1, height, width, 3] as image start, visual tokens, image end, seconds.

        Raises:
            ValueError: if only one of two frames has a timestamp, or frames are more than 200 times
                as long as wide.
        """
        seconds = self.pixels.times(timestamps, cursor.frames)[0]
        vision, grid = self.see(frames)
        before, after = self._markers(seconds)
        patch = surround(self, before, vision.pooler_output[None], after, cursor, seconds)
        return self.placed(patch, vision, len(before), VIDEO, cursor, video_grid_thw=grid)

    def most_sampled(self, video_processor: Any) -> int:
        endless = VideoMetadata(total_num_frames=LONG, fps=1.0, duration=LONG)
        return len(video_processor.sample_frames(endless))

    def _markers(self, seconds: float) -> tuple[list[int], list[int]]:
        """Token ids before and after a patch's visual tokens."""
        text = self.processor.replace_frame_token_id(seconds)
        before, _, after = text.partition(self.processor.image_token)
        return self.prompt.tokenize(before), self.prompt.tokenize(after)
