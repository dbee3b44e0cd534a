"""What the framework asks of a video VLM: the contract every adapter fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .flops import DecoderSpec
from .frame_tokens import Cursor, FrameTokens
from .text import TextFrames

# A turn of a conversation as transformers has it: {"role": "user" or "assistant", "content": text}.
Message = Mapping[str, str]


class LayerAttention(Protocol):
    """The running step, as a decoder layer calls it."""

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        """[B, H, tokens, D] output for query [B, H, tokens, D], key and value [B, K, tokens, D],
        rotated already."""
        ...


class Reading(LayerAttention, Protocol):
    """A running question: attends to what the reader picked, then to the text so far."""

    @property
    def num_read(self) -> int:
        """Tokens before the question's first, as the cache of `generate` should report them."""
        ...

    @property
    def num_text(self) -> int:
        """Text tokens that have passed the first layer."""
        ...


# What layers without KV carry instead, see `DecoderSpec.recurrent`: of layer n of the decoder,
# "n.convolution" and "n.matrices" in the shapes of `RecurrentSpec.state_shapes`. Tensors are
# replaced, never written into. Empty at the start of a stream, and for other decoders.
RecurrentState = dict[str, Tensor]
RECURRENT = ("convolution", "matrices")


@dataclass(frozen=True, eq=False)
class Generated:
    """New tokens of one answer: token_ids [new], and first_logits [vocab] of the first."""

    token_ids: Tensor
    first_logits: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """The answer to one question.

    Attributes:
        text: decoded new tokens; empty where the model has no tokenizer.
        token_ids: [new] int64.
        first_logits: [vocab], of the first new token.
        finite: False where the model computed NaN or Inf, in the stream, the question or the
            answer: then nothing of it means anything. `VideoSession.check` says what may help.
    """

    text: str
    token_ids: Tensor
    first_logits: Tensor
    finite: bool = True

    def __repr__(self) -> str:
        doubt = "" if self.finite else ", not finite"
        return f"Answer({self.text!r}, {self.token_ids.numel()} tokens{doubt})"


class VideoModel(ABC):
    """A frozen VLM behind one door: vision, prompt, positions and one decoder step.

    Attributes:
        spec: sizes of the decoder.
        device: where frames and questions enter the decoder.
        dtype: of the decoder's activations.
        position_axes: 1, or 3 under M-RoPE.
        trained_tokens: the longest stream the model was trained for.
        frames_per_patch: raw frames that make one `FrameTokens`.
        sized_by_length: a frame's tokens, or the prompt before them, depend on how many frames the
            stream will have, see `for_stream`.
        scaled_by_length: the RoPE scaling depends on the planned length in tokens of a session,
            beyond `trained_tokens`.
        reads_text: raw frames are ids of a text [tokens] instead of images, see `text_frames`.
    """

    position_axes: int = 1
    frames_per_patch: int = 1
    sized_by_length: bool = False
    scaled_by_length: bool = False
    reads_text: bool = False

    @property
    @abstractmethod
    def spec(self) -> DecoderSpec: ...

    @property
    @abstractmethod
    def device(self) -> torch.device: ...

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype: ...

    @property
    @abstractmethod
    def trained_tokens(self) -> int: ...

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        """The decoder input of one temporal patch.

        Args:
            frames: [frames, height, width, 3] uint8 RGB, at most `frames_per_patch`; or of a
                text [1, tokens] int64 ids, where the model `reads_text`.
            timestamps: seconds, or None where unknown, one per frame.
            cursor: where the stream stands before this patch.
        """
        raise ValueError(
            f"{type(self).__name__} has no vision side: push FrameTokens instead of images"
        )

    def text_frames(self, text: str) -> TextFrames:
        """A text in frames as this model reads it.

        Raises:
            ValueError: if it reads none.
        """
        del text
        raise ValueError(
            f"{type(self).__name__} sees images and reads no text in frames: give a video, or a "
            "text decoder such as smollm2-135m"
        )

    def check_image(self, height: int, width: int, cursor: Cursor) -> None:
        """Refuse frames of a size that `encode` could not take here; by default none.

        Asked about frames that wait for their temporal patch to fill: one that can never be encoded
        would make every later push and `ask` fail.

        Args:
            cursor: where the stream stands before these frames.

        Raises:
            ValueError: naming the size and the remedy.
        """
        del height, width, cursor

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the visual tokens that frames of this size become.

        `encode` puts them row by row, from the top left; both frames of a temporal patch of two
        share them. So token `i` covers 1 / rows of the height from row `i // columns` on.
        """
        raise ValueError(
            f"{type(self).__name__} has no vision side: frames of {height} x {width} become no "
            "visual tokens"
        )

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        """The prompt text before the video, or None where there is none."""
        del cursor
        return None

    def question_ids(self, question: str) -> Tensor:
        """[1, tokens] ids of everything that follows the video in the prompt."""
        raise ValueError(
            f"{type(self).__name__} has no tokenizer: ask with token ids instead of {question!r}"
        )

    def conversation_ids(self, messages: Sequence[Message]) -> Tensor:
        """[1, tokens] ids of everything that follows the video in a prompt of several turns.

        Args:
            messages: question, answer, question, ...; the last one is to be answered.

        Raises:
            ValueError: if the model's prompt has one turn only.
        """
        if len(messages) == 1:
            return self.question_ids(messages[0]["content"])
        raise ValueError(
            f"{type(self).__name__} has no prompt of several turns: ask one question at a time, or "
            "with token ids"
        )

    def reply_ids(self, text: str) -> Tensor:
        """[1, tokens] ids of words that the reply is made to begin with, behind `question_ids`."""
        raise ValueError(
            f"{type(self).__name__} has no tokenizer: cannot begin the reply with {text!r}"
        )

    def for_stream(
        self, frames: int, system: str | None = None, fps: float | None = None
    ) -> VideoModel:
        """The same weights set up for one stream; itself where that changes nothing.

        Args:
            frames: raw frames that the stream will have.
            system: the system turn of its prompt; None is the model's own.
            fps: how many of them there are per second of video, None where that is not known.

        Raises:
            ValueError: if the model's prompt has no place for a system turn.
        """
        del frames, fps
        if system is not None:
            raise ValueError(f"{type(self).__name__} has no place for the system turn {system!r}")
        return self

    def for_images(self) -> VideoModel:
        """The same weights with every frame as an image of its own in the prompt, not as part of a
        video.

        Raises:
            ValueError: if the model has only one way to take frames.
        """
        raise ValueError(
            f"{type(self).__name__} takes frames in one way only, not as a video or as images: "
            "push them to the model itself"
        )

    def text(self, token_ids: Tensor) -> str:
        """The text of an answer's tokens [new]; empty without a tokenizer."""
        del token_ids
        return ""

    @abstractmethod
    def embed(self, token_ids: Tensor) -> Tensor:
        """[B, tokens, hidden] input embeddings of text tokens [B, tokens]."""

    def text_positions(self, cursor: Cursor, batch: int, count: int) -> Tensor:
        """[axes, B, count] int64 positions of text that continues the stream."""
        positions = torch.arange(count) + cursor.position
        return positions.expand(self.position_axes, batch, -1)

    @abstractmethod
    def step(
        self,
        frame: FrameTokens,
        attention: LayerAttention,
        max_tokens: int,
        recurrent: RecurrentState | None = None,
    ) -> Tensor:
        """[B, tokens, hidden] of the last layer; every layer with KV attends through `attention`.

        Args:
            max_tokens: the planned length of the stream, which fixes the RoPE scaling.
            recurrent: what the other layers of a hybrid decoder carry; on return, what they carry
                behind this frame. None: the stream begins here, and is not gone on with.
        """

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """[B, tokens, vocab] from the last layer's hidden states."""

    @abstractmethod
    def rotate(self, keys: Tensor, delta: Tensor, max_tokens: int) -> Tensor:
        """Keys [B, K, S, D] turned on by `delta` [axes, B, K, S] positions, computed in float32 or
        wider."""

    @abstractmethod
    def generate(
        self,
        token_ids: Tensor,
        positions: Tensor,
        reading: Reading,
        *,
        max_tokens: int,
        max_new_tokens: int,
        recurrent: Mapping[str, Tensor] | None = None,
        **generation: Any,
    ) -> Generated:
        """Decode after the question's token_ids [1, tokens] at positions [axes, 1, tokens];
        `recurrent` as of `step`, but left as it is."""

    def generate_each(
        self, token_ids: Tensor, positions: Tensor, reading: Reading, **options: Any
    ) -> list[Generated]:
        """As `generate`, for B questions decoded together, each to its own end; `reading` hides
        padding in front of shorter ones, which stands at the position of the first token. By
        default refused with a ValueError."""
        raise ValueError(
            f"{type(self).__name__} answers one question at a time: give each video its own session"
        )
