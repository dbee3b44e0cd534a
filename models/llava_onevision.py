"""LLaVA-OneVision: frames through transformers' native `llava_onevision`, pooled two by two."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor

from ..framework import Cursor, FrameTokens
from ..framework.model import Generated, Message, Reading
from .chat import ChatDecoder, ChatPrompt, require_class, require_same_id
from .prompt import surround


class LlavaOnevision(ChatDecoder):
    """Adapter for LLaVA-OneVision checkpoints in transformers' own format (`...-hf`).

    Every frame becomes one square picture, whose features pooled two by two are its visual tokens
    (196 of 384 x 384 pixels), without text around them; timestamps do not reach the model. The
    prompt has one newline feature behind the last frame, which moves on with the stream: it is the
    first token of every question, where the id of `<video>` stands for it.

    Args:
        model: a loaded `LlavaOnevisionForConditionalGeneration`.
        processor: its `LlavaOnevisionProcessor`.

    Raises:
        ValueError: for another model family, another processor, or one whose video token, frame
            size or chat template does not fit the model.
    """

    def __init__(
        self, model: LlavaOnevisionForConditionalGeneration, processor: LlavaOnevisionProcessor
    ) -> None:
        require_class("LlavaOnevision", model, LlavaOnevisionForConditionalGeneration)
        require_class("LlavaOnevision", processor, LlavaOnevisionProcessor)
        super().__init__(model, model.model.language_model)
        self.vlm: Any = model.model
        self.processor: Any = processor
        self._require_fitting()
        vision = self.vlm.config.vision_config
        side = vision.image_size // vision.patch_size
        self.tokens_per_frame = ((side + 1) // 2) ** 2
        self.prompt = ChatPrompt(processor, "LLaVA-OneVision")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as its `tokens_per_frame` visual tokens alone."""
        return surround(self, [], self._features(frames), [], cursor, timestamps[0])

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        del height, width  # every frame is stretched to one square picture
        side = isqrt(self.tokens_per_frame)
        return side, side

    def question_ids(self, question: str) -> Tensor:
        """[1, tokens]: the video token, for the newline behind all frames, then the text.

        Raises:
            ValueError: if the question holds a token that stands for pictures.
        """
        return self.conversation_ids([{"role": "user", "content": question}])

    def conversation_ids(self, messages: Sequence[Message]) -> Tensor:
        newline = torch.tensor([[self.vlm.config.video_token_id]])
        return torch.cat([newline, super().conversation_ids(messages)], 1)

    def embed(self, token_ids: Tensor) -> Tensor:
        """[B, tokens, hidden] of text; the video token's id gives the newline feature."""
        return self._with_newline(token_ids, super().embed(token_ids))

    def generate_each(
        self, token_ids: Tensor, positions: Tensor, reading: Reading, **options: Any
    ) -> list[Generated]:
        """As every decoder does, with token_ids, not the new tokens, embedded as by `embed`."""

        def embedded(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            handle.remove()  # what is generated has the plain embeddings, as in the stock model
            return self._with_newline(args[0], output)

        handle = self.decoder.get_input_embeddings().register_forward_hook(embedded)
        try:
            return super().generate_each(token_ids, positions, reading, **options)
        finally:
            handle.remove()

    def _with_newline(self, token_ids: Tensor, embeds: Tensor) -> Tensor:
        text = (token_ids != self.vlm.config.video_token_id).to(embeds.device)
        return embeds.where(text[..., None], self.vlm.image_newline.to(embeds))

    def _features(self, frames: Tensor) -> Tensor:
        """[1, tokens_per_frame, hidden] pooled visual tokens of one frame."""
        video = frames.permute(0, 3, 1, 2).to(self.device)
        processor = self.processor.video_processor
        inputs = processor(videos=[video], do_sample_frames=False, return_tensors="pt")
        pixels = inputs["pixel_values_videos"].to(self.device, self.dtype)
        features = self.vlm.get_video_features(pixels, return_dict=True).pooler_output
        # Some versions of transformers put the newline behind the frame here, some later.
        return features[:, : self.tokens_per_frame].to(self.device, self.dtype)

    def _require_fitting(self) -> None:
        token, token_id = self.processor.video_token, self.processor.video_token_id
        require_same_id(token, token_id, self.vlm.config.video_token_id)
        side, size = self.vlm.config.vision_config.image_size, self.processor.video_processor.size
        if (size.height, size.width) != (side, side):
            raise ValueError(
                f"the processor makes frames of {size.height} x {size.width} pixels, the model "
                f"takes {side} x {side}: load the processor of the same checkpoint"
            )
