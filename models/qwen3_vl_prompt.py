"""The text around Qwen3-VL's frames, as the processor writes it or as the release did."""

from __future__ import annotations

from typing import Any

import torch

from .prompt import stable_prefix

LAYOUTS = ("installed", "release")


class Qwen3VLPrompt:
    """Token ids before, between and after the visual tokens of a video.

    Every temporal patch is `<t seconds>`, a vision start, its visual tokens, a vision end. The chat
    template puts one more pair of vision markers around the video; whether they stay around all
    patches depends on the version of the processor.

    Args:
        processor: of the checkpoint, with its chat template.
        layout: "installed" keeps the outer pair if the installed processor does (5.17 to 5.23 do);
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
        self.processor = processor
        self.start, self.end = processor.vision_start_token, processor.vision_end_token
        self.outer = layout == "installed" and keeps_outer_markers(processor)
        self._prefix, _ = self._around_video("")
        # Any seconds will do: only what they are merged with counts.
        self.prologue_ids, _ = stable_prefix(self.tokenize, self._prefix, marker(0.0))

    def before_ids(self, seconds: float, first: bool) -> list[int]:
        """Ids between the last patch, or the prologue, and a patch's visual tokens."""
        text = marker(seconds) + self.start
        if first:  # it continues the prologue: tokenised together, then cut
            return self.tokenize(self._prefix + text)[len(self.prologue_ids) :]
        return self.tokenize(text)

    def after_ids(self) -> list[int]:
        """Ids behind a patch's visual tokens."""
        return [self.processor.vision_end_token_id]

    def question_ids(self, question: str) -> list[int]:
        """Ids of everything behind the last patch.

        Raises:
            ValueError: if the question holds a token that stands for pictures.
        """
        for token in (self.processor.image_token, self.processor.video_token):
            if token in question:
                raise ValueError(
                    f"the question contains {token}, which stands for pictures: take it out, "
                    "frames are pushed and not written into the question"
                )
        _, text = self._around_video(question)
        return self.tokenize(text)

    def decode(self, token_ids: list[int]) -> str:
        """The text of an answer, without special tokens."""
        return self.processor.tokenizer.decode(token_ids, skip_special_tokens=True)

    def tokenize(self, text: str) -> list[int]:
        return self.processor.tokenizer.encode(text, add_special_tokens=False)

    def _around_video(self, question: str) -> tuple[str, str]:
        """The chat prompt before and after the patches."""
        content = [{"type": "video"}, {"type": "text", "text": question}]
        text: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        before, video, after = text.partition(self.processor.video_token)
        if not video:
            raise ValueError(
                f"the processor's chat template puts no {self.processor.video_token} into the "
                "prompt: load the processor of a Qwen3-VL checkpoint"
            )
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
    start, end = processor.vision_start_token, processor.vision_end_token
    expected = [
        (processor.video_token, processor.video_token_id, config.video_token_id),
        (start, processor.vision_start_token_id, config.vision_start_token_id),
        (end, processor.vision_end_token_id, config.vision_end_token_id),
    ]
    for token, found, wanted in expected:
        if found != wanted:
            raise ValueError(
                f"the tokenizer gives {token!r} the id {found}, the model expects {wanted}: load "
                "the processor of the same checkpoint"
            )
