"""The suites of text on a text decoder: what is predicted inside a stream, and asked behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...framework import VideoSession
from ..evaluation.rows import Row
from ..streaming.cells import Cell
from .options import EvidenceOptions
from .prediction import continuation_kl, log_probabilities, needle_scores, pass_streams, predictions
from .prose import content_hash, encoder
from .readings import costs_of_one, readings
from .suites import TextStream, streams

if TYPE_CHECKING:
    from ...models import DecoderModel


@dataclass(frozen=True)
class Batch:
    """Streams of one suite that pass together.

    Attributes:
        names: what their rows are filed under.
    """

    suite: str
    names: Sequence[str]
    streams: Sequence[TextStream]

    @property
    def ids(self) -> Tensor:
        """[B, tokens]."""
        return torch.tensor([list(stream.ids) for stream in self.streams])

    @property
    def after(self) -> Tensor | None:
        """[B, tokens] that go on behind the streams, where the suite has any."""
        if not self.streams[0].after:
            return None
        return torch.tensor([list(stream.after) for stream in self.streams])


@dataclass(frozen=True, eq=False)
class Reference:
    """Full attention behind a batch, computed once for all cells.

    Attributes:
        hidden: [B, tokens, hidden] on the way.
        log_probs: of the scored tokens, [places, vocab] by group, for each stream.
        after: [B, tokens, vocab] logits of the text that goes on, where the suite has any.
    """

    session: VideoSession
    hidden: Tensor
    log_probs: Sequence[Mapping[str, Tensor]]
    after: Tensor | None


class TextTrial:
    """Streams of text through every cell.

    Attributes:
        stamp: of rows: what the streams are made of.

    Raises:
        ValueError: for a model that is no text decoder, or streams that do not fit it.
    """

    def __init__(self, options: EvidenceOptions) -> None:
        self.options, self.model = options, _decoder(options)
        self.stamp = {"prose": content_hash()}

    def rows(
        self, suite: str, seeds: Sequence[int], owed: Sequence[str]
    ) -> Iterator[tuple[str, list[Row]]]:
        """Rows of each owed cell; full attention passes once, whether it is owed or not."""
        options, model = self.options, self.model
        drawn = streams(suite, encoder(model), options.half, seeds, options.tokens)
        batch = Batch(suite, options.names(suite, seeds), list(drawn))
        full = _reference(model, options.cells[options.reference], batch)
        for name in owed:
            cell, session, hidden = options.cells[name], full.session, full.hidden
            if name != options.reference:
                session = cell.session(model)
                hidden = pass_streams(model, session, batch.ids)
            yield name, _measured(name, cell, batch, session, hidden, full)


def _decoder(options: EvidenceOptions) -> DecoderModel:
    from ...models import DecoderModel  # 6 s: reading a run needs no model

    model = options.model.load()
    if not isinstance(model, DecoderModel) or model.tokenizer is None:
        raise ValueError(
            f"evidence: {options.model.model} is not a text decoder with a tokenizer: give a GGUF "
            "file, or smollm2-135m"
        )
    options.require_room(model)
    return model


def _reference(model: DecoderModel, cell: Cell, batch: Batch) -> Reference:
    session = cell.session(model)
    hidden = pass_streams(model, session, batch.ids)
    each = zip(batch.streams, hidden, strict=True)
    scored = [log_probabilities(model, own, stream.scored) for stream, own in each]
    logits = None if batch.after is None else session.question_logits(batch.after)
    return Reference(session, hidden, scored, logits)


def _measured(
    name: str, cell: Cell, batch: Batch, session: VideoSession, hidden: Tensor, full: Reference
) -> list[Row]:
    model, costs = session.model, costs_of_one(session, len(batch.names))
    rows: list[Row] = []
    for number, (question, stream) in enumerate(zip(batch.names, batch.streams, strict=True)):
        predicted = predictions(model, stream, hidden[number], full.log_probs[number])
        row = {"cell": name, "question": question, "suite": batch.suite, **costs}
        row["groups"] = {group: asdict(part) for group, part in predicted.items()}
        if stream.needles:
            row["needles_age"] = [needle.age for needle in stream.needles]
        rows.append(row)
    for reading, ended in readings(model, cell, session):
        for row, part in zip(rows, _asked(batch, ended, full.after), strict=True):
            row |= {f"{measure}_{reading}": value for measure, value in part.items()}
    return rows


def _asked(
    batch: Batch, session: VideoSession, full_after: Tensor | None
) -> list[Mapping[str, Any]]:
    """What each stream's end tells by this reading."""
    answers: list[dict[str, Any]] = [{} for _ in batch.streams]
    if batch.after is not None and full_after is not None:
        values = continuation_kl(session, batch.after, full_after).tolist()
        for row, value in zip(answers, values, strict=True):
            row["continuation_kl"] = value
    each = zip(*(stream.needles for stream in batch.streams), strict=True)
    scores = [needle_scores(session, needles) for needles in each]
    for number, row in enumerate(answers if scores else ()):
        row["needles_right"] = [bool(right[number]) for right, _ in scores]
        row["needles_loss"] = [float(loss[number]) for _, loss in scores]
    return list(answers)
