"""InternVL3: frames through transformers' native `internvl`, one tile each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import InternVLForConditionalGeneration, InternVLProcessor

from ..framework import Cursor, FrameTokens
from .hf import HFDecoder
from .prompt import stable_prefix, surround, text_tokens

LAYOUTS = ("chat", "video_first")


class InternVL3(HFDecoder):
    """Adapter for InternVL3 checkpoints in transformers' own format (`...-hf`).

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
        if not isinstance(model, InternVLForConditionalGeneration):
            raise ValueError(
                "InternVL3 wraps an InternVLForConditionalGeneration, got "
                f"{type(model).__name__}; use load_model to pick the adapter by checkpoint"
            )
        if not isinstance(processor, InternVLProcessor):
            raise ValueError(
                "InternVL3 needs the InternVLProcessor of the checkpoint, got "
                f"{type(processor).__name__}"
            )
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}")
        super().__init__(model, model.model.language_model)
        self.vlm: Any = model
        self.processor: Any = processor
        self.layout = layout
        self._require_image_tokens()
        self._prefix, _ = self._around_video("")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as lead-in, `<img>`, visual tokens, `</img>`, tail."""
        before, after = self._markers(cursor)
        return surround(self, before, self._features(frames), after, cursor, timestamps[0])

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self._around_first_frame()[0], cursor)

    def question_ids(self, question: str) -> Tensor:
        for token in (self.processor.image_token, self.processor.video_token):
            if token in question:
                raise ValueError(
                    f"the question contains {token}, which stands for pictures: take it out, "
                    "frames are pushed and not written into the question"
                )
        if self.layout == "chat":
            _, text = self._around_video(question)
        else:
            text = self._render([{"type": "text", "text": question}])
        return torch.tensor([self._tokenize(text)])

    def text(self, token_ids: Tensor) -> str:
        return self.processor.tokenizer.decode(token_ids.tolist(), skip_special_tokens=True)

    def _features(self, frames: Tensor) -> Tensor:
        """[1, image_seq_length, hidden] projected visual tokens of one frame."""
        video = frames.permute(0, 3, 1, 2).to(self.device)
        inputs = self.processor.video_processor(videos=[video], return_tensors="pt")
        pixels = inputs["pixel_values_videos"].flatten(0, 1).to(self.device, self.dtype)
        features = self.vlm.model.get_image_features(pixels, return_dict=True).pooler_output
        return features.to(self.device, self.dtype)

    def _markers(self, cursor: Cursor) -> tuple[list[int], list[int]]:
        """Token ids before and after a frame's visual tokens."""
        start = [self.processor.start_image_token_id]
        end = [self.processor.end_image_token_id]
        if self.layout == "video_first":
            return start, end + self._tokenize("\n")
        return self._lead_ids(cursor.frames) + start, end

    def _lead_ids(self, number: int) -> list[int]:
        if number:
            return self._tokenize(f"\nFrame{number + 1}: ")
        return self._around_first_frame()[1]

    def _around_first_frame(self) -> tuple[list[int], list[int]]:
        """The chat prefix, as far as its tokens do not depend on what follows, and what follows."""
        if self.layout == "video_first":
            return [], []
        return stable_prefix(self._tokenize, self._prefix, "Frame1: ")

    def _around_video(self, question: str) -> tuple[str, str]:
        """The chat prompt before and after the video."""
        text = self._render([{"type": "video"}, {"type": "text", "text": question}])
        before, video, after = text.partition(self.processor.video_token)
        if not video:
            raise ValueError(
                f"the processor's chat template puts no {self.processor.video_token} into the "
                "prompt: load the processor of an InternVL3 checkpoint"
            )
        return before, after

    def _render(self, content: list[dict[str, str]]) -> str:
        messages = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )

    def _tokenize(self, text: str) -> list[int]:
        return self.processor.tokenizer.encode(text, add_special_tokens=False)

    def _require_image_tokens(self) -> None:
        expected = self.vlm.config.image_token_id
        if self.processor.image_token_id != expected:
            raise ValueError(
                f"the tokenizer gives {self.processor.image_token!r} the id "
                f"{self.processor.image_token_id}, the model expects {expected}: load the "
                "processor of the same checkpoint"
            )
