"""Qwen-VL with every frame as an image of its own, in the prompt of SimpleStream's release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...framework import Cursor, FrameTokens
from ...framework.model import Message
from ..chat import ChatPrompt
from ..prompt import surround, text_tokens
from .adapter import QwenVL
from .pixels import require_not_thin

IMAGE = 1  # how `get_rope_index` marks the visual tokens of images
BEHIND = "<|im_end|>\n<|im_start|>assistant\n"
BETWEEN = "<|im_end|>\n<|im_start|>user\n"


class ImagesPrompt(ChatPrompt):
    """A user turn of images, a newline and the question; a system turn only where one is told."""

    def around_video(self, question: str, further: Sequence[Message] = ()) -> tuple[str, str]:
        """The prompt's text before and after the images."""
        system = "" if self.system is None else f"<|im_start|>system\n{self.system}<|im_end|>\n"
        parts = self._parts(question, further)
        return f"{system}<|im_start|>user\n", "".join(parts)

    def question_ids(self, question: str, further: Sequence[Message] = ()) -> list[int]:
        """Ids of everything behind the images, tokenised in the release's three parts.

        Raises:
            ValueError: if a turn holds a token that stands for pictures.
        """
        self.refuse_turns(question, further)
        return [id for part in self._parts(question, further) for id in self.tokenize(part)]

    def _parts(self, question: str, further: Sequence[Message]) -> list[str]:
        parts = ["\n", question, BEHIND]
        for turn in further:
            parts += [turn["content"], BETWEEN if turn["role"] == "assistant" else BEHIND]
        return parts


class ImagePixels:
    """The image processor of a checkpoint's processor, one frame after the other."""

    def __init__(self, processor: Any) -> None:
        self.image = processor.image_processor

    def __call__(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """A frame [1, 3, height, width] as flat patches [patches, numbers], repeated to fill a
        temporal patch, and its grid [[1, rows, columns]]."""
        inputs = self.image(images=list(frames), return_tensors="pt")
        return inputs["pixel_values"], inputs["image_grid_thw"]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after the processor's resizing.

        Raises:
            ValueError: for a frame more than 200 times as long as wide.
        """
        require_not_thin(height, width)
        rows, columns = self.token_grid(height, width)
        side = self.image.merge_size * self.image.patch_size
        return rows * side, columns * side

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the visual tokens of a frame of this size."""
        # Without any pixels: only the shapes are asked for.
        _, grid = self(torch.empty((1, 3, height, width), dtype=torch.uint8, device="meta"))
        rows, columns = (int(side) // self.image.merge_size for side in grid[0, 1:])
        return rows, columns


class QwenVLImages(QwenVL):
    """An adapter whose frames are images of their own: no temporal patches, no timestamps, no
    system turn of the template's, each sized alone by the image processor. Weights and system turn
    are those of `video`, the family's adapter around a video."""

    def __init__(self, video: QwenVL) -> None:
        vars(self).update(vars(video))
        self.frames_per_patch, self.sized_by_length = 1, False
        self.pixels = ImagePixels(self.processor)
        self.prompt = ImagesPrompt(self.processor, video.prompt.family)
        if video.prompt.system is not None:
            self.prompt = self.prompt.with_system(video.prompt.system)

    def for_images(self) -> QwenVL:
        return self

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as vision start, visual tokens, vision end.

        Raises:
            ValueError: if it is more than 200 times as long as wide.
        """
        vision, grid = self.see(frames)
        config, features = self.hf_model.config, vision.pooler_output[None]
        start, end = [config.vision_start_token_id], [config.vision_end_token_id]
        image = surround(self, start, features, end, cursor, timestamps[0])
        return self.placed(image, vision, 1, IMAGE, cursor, image_grid_thw=grid)

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self.prompt.prefix_ids, cursor)
