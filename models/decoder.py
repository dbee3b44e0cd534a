"""A raw text decoder behind the same door, for research on decoders and for tests."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..framework import Cursor, FrameTokens
from ..framework.token_ids import as_token_ids
from .hf import HFDecoder
from .prompt import text_tokens


class DecoderModel(HFDecoder):
    """A causal language model without a vision side: takes `FrameTokens`.

    Args:
        causal_lm: e.g. `Qwen2ForCausalLM`; needs full attention in every layer.
        tokenizer: turns questions into ids and answers into text; without it questions are ids.
        start: text before every stream, which needs the tokenizer: the prologue.
    """

    def __init__(
        self,
        causal_lm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        start: str = "",
    ) -> None:
        super().__init__(causal_lm, causal_lm.base_model)
        self.tokenizer = tokenizer
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

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self._start_ids, cursor)

    def question_ids(self, question: str) -> Tensor:
        if self.tokenizer is None:
            return super().question_ids(question)
        return _ids(self.tokenizer, question)

    def reply_ids(self, text: str) -> Tensor:
        if self.tokenizer is None:
            return super().reply_ids(text)
        return _ids(self.tokenizer, text)

    def text(self, token_ids: Tensor) -> str:
        if self.tokenizer is None:
            return ""
        return str(self.tokenizer.decode(token_ids.tolist(), skip_special_tokens=True))


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> Tensor:
    """[1, tokens] of text in the middle of a stream: Llama's tokenizers would put a BOS before it.

    Raises:
        ValueError: for text without tokens.
    """
    found = tokenizer.encode(text, add_special_tokens=False)
    if not found:
        raise ValueError(f"DecoderModel: the text {text!r} has no tokens: give at least one word")
    return torch.tensor([found])
