"""PerceptionLM: frames through transformers' native `perception_lm`, no text between them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

from torch import Tensor
from transformers import PerceptionLMForConditionalGeneration, PerceptionLMProcessor

from ..framework import Cursor, FrameTokens
from .chat import ChatDecoder, ChatPrompt, require_class, require_same_id
from .prompt import surround


class PerceptionLM(ChatDecoder):
    """Adapter for PerceptionLM checkpoints.

    Every frame is stretched to one square tile and becomes its pooled visual tokens (256 of
    448 x 448 pixels), without text around them; timestamps do not reach the model. The vision tower
    is timm's: loading a checkpoint needs the extra `families`.

    Args:
        model: a loaded `PerceptionLMForConditionalGeneration`.
        processor: its `PerceptionLMProcessor`.

    Raises:
        ValueError: for another model family, another processor, or one whose video token, pooling
            or chat template does not fit the model.
    """

    def __init__(
        self, model: PerceptionLMForConditionalGeneration, processor: PerceptionLMProcessor
    ) -> None:
        require_class("PerceptionLM", model, PerceptionLMForConditionalGeneration)
        require_class("PerceptionLM", processor, PerceptionLMProcessor)
        super().__init__(model, model.model.language_model)
        self.vlm: Any = model.model
        self.processor: Any = processor
        self._require_fitting()
        side = self.processor.video_processor.size.height // self.processor.patch_size
        self.tokens_per_frame: int = (side // self.processor.pooling_ratio) ** 2
        self.prompt = ChatPrompt(processor, "PerceptionLM")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as its `tokens_per_frame` visual tokens alone."""
        return surround(self, [], self._features(frames), [], cursor, timestamps[0])

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        del height, width  # every frame is stretched to one square tile
        side = isqrt(self.tokens_per_frame)
        return side, side

    def _features(self, frames: Tensor) -> Tensor:
        """[1, tokens_per_frame, hidden] visual tokens of one frame."""
        video = frames.permute(0, 3, 1, 2).to(self.device)
        processor = self.processor.video_processor
        inputs = processor(videos=[video], do_sample_frames=False, return_tensors="pt")
        pixels = inputs["pixel_values_videos"].to(self.device, self.dtype)
        features = self.vlm.get_image_features(pixels, return_dict=True).pooler_output
        return features.to(self.device, self.dtype)

    def _require_fitting(self) -> None:
        token, token_id = self.processor.video_token, self.processor.video_token_id
        require_same_id(token, token_id, self.vlm.config.video_token_id)
        written, pooled = self.processor.pooling_ratio, self.vlm.config.projector_pooling_ratio
        if written != pooled:
            raise ValueError(
                f"the processor counts on pooling by {written}, the model pools by {pooled}: load "
                "the processor of the same checkpoint"
            )
