"""Questions as they come from users, turned into token ids that the model has embeddings for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from .model import VideoModel
from .text import require_characters

INTEGERS = (
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)


def as_token_ids(question: object, vocab: int, batch: int | None = None) -> Tensor:
    """Token ids [B, tokens] int64 of a question given as ids.

    Args:
        question: integers [tokens] or [B, tokens], a tensor, an array or a sequence.
        vocab: ids lie below it.
        batch: videos to ask about; one question is asked about all of them. None: as many as asked.

    Raises:
        ValueError: for another shape or batch, no token, numbers that are not integers, or ids that
            the model has no embedding for.
    """
    token_ids = _integers(question)
    if token_ids.dim() not in (1, 2) or token_ids.numel() == 0:
        raise _refused(f"shape {tuple(token_ids.shape)} of {token_ids.dtype}")
    token_ids = token_ids.reshape(-1, token_ids.shape[-1]).long()
    least, most = int(token_ids.min()), int(token_ids.max())
    if least < 0 or most >= vocab:
        raise ValueError(
            f"token id {least if least < 0 else most} is none of the model's, which are 0 to "
            f"{vocab - 1}: tokenize with the checkpoint's own tokenizer"
        )
    if batch is not None and token_ids.shape[0] not in (1, batch):
        raise ValueError(
            f"got {token_ids.shape[0]} questions about a batch of {batch} videos: give one, or one "
            "per video"
        )
    return token_ids if batch is None else token_ids.expand(batch, -1)


def are_several(question: object) -> TypeGuard[Sequence[object]]:
    """Whether this is a list of questions, one for each video, and not one question."""
    if not isinstance(question, list | tuple) or not question:
        return False
    first = question[0]
    if isinstance(first, Tensor | np.ndarray):
        return first.ndim > 0
    return isinstance(first, str | list | tuple)


def question_ids(model: VideoModel, question: object) -> Tensor:
    """Token ids [B, tokens] int64 of a question given as text or as ids.

    Raises:
        ValueError: as `as_token_ids`; for text that no tokenizer reads, naming the character.
    """
    if not isinstance(question, str):
        return as_token_ids(question, model.spec.vocab)
    require_characters(question, "the question")
    return as_token_ids(model.question_ids(question), model.spec.vocab)


def _integers(question: object) -> Tensor:
    try:
        token_ids = torch.as_tensor(question)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        words = " ".join(str(error).split())[:200]
        raise _refused(f"{type(question).__name__}: {words}") from error
    if token_ids.dtype not in INTEGERS and token_ids.numel():
        raise _refused(f"shape {tuple(token_ids.shape)} of {token_ids.dtype}")
    if token_ids.is_meta or token_ids.layout != torch.strided:
        raise _refused(f"a tensor without values to read ({token_ids.device}, {token_ids.layout})")
    return token_ids


def _refused(given: str) -> ValueError:
    return ValueError(
        "a question is text or token ids [tokens] or [B, tokens], integers, with at least one "
        f"token, got {given}"
    )
