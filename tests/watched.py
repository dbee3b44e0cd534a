"""Adapters of every family that note what passes their decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crossframe.framework import FrameTokens
from crossframe.models import (
    GLM4V,
    Eagle2_5,
    InternVL3,
    LlavaOnevision,
    PerceptionLM,
    Qwen2_5VL,
    Qwen3_5,
    Qwen3VL,
    SmolVLM,
)
from crossframe.models.hf import HFDecoder


class Watched(HFDecoder):
    """Before an adapter among the parents: notes what passes the decoder."""

    picture_token = "video_token_id"  # in the model's config

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.steps: list[FrameTokens] = []

    def step(
        self, frame: FrameTokens, attention: Any, max_tokens: int, recurrent: Any = None
    ) -> Tensor:
        self.steps.append(frame)
        return super().step(frame, attention, max_tokens, recurrent)

    @property
    def picture_id(self) -> int:
        return getattr(self.hf_model.config, self.picture_token)

    def ids_of(self, *frames: FrameTokens) -> Tensor:
        """[tokens] ids behind the embeddings; the picture token's where no id has such a one."""
        table = self.hf_model.get_input_embeddings().weight
        embeds = torch.cat([frame.embeds[0] for frame in frames])
        found = (embeds[:, None] == table).all(-1)
        return found.int().argmax(-1).where(found.any(-1), self.picture_id)

    def passed_ids(self) -> Tensor:
        return self.ids_of(*self.steps)

    def passed_visual(self) -> Tensor:
        """[tokens] bool; a question's tokens are none of them."""
        parts = [
            torch.zeros(1, frame.num_tokens).bool() if frame.visual is None else frame.visual
            for frame in self.steps
        ]
        return torch.cat(parts, 1)[0]

    def passed_positions(self) -> Tensor:
        return torch.cat([frame.positions for frame in self.steps], -1)


class WatchedGLM4V(Watched, GLM4V):
    picture_token = "image_token_id"


class WatchedInternVL3(Watched, InternVL3):
    picture_token = "image_token_id"


class WatchedLlavaOnevision(Watched, LlavaOnevision):
    """Notes what passes the decoder."""


class WatchedPerceptionLM(Watched, PerceptionLM):
    """Notes what passes the decoder."""


class WatchedQwen2_5VL(Watched, Qwen2_5VL):
    """Notes what passes the decoder."""


class WatchedQwen3_5(Watched, Qwen3_5):
    """Notes what passes the decoder."""


class WatchedQwen3VL(Watched, Qwen3VL):
    """Notes what passes the decoder."""


class WatchedSmolVLM(Watched, SmolVLM):
    picture_token = "image_token_id"


class WatchedEagle2_5(Watched, Eagle2_5):
    picture_token = "image_token_index"
