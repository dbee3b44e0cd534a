"""A raw text decoder behind the same door, for research on decoders and for tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..framework import Cursor, FrameTokens, TextFrames, require_count
from ..framework.model import Message
from ..framework.text import TOKENS_PER_FRAME
from ..framework.token_ids import as_token_ids
from .chat import rendered
from .hf import HFDecoder
from .prompt import text_tokens


class DecoderModel(HFDecoder):
    """A causal language model without a vision side: reads texts in frames, takes `FrameTokens`.

    Args:
        causal_lm: e.g. `Qwen2ForCausalLM`; needs full attention in every layer.
        tokenizer: turns texts and questions into ids and answers into text; without it all are
            ids. Where it has a chat template, a question is a user's turn behind the text.
        start: text before every stream, which needs the tokenizer: the prologue.
        tokens_per_frame: tokens that make a frame of a text.
    """

    reads_text = True

    def __init__(
        self,
        causal_lm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        start: str = "",
        tokens_per_frame: int = TOKENS_PER_FRAME,
    ) -> None:
        owner = type(self).__name__
        require_count(owner, "tokens_per_frame", tokens_per_frame, least=1, unbounded=False)
        super().__init__(causal_lm, causal_lm.base_model)
        self.tokenizer, self.tokens_per_frame = tokenizer, tokens_per_frame
        if start and tokenizer is None:
            raise ValueError(f"DecoderModel: start={start!r} needs a tokenizer: pass one")
        self._start_ids = _ids(tokenizer, start)[0].tolist() if tokenizer and start else []

    def frame(self, token_ids: Tensor, cursor: Cursor | None = None) -> FrameTokens:
        """Tokens [batch, tokens] as one frame that continues a stream at `cursor`.

        Raises:
            ValueError: for ids that are not the model's, or none.
        """
        token_ids = as_token_ids(token_ids, self.spec.vocab)
        positions = self.text_positions(cursor or Cursor(), *token_ids.shape)
        with torch.no_grad():
            return FrameTokens(self.embed(token_ids), positions)

    def text_frames(self, text: str) -> TextFrames:
        """A text in frames of `tokens_per_frame`.

        Raises:
            ValueError: without a tokenizer, or for a text shorter than one frame.
        """
        if self.tokenizer is None:
            raise ValueError("DecoderModel has no tokenizer to read a text with: pass one")
        return TextFrames(self.tokenizer, text, self.tokens_per_frame)

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        if frames.dim() != 2:
            return super().encode(frames, timestamps, cursor)
        return self.frame(frames, cursor)

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self._start_ids, cursor)

    def question_ids(self, question: str) -> Tensor:
        if self.tokenizer is None:
            return super().question_ids(question)
        return self.conversation_ids([{"role": "user", "content": question}])

    def conversation_ids(self, messages: Sequence[Message]) -> Tensor:
        if self.tokenizer is None:
            return super().conversation_ids(messages)
        return _ids(self.tokenizer, next_turns(self.tokenizer, messages))

    def reply_ids(self, text: str) -> Tensor:
        if self.tokenizer is None:
            return super().reply_ids(text)
        return _ids(self.tokenizer, text)

    def text(self, token_ids: Tensor) -> str:
        if self.tokenizer is None:
            return ""
        return str(self.tokenizer.decode(token_ids.tolist(), skip_special_tokens=True))


def next_turns(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """Turns and the beginning of the answer's, as the chat template writes them behind other turns:
    without the system turn that templates put in front. Without a template, their texts as they
    are, a line each.

    Raises:
        ValueError: if the template refuses these turns.
    """
    if not tokenizer.chat_template:
        return "\n".join(message["content"] for message in messages)
    before = [{"role": "user", "content": "-"}, {"role": "assistant", "content": "-"}]
    after = [*before, *messages]
    earlier = rendered(tokenizer, before, "text", reply=False)
    # A template that writes earlier turns anew has no place in the middle: the turn alone.
    whole = rendered(tokenizer, after, "text")
    return (
        whole[len(earlier) :]
        if whole.startswith(earlier)
        else rendered(tokenizer, messages, "text")
    )


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> Tensor:
    """[1, tokens] of text in the middle of a stream: Llama's tokenizers would put a BOS before it.

    Raises:
        ValueError: for text without tokens.
    """
    token_ids = tokenizer.encode(text, add_special_tokens=False)
    if not token_ids:
        raise ValueError(f"DecoderModel: the text {text!r} has no tokens: give at least one word")
    return torch.tensor([token_ids])
