"""Answers on the terminal, word by word while they are generated."""

from __future__ import annotations

from typing import IO, Any

import torch
from transformers import TextStreamer

from ...framework import VideoModel
from ..reports.text import printable


class AnswerStreamer(TextStreamer):
    """Writes an answer word by word while it is generated, without the prompt."""

    def __init__(self, model: VideoModel, out: IO[str]) -> None:
        decoder: Any = _Decoder(model)
        super().__init__(decoder, skip_prompt=True)
        self.out = out

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.out.write(printable(text) + "\n" * stream_end)
        self.out.flush()


class _Decoder:
    """What `TextStreamer` wants of a tokenizer, from any adapter."""

    def __init__(self, model: VideoModel) -> None:
        self.model = model

    def decode(self, token_ids: list[int]) -> str:
        return self.model.text(torch.tensor(token_ids, dtype=torch.int64))
