"""The text around Qwen3-VL's frames, as the processor writes it or as the release did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...framework.model import Message
from ..chat import ChatPrompt, require_same_id
from ..prompt import stable_prefix

LAYOUTS = ("installed", "release")


class Qwen3VLPrompt(ChatPrompt):
    """Token ids before, between and after the visual tokens of a video.

    Every temporal patch is `<t seconds>`, a vision start, its visual tokens, a vision end. The chat
    template puts one more pair of vision markers around the video; whether they stay around all
    patches depends on the version of the processor.

    Args:
        processor: of the checkpoint, with its chat template.
        layout: "installed" keeps the outer pair if the installed processor does (5.17 to 5.24 do);
            "release" drops it, as the processor did when the model came out (transformers 4.57).
        config: of the model, whose ids of vision tokens must be the tokenizer's.

    Raises:
        ValueError: for an unknown layout, a tokenizer with other vision tokens, or a chat template
            without a place for a video.
    """

    def __init__(self, processor: Any, layout: str, config: Any) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {LAYOUTS}, got {layout!r}")
        _require_ids(processor, config)
        self.start, self.end = processor.vision_start_token, processor.vision_end_token
        self.outer = layout == "installed" and keeps_outer_markers(processor)
        super().__init__(processor, "Qwen3-VL")

    def read_template(self) -> None:
        super().read_template()
        # Any seconds will do: only what they are merged with counts.
        self.prologue_ids, _ = stable_prefix(self.tokenize, self.prefix, marker(0.0))

    def before_ids(self, seconds: float, first: bool) -> list[int]:
        """Ids between the last patch, or the prologue, and a patch's visual tokens."""
        text = marker(seconds) + self.start
        if first:  # it continues the prologue: tokenised together, then cut
            return self.tokenize(self.prefix + text)[len(self.prologue_ids) :]
        return self.tokenize(text)

    def after_ids(self) -> list[int]:
        """Ids behind a patch's visual tokens."""
        return [self.processor.vision_end_token_id]

    def around_video(self, question: str, further: Sequence[Message] = ()) -> tuple[str, str]:
        """The prompt's text before and after the patches."""
        before, after = super().around_video(question, further)
        if self.outer:
            return before, after
        return before.removesuffix(self.start), after.removeprefix(self.end)


def marker(seconds: float) -> str:
    """The text in front of a patch."""
    return f"<{seconds:.1f} seconds>"


def keeps_outer_markers(processor: Any) -> bool:
    """Whether the installed processor leaves the template's vision markers around the patches."""
    around = (processor.vision_start_token, processor.video_token, processor.vision_end_token)
    video = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    times = {"fps": 2.0, "frames_indices": [0, 1], "total_num_frames": 2}
    inputs = processor(
        text="".join(around), videos=[video], video_metadata=[times], do_sample_frames=False
    )
    return inputs["input_ids"][0][0] == processor.vision_start_token_id


def _require_ids(processor: Any, config: Any) -> None:
    start, end = config.vision_start_token_id, config.vision_end_token_id
    require_same_id(processor.video_token, processor.video_token_id, config.video_token_id)
    require_same_id(processor.vision_start_token, processor.vision_start_token_id, start)
    require_same_id(processor.vision_end_token, processor.vision_end_token_id, end)
