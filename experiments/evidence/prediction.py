"""Prediction inside a stream: how well the next token is foretold from what a memory kept.

Needs no question and no answer: a decoder predicts every token of a frame of text from what later
frames may attend to, so the loss tells at once what was lost. It works for every model whose frames
hold text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from ...framework import FrameTokens, VideoModel, VideoSession
from ...framework.metrics import kl_to_full
from .suites import FRAME_TOKENS, Needle, TextStream

if TYPE_CHECKING:
    from ...models import DecoderModel

ROWS_AT_ONCE = 128  # of logits: 25 MB in float32 at a vocabulary of 49,152


@dataclass(frozen=True)
class Prediction:
    """How some tokens were predicted, on average.

    Attributes:
        loss: negative log probability of the true token, nats.
        kl: KL(full attention || memory) of the prediction, nats; 0 for full attention.
        agreement: how often the likeliest token is full attention's.
        count: tokens.
    """

    loss: float
    kl: float
    agreement: float
    count: int


def pass_streams(model: DecoderModel, session: VideoSession, ids: Tensor) -> Tensor:
    """Push streams [B, tokens] frame by frame behind the model's start.

    Returns:
        [B, tokens, hidden], from which the tokens behind each are predicted.

    Raises:
        ValueError: if the memory keeps tokens from entering the decoder.
    """
    start = model.prologue(session.cursor)
    if start is not None:
        session.push(_for_rows(start, len(ids)))
    hidden = []
    for frame in ids.split(FRAME_TOKENS, 1):
        passed = session.push(model.frame(frame, session.cursor), return_hidden=True)
        if passed is None or passed.shape[1] != frame.shape[1]:
            raise ValueError(
                f"{session.memory!r} drops tokens before the decoder, which then predicts nothing "
                "from them: leave it out of suites that predict"
            )
        hidden.append(passed)
    return torch.cat(hidden, 1)


@torch.no_grad()
def log_probabilities(
    model: VideoModel, hidden: Tensor, scored: Mapping[str, Sequence[int]]
) -> dict[str, Tensor]:
    """Float32 log probabilities [places, vocab] of the scored tokens of one stream, whose places
    count from 1, by group, from its hidden states [tokens, hidden]."""
    return {
        group: torch.cat(
            [
                _log_probabilities(model, hidden, some)
                for some in torch.tensor(list(places)).split(ROWS_AT_ONCE)
            ]
        )
        for group, places in scored.items()
        if len(places)
    }


@torch.no_grad()
def predictions(
    model: VideoModel, stream: TextStream, hidden: Tensor, full: Mapping[str, Tensor]
) -> dict[str, Prediction]:
    """How the scored tokens of one stream were predicted from a memory's hidden states [tokens,
    hidden], by group; `full` are `log_probabilities` of full attention."""
    return {
        group: _predicted(model, stream.ids, hidden, log_full, stream.scored[group])
        for group, log_full in full.items()
    }


@torch.no_grad()
def continuation_kl(session: VideoSession, after: Tensor, full_logits: Tensor) -> Tensor:
    """[B] mean KL of the predictions inside text, ids [B, tokens], that goes on behind a stream, to
    full attention's logits [B, tokens, vocab]."""
    return kl_to_full(session.question_logits(after), full_logits).mean(-1)


@torch.no_grad()
def needle_scores(session: VideoSession, needles: Sequence[Needle]) -> tuple[Tensor, Tensor]:
    """[B] whether the right choice is the likeliest, and its loss among the choices in nats, of a
    needle for each row, their questions equally long."""
    questions = torch.tensor([list(needle.question) for needle in needles])
    choices = torch.tensor([list(needle.choices) for needle in needles])
    last = session.question_logits(questions)[:, -1].cpu()
    among = last.gather(-1, choices).double().log_softmax(-1)
    return among.argmax(-1) == 0, -among[:, 0]


def _predicted(
    model: VideoModel, ids: Sequence[int], hidden: Tensor, log_full: Tensor, places: Sequence[int]
) -> Prediction:
    loss = kl = agreement = 0.0
    chunks = (torch.tensor(list(places)).split(ROWS_AT_ONCE), log_full.split(ROWS_AT_ONCE))
    for some, theirs in zip(*chunks, strict=True):
        ours = _log_probabilities(model, hidden, some)
        truth = torch.tensor(ids)[some].to(ours.device)
        loss -= float(ours.gather(-1, truth[:, None]).double().sum())
        kl += float(kl_div(ours, theirs, log_target=True, reduction="none").sum(-1).double().sum())
        agreement += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
    count = len(places)
    return Prediction(loss / count, max(0.0, kl / count), agreement / count, count)


def _log_probabilities(model: VideoModel, hidden: Tensor, places: Tensor) -> Tensor:
    return model.logits(hidden[places - 1]).float().log_softmax(-1)


def _for_rows(frame: FrameTokens, rows: int) -> FrameTokens:
    """A frame of one row for each of several."""
    return replace(
        frame,
        embeds=frame.embeds.expand(rows, -1, -1),
        positions=frame.positions.expand(-1, rows, -1),
        visual=frame.visual_mask().expand(rows, -1),
    )
