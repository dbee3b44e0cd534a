"""Questions about a session: what they read, and what the model answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..model import Answer, Generated
from ..token_ids import question_ids
from .progress import Progress
from .session_view import SessionView
from .step import AskStep
from .verify import check_padding, check_question, check_single, check_videos


def opened(
    session: SessionView, now: Progress, token_ids: Tensor, new: int, real: Tensor | None = None
) -> tuple[AskStep, Tensor]:
    """What questions [B, tokens] and `new` tokens of each answer attend to, and the angles
    [axes, B, tokens] of the questions.

    Args:
        real: [B, tokens] bool, False at padding in front of shorter questions; None without.

    Raises:
        ValueError: past the planned length.
    """
    batch, count = token_ids.shape
    room, state = count + new, now.state
    check_question(session.memory, session.reader, state, room, session.max_tokens)
    positions = session.model.text_positions(state.cursor, batch, count)
    if real is not None:  # each question begins where the stream ends, and its padding stands there
        padding = (~real).sum(-1, keepdim=True)
        positions = (positions - padding).clamp(min=state.cursor.position)
    reading = AskStep(
        session.model,
        state,
        now.archive,
        session.reader,
        asked_at=positions,
        real=real,
        room=room,
        max_tokens=session.max_tokens,
        attention=session.attention,
    )
    return reading, state.origin.angles(positions)


def answer_one(
    session: SessionView, now: Progress, question: object, new: int, generation: Mapping[str, Any]
) -> Answer:
    """The answer, of at most `new` tokens, to a question about the only video."""
    token_ids = question_ids(session.model, question)
    check_single(token_ids.shape[0], now.state.batch or 1)
    reading, angles = opened(session, now, token_ids, new)
    ids, options = token_ids.to(session.model.device), _options(session, reading, new)
    made = session.model.generate(ids, angles, reading, **options, **generation)
    return _answer(session, made, reading)


def answer_each(
    session: SessionView,
    now: Progress,
    questions: Sequence[object],
    new: int,
    generation: Mapping[str, Any],
) -> list[Answer]:
    """The answers to one question about each video, decoded together."""
    rows = [question_ids(session.model, question).cpu() for question in questions]
    lengths = [row.shape[1] for row in rows]
    check_videos([row.shape[0] for row in rows], now.state.batch or 1)
    if len(questions) == 1:
        return [answer_one(session, now, questions[0], new, generation)]
    check_padding(session.model, session.reader, lengths)
    token_ids = torch.cat([_padded(row, max(lengths)) for row in rows])
    padding = max(lengths) - torch.tensor(lengths)
    real = torch.arange(max(lengths)) >= padding[:, None] if padding.any() else None
    reading, angles = opened(session, now, token_ids, new, real)
    ids, options = token_ids.to(session.model.device), _options(session, reading, new)
    answers = session.model.generate_each(ids, angles, reading, **options, **generation)
    return [_answer(session, made, reading) for made in answers]


def _padded(row: Tensor, length: int) -> Tensor:
    """Its own first token in front: no rule of `generate` that looks at ids meets a new one."""
    return torch.cat([row[:, :1].expand(-1, length - row.shape[1]), row], 1)


def _options(session: SessionView, reading: AskStep, new: int) -> dict[str, Any]:
    sizes = {"max_tokens": session.max_tokens, "max_new_tokens": new}
    return {**sizes, "recurrent": reading.recurrent}


def _answer(session: SessionView, made: Generated, reading: AskStep) -> Answer:
    finite = reading.finite(made.first_logits)
    return Answer(session.model.text(made.token_ids), made.token_ids, made.first_logits, finite)
