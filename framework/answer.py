"""What a question gets back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
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
