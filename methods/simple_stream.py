"""SimpleStream: no memory at all; every question sees the last few frames afresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast, final

import torch
from torch import Tensor

from ..framework import (
    Answer,
    Cursor,
    FrameTokens,
    FullMemory,
    StepCosts,
    VideoModel,
    VideoSession,
    require_count,
)
from ..framework.frame_tokens import advance, as_frame_tokens, is_prompt
from ..framework.stream.checks import DeferredChecks
from ..framework.stream.costs import held_bytes
from ..framework.stream.encoding import check_images, follow, queue_images
from ..framework.stream.state import StreamState
from ..framework.stream.verify import check_frames


@final
class SimpleStream:
    """Keep the last few frames as they came; at a question, prefill them with full attention.

    Rule: nothing passes the decoder before a question. Then a new session takes the prompt and the
    kept frames, numbered from 0, and answers. To be pushed to and asked as a `VideoSession`, so
    that what a memory adds can be measured against it.

    Paper: Shen et al., "A Simple Baseline for Streaming Video Understanding", arXiv 2604.02317.

    Args:
        model: an adapter.
        frames: frames to keep, at least 1 (4 in the paper, at one per second). Raw frames count
            one by one, also where several make a temporal patch; `FrameTokens` count as one.
        as_images: give a model that can tell a video from images (Qwen-VL) every frame as an image
            of its own, as the release does: without a timestamp and the template's system turn,
            twice the visual tokens where two frames would share a temporal patch. Else they are a
            video's, as the adapter has it.
        max_tokens: planned length of one prompt, its frames, question and answer; fixes the RoPE
            scaling. None is the range the model was trained for.

    Raises:
        ValueError: for frames below 1, or `as_images` with a model that has one way only; at a
            push, for frames that do not fit the model, images among `FrameTokens`, `FrameTokens`
            as images, or with positions before their place in the stream, which cannot be numbered
            anew (Qwen2.5-VL's): push images.

    Differences from the released code: it knows only Qwen-VL and gives every frame as an image;
    here `as_images` does, and a video is the default, as every adapter has one. The ids and
    positions of `as_images` are those of the release's Qwen3-VL on OVO-Bench; DeepStack's features
    enter as in the stock model, which the release leaves out by passing embeddings alone. With
    Qwen2.5-VL, and with both on StreamingBench, it puts all images between one pair of vision
    markers, so that only the first has rows and columns and the others follow like text; here every
    image has markers and places of its own.

    As a video, images keep their timestamps and are encoded at every question as its beginning, so
    that positions and prompts are those of a video of only these frames, with every adapter.
    `FrameTokens` are moved to the beginning as a whole; what their embeddings say of time and frame
    number stays.

    Cost per frame: none. Cost per question: encoding and prefilling the kept frames, both timed
    in `costs`.
    Bytes held: the kept images, or embeddings.
    """

    def __init__(
        self,
        model: VideoModel,
        frames: int = 4,
        *,
        as_images: bool = False,
        max_tokens: int | None = None,
    ) -> None:
        require_count("SimpleStream", "frames", frames, least=1, unbounded=False)
        self.model = model.for_images() if as_images else model
        self.frames, self.as_images, self.max_tokens = frames, as_images, max_tokens
        self.costs = StepCosts(history=10_000)
        self._images = StreamState()
        self._prompt: FrameTokens | None = None
        # With the position at which the stream stood before each.
        self._tokens: list[tuple[int, FrameTokens]] = []
        self._cursor = Cursor()

    def __repr__(self) -> str:
        return f"SimpleStream(frames={self.frames}{', as_images=True' if self.as_images else ''})"

    @property
    def state_bytes(self) -> int:
        """Bytes held for later questions."""
        tensors = [tensor for frame in self._held() for _, tensor in frame.tensors()]
        images = self._images
        return images.bytes_held + images.pending_bytes + held_bytes(tensors)

    def push(self, frames: object, timestamps: Sequence[float] | float | None = None) -> None:
        """Keep the newest frames; the decoder sees none of them yet.

        Args:
            frames: as for `VideoSession.push`.
            timestamps: seconds, one per image.

        Raises:
            ValueError: for bad input, naming the value; the stream stays as it was.
        """
        tokens = as_frame_tokens(frames, timestamps)
        if tokens:
            images = follow(self._images, tokens)
        else:
            images = queue_images(self._images, frames, timestamps)
            check_images(self.model, images.pending, Cursor())
        if images.pending and (tokens or self._cursor.tokens):
            raise ValueError(
                "SimpleStream got both images and FrameTokens: push a stream as one or the other"
            )
        if tokens and self.as_images:
            raise ValueError(
                "SimpleStream got FrameTokens, which are encoded already and not as images of "
                "their own: push images, or leave out as_images"
            )
        if tokens:
            self._push_tokens(tokens)
        new = images.pending[len(self._images.pending) :][-self.frames :]
        kept = (*self._images.pending, *(frame.own() for frame in new))[-self.frames :]
        self._images = replace(images, pending=kept)

    def ask(
        self,
        question: str | Tensor | Sequence[int],
        *,
        max_new_tokens: int = 256,
        **generation: Any,
    ) -> Answer:
        """Answer a question about the kept frames; arguments as for `VideoSession.ask`."""
        session = self._prefilled()
        return session.ask(question, max_new_tokens=max_new_tokens, **generation)

    def question_logits(self, token_ids: Tensor | Sequence[int]) -> Tensor:
        """[B, tokens, vocab] logits over the text, [tokens] or [B, tokens], behind the kept
        frames."""
        return self._prefilled().question_logits(token_ids)

    def _held(self) -> list[FrameTokens]:
        """The prompt, if it was pushed, and the kept frames."""
        prompt = [] if self._prompt is None else [self._prompt]
        return prompt + [frame for _, frame in self._tokens]

    def _push_tokens(self, frames: Sequence[FrameTokens]) -> None:
        checks, cursor = DeferredChecks(), self._cursor
        batch = [*self._held(), *frames][0].batch
        check_frames(frames, cursor, batch, self.model, checks)
        checks.raise_failed()
        prompt, kept = self._prompt, list(self._tokens)
        for frame in frames:
            _require_movable(frame, cursor)
            # A copy: the caller may reuse his buffer, and a frame must not hold a whole clip.
            own = frame.take(torch.arange(frame.num_tokens))
            if is_prompt(cursor, frame):
                prompt = own
            else:
                kept.append((cursor.position, own))
            cursor = advance(cursor, frame)
        self._prompt, self._tokens, self._cursor = prompt, kept[-self.frames :], cursor

    def _prefilled(self) -> VideoSession:
        """A new session that has seen the prompt and the kept frames, and nothing else."""
        session = VideoSession(
            self.model, FullMemory(), frames_per_step=self.frames, max_tokens=self.max_tokens
        )
        waiting = self._images.pending
        if waiting:
            # A session takes None for an unknown time.
            times = cast("Sequence[float]", [frame.timestamp for frame in waiting])
            session.push([frame.image for frame in waiting], times)
        elif self._cursor.tokens:
            session.push(self._moved_to_front())
        for cost in session.costs:
            self.costs = self.costs.append(cost)
        return session

    def _moved_to_front(self) -> list[FrameTokens]:
        """The prompt, and the kept frames right behind it."""
        prompt = [] if self._prompt is None else [self._prompt]
        behind = advance(Cursor(), prompt[0]).position if prompt else 0
        return prompt + [_moved(frame, behind - self._tokens[0][0]) for _, frame in self._tokens]


def _require_movable(frame: FrameTokens, cursor: Cursor) -> None:
    first = int(frame.positions.min())
    if first < cursor.position:
        raise ValueError(
            f"SimpleStream: frame {cursor.frames} has position {first}, before its place in the "
            f"stream, {cursor.position}, so it cannot be moved to the beginning: push images"
        )


def _moved(frame: FrameTokens, by: int) -> FrameTokens:
    behind = frame.next_position
    return replace(
        frame, positions=frame.positions + by, next_position=None if behind is None else behind + by
    )
