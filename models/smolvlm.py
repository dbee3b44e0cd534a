"""SmolVLM2: frames with their times through transformers' native `smolvlm`, one tile each."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from datetime import timedelta
from math import isqrt
from typing import Any, Self

from torch import Tensor
from transformers import SmolVLMForConditionalGeneration, SmolVLMProcessor
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.video_processing_smolvlm import (
    DEFAULT_MEDIA_OUTTRO,
    DEFAULT_VIDEO_INTRO,
    FRAME_TIMESTAMP_MESSAGE,
)

from ..framework import Cursor, FrameTokens
from ..framework.model import Message
from .chat import ChatDecoder, ChatPrompt, require_class, require_same_id
from .prompt import stable_prefix, surround, text_tokens

USUAL_FRAMES, USUAL_FPS = 64, 1.0  # where a processor does not say how it samples


class SmolVLMPrompt(ChatPrompt):
    """The processor's video template, whatever template a checkpoint brings for images."""

    def question_ids(self, question: str, further: Sequence[Message] = ()) -> list[int]:
        """Ids of everything behind the last frame.

        Raises:
            ValueError: if a turn holds a token that stands for pictures.
        """
        self.refuse_turns(question, further)
        return self.tokenize(DEFAULT_MEDIA_OUTTRO + self.around_video(question, further)[1])


class SmolVLM(ChatDecoder):
    """Adapter for SmolVLM2 checkpoints.

    Every frame is stretched to one square tile, never split, and becomes `image_seq_len` visual
    tokens behind its time in minutes and seconds. The prompt begins with how many frames the video
    has and how long it is: a stream says what it was planned for, however long it becomes. Frames
    without timestamps count as sampled at `fps`. The processor needs the extra `families`.

    Args:
        model: a loaded `SmolVLMForConditionalGeneration`.
        processor: its `SmolVLMProcessor`.
        planned_frames: how many frames the prompt names. None: as `for_stream` is told, and the
            most that the processor samples where that is not known.
        fps: frames per second at which the stream is pushed. None: as `for_stream` is told, and the
            processor's where that is not known.
        duration: seconds of the video as the prompt names them; None: the time of the last planned
            frame.

    Raises:
        ValueError: for another model family, a processor that does not fit it, or an impossible
            number.
    """

    def __init__(
        self,
        model: SmolVLMForConditionalGeneration,
        processor: SmolVLMProcessor,
        *,
        planned_frames: int | None = None,
        fps: float | None = None,
        duration: float | None = None,
    ) -> None:
        require_class("SmolVLM", model, SmolVLMForConditionalGeneration)
        require_class("SmolVLM", processor, SmolVLMProcessor)
        given = {"planned_frames": planned_frames, "fps": fps, "duration": duration}
        for name, number in given.items():
            if number is not None and not 0 < number < float("inf"):
                raise ValueError(f"{name} must be a number above 0, got {number!r}")
        super().__init__(model, model.model.text_model)
        self.vlm: Any = model.model
        self.processor: Any = processor
        self._require_fitting()
        video = self.processor.video_processor
        self.sized_by_length, self._fps_given = planned_frames is None, fps is not None
        self.planned_frames: int = planned_frames or video.num_frames or USUAL_FRAMES
        self.fps: float = fps or video.fps or USUAL_FPS
        self.duration = duration
        self.prompt = SmolVLMPrompt(processor, "SmolVLM2")

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """One frame [1, height, width, 3] as `Frame from MM:SS:` and its tile between markers."""
        seconds = cursor.frames / self.fps if timestamps[0] is None else timestamps[0]
        minutes, rest = int(seconds // 60), int(seconds % 60)
        lead = FRAME_TIMESTAMP_MESSAGE.format(timestamp=f"{minutes:02d}:{rest:02d}")
        edge = self.processor.fake_image_token
        lead += edge + self.processor.global_image_token
        if cursor.frames:
            before = self.prompt.tokenize(lead)
        else:  # it continues the prologue: tokenised together, then cut
            text = self.prompt.prefix + self._introduction() + lead
            before = self.prompt.tokenize(text)[len(self._prologue_ids()) :]
        after = self.prompt.tokenize(edge)
        return surround(self, before, self._features(frames), after, cursor, seconds)

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        del height, width  # every frame is stretched to one square tile
        side = isqrt(self.processor.image_seq_len)
        return side, side

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self._prologue_ids(), cursor)

    def for_stream(self, frames: int, system: str | None = None, fps: float | None = None) -> Self:
        """With the number of frames and the rate of this stream, unless they were given."""
        twin = copy(super().for_stream(frames, system, fps))
        if self.sized_by_length:
            twin.planned_frames = frames
        if fps is not None and not self._fps_given:
            twin.fps = fps
        return twin

    def _introduction(self) -> str:
        """How the prompt names the video: its number of frames in words, and its length."""
        last = (self.planned_frames - 1) / self.fps
        seconds = timedelta(seconds=int(last if self.duration is None else self.duration))
        module: Any = processing_smolvlm
        count = module.num2words(self.planned_frames)  # the processor's own
        return DEFAULT_VIDEO_INTRO.format(frame_count=count, video_duration=str(seconds))

    def _prologue_ids(self) -> list[int]:
        # Any time will do: only what it is merged with counts.
        following = FRAME_TIMESTAMP_MESSAGE.format(timestamp="00:00")
        text = self.prompt.prefix + self._introduction()
        return stable_prefix(self.prompt.tokenize, text, following)[0]

    def _features(self, frames: Tensor) -> Tensor:
        """[1, image_seq_len, hidden] visual tokens of one frame."""
        video = frames.permute(0, 3, 1, 2).to(self.device)
        processor = self.processor.video_processor
        inputs = processor(videos=[video], do_sample_frames=False, return_tensors="pt")
        pixels = inputs["pixel_values"].to(self.device, self.dtype)
        features = self.vlm.get_image_features(pixels, return_dict=True).pooler_output
        return features[0][None].to(self.device, self.dtype)

    def _require_fitting(self) -> None:
        token, token_id = self.processor.image_token, self.processor.image_token_id
        require_same_id(token, token_id, self.vlm.config.image_token_id)
        made, taken = self.processor.image_seq_len, self.vlm.image_seq_len
        if made != taken:
            raise ValueError(
                f"the processor writes {made} tokens a frame, the model makes {taken}: load the "
                "processor of the same checkpoint"
            )
