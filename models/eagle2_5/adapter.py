"""Eagle2.5: frames through our native module, one tile each, with their times in the prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ...framework import Cursor, FrameTokens
from ...framework.model import Message
from ..chat import require_class
from ..checkpoints.shards import local_folder
from ..hf import HFDecoder
from ..prompt import stable_prefix, surround, text_tokens
from .checkpoint import load_weights
from .modules import Eagle2_5ForConditionalGeneration
from .processing import END, START, SYSTEM, Eagle2_5Processor

GATED = "; nvidia/Eagle2.5-8B is gated, so accept its licence and log in first"


class Eagle2_5(HFDecoder):
    """Adapter for Eagle2.5 checkpoints.

    The prompt is the released processor's: `The first video sampled with 2.00 fps: ` and, for each
    frame, `Frame 1 sample at 0.00s: <img>...</img>` with 256 visual tokens, nothing in between. A
    frame pushed without a timestamp is announced as `Frame 1: ` only.

    Args:
        model: a loaded `Eagle2_5ForConditionalGeneration`.
        processor: its `Eagle2_5Processor`.
        fps: frames per second at which the stream is sampled, named in the header. None: as
            `for_stream` is told, and left out (`The first video: `) where that is not known, as the
            released processor does.

    Raises:
        ValueError: for another model or processor, an impossible fps, or a processor whose image
            token or sizes are not the model's.
    """

    def __init__(
        self,
        model: Eagle2_5ForConditionalGeneration,
        processor: Eagle2_5Processor,
        *,
        fps: float | None = None,
    ) -> None:
        require_class("Eagle2_5", model, Eagle2_5ForConditionalGeneration)
        require_class("Eagle2_5", processor, Eagle2_5Processor)
        if fps is not None and not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps must be a positive number or None, got {fps}")
        super().__init__(model, model.language_model.model)
        self.vlm: Any = model
        self.processor = processor
        self.fps = fps
        self._require_same_sizes()

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as lead-in, `<img>`, visual tokens, `</img>`."""
        features = self.features(frames)["embeds"]
        before = self._lead_ids(cursor.frames + 1, timestamps[0])
        after = self.processor.tokenize(END)
        return surround(self, before, features, after, cursor, timestamps[0])

    def features(self, frames: Tensor) -> dict[str, Tensor]:
        """What the vision side makes of frames [frames, height, width, 3], without their text.

        Returns:
            "embeds" [frames, tokens_per_frame, hidden], where `encode` puts visual tokens.
        """
        pixels = self.processor.pixels(frames).to(self.device)
        return {"embeds": self.vlm.get_image_features(pixels)}

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        del height, width  # every frame is stretched to one square tile
        side = math.isqrt(self.processor.tokens_per_frame)
        return side, side

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        """System turn and header, up to where the first frame's text may merge with it."""
        return text_tokens(self, self._prologue_ids(), cursor)

    def question_ids(self, question: str) -> Tensor:
        return torch.tensor([self.processor.tokenize(self.processor.after_video(question))])

    def conversation_ids(self, messages: Sequence[Message]) -> Tensor:
        return torch.tensor([self.processor.tokenize(self.processor.conversation(messages))])

    def reply_ids(self, text: str) -> Tensor:
        return torch.tensor([self.processor.tokenize(text)])

    def for_stream(self, frames: int, system: str | None = None, fps: float | None = None) -> Self:
        """With this system turn, and this rate in the header unless `fps` was given."""
        del frames
        rate = fps if self.fps is None else self.fps
        if (system, rate) == (None, self.fps):
            return self
        twin = copy(self)
        twin.fps = rate
        if system is not None:
            twin.processor = self.processor.with_system(system)
        return twin

    def text(self, token_ids: Tensor) -> str:
        return str(self.processor.tokenizer.decode(token_ids.tolist(), skip_special_tokens=True))

    def _prologue_ids(self) -> list[int]:
        prefix = self.processor.before_video(self.fps)
        return stable_prefix(self.processor.tokenize, prefix, "Frame 1")[0]

    def _lead_ids(self, number: int, timestamp: float | None) -> list[int]:
        text = self.processor.lead_in(number, timestamp) + START
        if number > 1:
            return self.processor.tokenize(text)
        # " Frame" of the first one is a single token: tokenised with the header, then cut.
        together = self.processor.tokenize(self.processor.before_video(self.fps) + text)
        return together[len(self._prologue_ids()) :]

    def _require_same_sizes(self) -> None:
        config, processor = self.vlm.config, self.processor
        if processor.image_token_id != config.image_token_index:
            raise ValueError(
                f"the tokenizer gives <IMG_CONTEXT> the id {processor.image_token_id}, the model "
                f"expects {config.image_token_index}: load the tokenizer of the same checkpoint"
            )
        sizes = (processor.image_size, processor.tokens_per_frame)
        if sizes != (config.force_image_size, config.tokens_per_frame):
            raise ValueError(
                f"the processor makes tiles of {sizes[0]} pixels and {sizes[1]} tokens, the model "
                f"expects {config.force_image_size} and {config.tokens_per_frame}"
            )


def load_eagle2_5(
    name_or_path: str | Path,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    system: str = SYSTEM,
    **options: Any,
) -> Eagle2_5:
    """The adapter of an official checkpoint, or of a folder that `save_pretrained` wrote.

    Args:
        name_or_path: hub name or local folder with config.json, safetensors and tokenizer.
        dtype: of the weights; None is the checkpoint's own.
        system: the system turn.
        options: of `Eagle2_5`.

    Raises:
        ValueError: if anything is missing or does not belong together, before weights are read.
    """
    folder = local_folder(name_or_path, GATED)
    processor = Eagle2_5Processor.from_pretrained(folder, system=system)
    return Eagle2_5(load_weights(folder, device, dtype), processor, **options)
