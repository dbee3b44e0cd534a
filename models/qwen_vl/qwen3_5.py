"""Qwen3.5: a hybrid decoder behind Qwen3-VL's processor and prompt, without DeepStack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from transformers import (
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeForConditionalGeneration,
    Qwen3VLProcessor,
)

from ...framework import FrameTokens
from .adapter import QwenVL
from .images import QwenVLImages
from .qwen3_vl import Qwen3VL


class Qwen3_5(Qwen3VL):
    """Adapter for Qwen3.5 checkpoints, dense or mixture of experts.

    Three of four decoder layers are Gated DeltaNet: they carry a state of fixed size, which belongs
    to the session, and a memory acts on the others. Frames, timestamps, sizes and options are those
    of `Qwen3VL`.

    The stock delta rule computes in float32 whatever the model's dtype, and in chunks of 64 tokens:
    cut otherwise, a stream gives the same up to its rounding.

    Args:
        model: `Qwen3_5ForConditionalGeneration` or `Qwen3_5MoeForConditionalGeneration`, loaded.
        processor: its `Qwen3VLProcessor`.
        planned_frames, layout: as of `Qwen3VL`.

    Raises:
        ValueError: as `Qwen3VL`.
    """

    families: ClassVar[tuple[type, ...]] = (
        Qwen3_5ForConditionalGeneration,
        Qwen3_5MoeForConditionalGeneration,
    )

    def __init__(
        self,
        model: Any,
        processor: Qwen3VLProcessor,
        *,
        planned_frames: int | None = None,
        layout: str = "installed",
    ) -> None:
        super().__init__(model, processor, planned_frames=planned_frames, layout=layout)

    def extras(self, vision: Any, patch: FrameTokens, first: int) -> Mapping[str, Tensor]:
        del vision, patch, first
        return {}

    def for_images(self) -> QwenVL:
        return Qwen3_5Images(self)


class Qwen3_5Images(QwenVLImages, Qwen3_5):
    """Qwen3.5 with every frame as an image of its own, see `QwenVLImages`."""
