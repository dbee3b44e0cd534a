"""InternVL3 and InternVL3.5: frames through transformers' native `internvl`, one tile each."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor
from transformers import InternVLForConditionalGeneration, InternVLProcessor

from ...framework import Cursor, FrameTokens
from ...framework.model import Message
from ..chat import ChatDecoder, ChatPrompt, require_class, require_same_id
from ..prompt import stable_prefix, surround, text_tokens

LAYOUTS = ("chat", "video_first")


class InternVL3(ChatDecoder):
    """Adapter for InternVL3 and InternVL3.5 checkpoints in transformers' own format (`...-hf`).

    The two differ in their decoder, Qwen2.5 or Qwen3 (dense or mixture of experts), nothing else.
    Every frame is resized to one tile by the checkpoint's video processor and becomes
    `image_seq_length` visual tokens (256) between text markers.

    Args:
        model: a loaded `InternVLForConditionalGeneration`.
        processor: its `InternVLProcessor`.
        layout: "chat" is the model's own prompt: chat prefix, `Frame1: <img>...</img>` joined by
            newlines, question. "video_first" is the layout of StateKV's release:
            `<img>...</img>` and a newline per frame (259 tokens), then the whole chat template.

    Raises:
        ValueError: for another model family, another processor, an unknown layout, or a tokenizer
            whose image tokens are not the model's.
    """

    def __init__(
        self,
        model: InternVLForConditionalGeneration,
        processor: InternVLProcessor,
        *,
        layout: str = "chat",
    ) -> None:
        require_class("InternVL3", model, InternVLForConditionalGeneration)
        require_class("InternVL3", processor, InternVLProcessor)
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}")
        super().__init__(model, model.model.language_model)
        self.vlm: Any = model
        self.processor: Any = processor
        self.layout = layout
        token_id = self.processor.image_token_id
        require_same_id(self.processor.image_token, token_id, self.vlm.config.image_token_id)
        self.prompt = ChatPrompt(processor, "InternVL3")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as lead-in, `<img>`, visual tokens, `</img>`, tail."""
        before, after = self._markers(cursor)
        features = self.features(frames)["embeds"]
        return surround(self, before, features, after, cursor, timestamps[0])

    def features(self, frames: Tensor) -> dict[str, Tensor]:
        """What the vision side makes of frames [frames, height, width, 3], without their text.

        Returns:
            "embeds" [frames, image_seq_length, hidden], where `encode` puts visual tokens.
        """
        video = frames.permute(0, 3, 1, 2).to(self.device)
        inputs = self.processor.video_processor(videos=[video], return_tensors="pt")
        pixels = inputs["pixel_values_videos"].flatten(0, 1).to(self.device, self.dtype)
        features = self.vlm.model.get_image_features(pixels, return_dict=True).pooler_output
        return {"embeds": features.to(self.device, self.dtype)}

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        del height, width  # every frame is stretched to one square tile
        side = isqrt(self.processor.image_seq_length)
        return side, side

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self._around_first_frame()[0], cursor)

    def question_ids(self, question: str) -> Tensor:
        return self.conversation_ids([{"role": "user", "content": question}])

    def conversation_ids(self, messages: Sequence[Message]) -> Tensor:
        if self.layout == "chat":
            return super().conversation_ids(messages)
        first, *further = messages
        self.prompt.refuse_turns(first["content"], further)
        text = self.prompt.render([{"type": "text", "text": first["content"]}], further)
        return torch.tensor([self.prompt.tokenize(text)])

    def _markers(self, cursor: Cursor) -> tuple[list[int], list[int]]:
        """Token ids before and after a frame's visual tokens."""
        start = [self.processor.start_image_token_id]
        end = [self.processor.end_image_token_id]
        if self.layout == "video_first":
            return start, end + self.prompt.tokenize("\n")
        return self._lead_ids(cursor.frames) + start, end

    def _lead_ids(self, number: int) -> list[int]:
        if number:
            return self.prompt.tokenize(f"\nFrame{number + 1}: ")
        return self._around_first_frame()[1]

    def _around_first_frame(self) -> tuple[list[int], list[int]]:
        """The chat prefix, as far as its tokens do not depend on what follows, and what follows."""
        if self.layout == "video_first":
            return [], []
        return stable_prefix(self.prompt.tokenize, self.prompt.prefix, "Frame1: ")
