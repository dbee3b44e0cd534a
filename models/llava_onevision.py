"""LLaVA-OneVision: frames through transformers' native `llava_onevision`, pooled two by two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor

from ..framework import Cursor, FrameTokens
from ..framework.model import Generated, Reading
from .hf import HFDecoder
from .prompt import surround, text_tokens


class LlavaOnevision(HFDecoder):
    """Adapter for LLaVA-OneVision checkpoints in transformers' own format (`...-hf`).

    Every frame becomes one square picture of pooled visual tokens (196) without text around it;
    timestamps do not reach the model. One newline feature follows the last frame: it is the first
    token of every question, where the id of `<video>` stands for it.

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
        wanted = LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor
        for given, family in zip((model, processor), wanted, strict=True):
            if not isinstance(given, family):
                raise ValueError(
                    f"LlavaOnevision wraps a {family.__name__}, got {type(given).__name__}; use "
                    "load_model to pick the adapter by checkpoint"
                )
        super().__init__(model, model.model.language_model)
        self.vlm: Any = model.model
        self.processor: Any = processor
        self._require_fitting()
        vision = self.vlm.config.vision_config
        side = vision.image_size // vision.patch_size
        self.tokens_per_frame = ((side + 1) // 2) ** 2
        self._prologue_ids, _ = self._around_video("")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as its visual tokens alone."""
        return surround(self, [], self._features(frames), [], cursor, timestamps[0])

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self._prologue_ids, cursor)

    def question_ids(self, question: str) -> Tensor:
        """[1, tokens]: the video token, for the newline behind all frames, then the text."""
        for token in (self.processor.image_token, self.processor.video_token):
            if token in question:
                raise ValueError(
                    f"the question contains {token}, which stands for pictures: take it out, "
                    "frames are pushed and not written into the question"
                )
        return torch.tensor([self._around_video(question)[1]])

    def text(self, token_ids: Tensor) -> str:
        return self.processor.tokenizer.decode(token_ids.tolist(), skip_special_tokens=True)

    def embed(self, token_ids: Tensor) -> Tensor:
        """[B, tokens, hidden]; the video token's id gives the newline feature."""
        return self._with_newline(token_ids, super().embed(token_ids))

    def generate(
        self, token_ids: Tensor, positions: Tensor, reading: Reading, **options: Any
    ) -> Generated:
        """As every decoder does, with the question embedded as by `embed`."""

        def embedded(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            handle.remove()  # what is generated has the plain embeddings, as in the stock model
            return self._with_newline(args[0], output)

        handle = self.decoder.get_input_embeddings().register_forward_hook(embedded)
        try:
            return super().generate(token_ids, positions, reading, **options)
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

    def _around_video(self, question: str) -> tuple[list[int], list[int]]:
        """Ids of the chat prompt before the video token, and from it on."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        ids: list[int] = self.processor.tokenizer.encode(text, add_special_tokens=False)
        if self.processor.video_token_id not in ids:
            raise ValueError(
                f"the processor's chat template puts no {self.processor.video_token} into the "
                "prompt: load the processor of a LLaVA-OneVision checkpoint"
            )
        video = ids.index(self.processor.video_token_id)
        return ids[:video], ids[video:]

    def _require_fitting(self) -> None:
        found, expected = self.processor.video_token_id, self.vlm.config.video_token_id
        if found != expected:
            raise ValueError(
                f"the tokenizer gives '<video>' the id {found}, the model expects {expected}: load "
                "the processor of the same checkpoint"
            )
        side, size = self.vlm.config.vision_config.image_size, self.processor.video_processor.size
        if (size.height, size.width) != (side, side):
            raise ValueError(
                f"the processor makes frames of {size.height} x {size.width} pixels, the model "
                f"takes {side} x {side}: load the processor of the same checkpoint"
            )


def load_llava_onevision(
    name: str | Path,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    device_map: Any = None,
) -> LlavaOnevision:
    """The adapter of a checkpoint."""
    from .loading import native_model, native_processor  # which imports this module

    processor, family = native_processor(name), LlavaOnevisionForConditionalGeneration
    return LlavaOnevision(native_model(family, name, device, dtype, device_map), processor)
