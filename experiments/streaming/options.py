"""Options that the commands share: which model, and how the video is streamed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...framework import (
    Archive,
    CrossFrameMemory,
    Reader,
    VideoModel,
    VideoSession,
    require_count,
)
from ...framework.attention.attend import choose
from .cells import Cell


@dataclass(frozen=True)
class ModelOptions:
    """Which model.

    Args:
        model: a checkpoint's folder or hub name.
        layout: of the prompt; null is the model's own. InternVL3: "chat", or "video_first" as in
            StateKV's release. Qwen3-VL: "installed" or "release".
        device: cpu, cuda, cuda:1, ...; by default cuda where there is one.
        dtype: float32, bfloat16, float16 or float64; by default the checkpoint's own.
        adapter: further options of the model's adapter as JSON, such as {"planned_frames": 64} for
            Qwen3-VL or {"fps": 1.0} for Eagle2.5.
        tokens_per_frame: of a text decoder: tokens that make a frame of a text; null is 32.
    """

    model: str
    layout: str | None = None
    device: str | None = None
    dtype: str | None = None
    adapter: dict[str, Any] | None = None
    tokens_per_frame: int | None = None

    def __post_init__(self) -> None:
        require_count("model", "tokens_per_frame", self.tokens_per_frame, least=1)

    def load(self) -> VideoModel:
        """The adapter, ready for a session."""
        from transformers.utils import logging

        from ...models import load_model  # loads transformers, which pages do without

        logging.disable_progress_bar()  # the command shows its own
        options = dict(self.adapter or {})
        for name in ("layout", "tokens_per_frame"):
            if (value := getattr(self, name)) is not None:
                options[name] = value
        return load_model(self.model, device=self.device, dtype=self.dtype, **options)


@dataclass(frozen=True)
class StreamOptions:
    """How the video passes the decoder, and how long the answer may be.

    Args:
        fps: frames taken per second of video; null takes every frame.
        max_frames: most frames taken; a longer video is sampled evenly instead, a live stream ends
            with them.
        start: seconds of the video from which frames are taken.
        end: seconds of the video before which they are taken; null is its end.
        rate: frames per second of a folder of images.
        strict: refuse a video that is cut off, or has a frame that FFmpeg flags as damaged,
            instead of a warning.
        frames_per_step: temporal patches that pass the decoder together.
        max_tokens: planned length of video, question and answer; null is the range the model was
            trained for.
        attention: "auto", "plain", "chunked", "sdpa" or "flex".
        max_new_tokens: most tokens of the answer.

    Raises:
        ValueError: for a backend of attention that there is not.
    """

    fps: float | None = 1.0
    max_frames: int | None = 512
    start: float = 0.0
    end: float | None = None
    rate: float | None = None
    strict: bool = False
    frames_per_step: int = 1
    max_tokens: int | None = None
    attention: str = "auto"
    max_new_tokens: int = 256

    def __post_init__(self) -> None:
        choose(self.attention)

    def session(
        self,
        model: VideoModel,
        memory: CrossFrameMemory,
        archive: Archive | None = None,
        reader: Reader | None = None,
    ) -> VideoSession:
        """A new session with these options."""
        cell = Cell(
            memory,
            reader,
            archive,
            frames_per_step=self.frames_per_step,
            attention=self.attention,
        )
        return cell.session(model, self.max_tokens)
