"""The suites on a real decoder, stream by stream; resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...framework import VideoModel, VideoSession
from ...methods import ReadCarried
from ..evaluation.folder import cell_hashes, run_folder
from ..evaluation.rows import Key, Row, RowFile, key_of, read_rows
from ..streaming.cells import Cell, require_readable
from ..streaming.environment import commit, machine_of
from .options import EvidenceOptions
from .prediction import continuation_kl, log_probabilities, needle_scores, pass_streams, predictions
from .prose import content_hash, encoder
from .suites import TextStream, streams

if TYPE_CHECKING:
    from ...models import DecoderModel

Say = Callable[[str], object]


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


def run_evidence(options: EvidenceOptions, say: Say = print) -> list[Row]:
    """Write the rows that are left to write, and give all; `say` takes a line after every batch.

    Raises:
        ValueError: for a model that is no text decoder, streams that do not fit it, or a folder of
            another run.
    """
    model = _decoder(options)
    stamp = {"batch": options.batch, "prose": content_hash(), "commit": commit()}
    stamp["environment"] = machine_of(model)
    with run_folder(options.output, options.identity) as config:
        configs = cell_hashes(config)
        done = {key_of(row) for row in read_rows(options.output, configs)}
        with closing(RowFile(options.output)) as file:
            for suite, seeds, owed in owing(options, done):
                drawn = streams(suite, encoder(model), options.half, seeds, options.tokens)
                batch = Batch(suite, options.names(suite, seeds), list(drawn))
                for cell, rows in _rows_of(options, model, batch, owed):
                    new = [row for row in rows if key_of(row) not in done]
                    file.append({**stamp, "config": configs[cell], **row} for row in new)
                    say(f"{batch.names[0]} to {batch.names[-1]}: {cell}")
        return read_rows(options.output, configs)


def owing(
    options: EvidenceOptions, done: Set[Key]
) -> Iterator[tuple[str, Sequence[int], list[str]]]:
    """Suite and seeds of the streams that pass together, with the cells that owe rows of any."""
    for suite in options.suites:
        for first in range(0, options.streams, options.batch):
            seeds = range(first, min(first + options.batch, options.streams))
            names = options.names(suite, seeds)
            if owed := [c for c in options.cells if not {(c, n) for n in names} <= done]:
                yield suite, seeds, owed


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


def _rows_of(
    options: EvidenceOptions, model: DecoderModel, batch: Batch, owed: Sequence[str]
) -> Iterator[tuple[str, list[Row]]]:
    """Rows of each owed cell; full attention passes once, whether it is owed or not."""
    full = _reference(model, options.cells[options.reference], batch)
    for name in owed:
        cell, session, hidden = options.cells[name], full.session, full.hidden
        if name != options.reference:
            session = cell.session(model)
            hidden = pass_streams(model, session, batch.ids)
        yield name, _measured(name, cell, batch, session, hidden, full)


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
    model, costs = session.model, _costs(session, len(batch.names))
    rows: list[Row] = []
    for number, (question, stream) in enumerate(zip(batch.names, batch.streams, strict=True)):
        predicted = predictions(model, stream, hidden[number], full.log_probs[number])
        row = {"cell": name, "question": question, "suite": batch.suite, **costs}
        row["groups"] = {group: asdict(part) for group, part in predicted.items()}
        if stream.needles:
            row["needles_age"] = [needle.age for needle in stream.needles]
        rows.append(row)
    for reading, ended in _readings(model, cell, session):
        for row, part in zip(rows, _asked(batch, ended, full.after), strict=True):
            row |= {f"{measure}_{reading}": value for measure, value in part.items()}
    return rows


def _readings(
    model: VideoModel, cell: Cell, session: VideoSession
) -> Iterator[tuple[str, VideoSession]]:
    """What is asked at the end: the whole archive, and what is carried, where anything is."""
    yield "archive", session
    try:
        require_readable(model, cell.memory, ReadCarried())
    except ValueError:
        return
    yield "carried", session.fork(reader=ReadCarried())


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


def _costs(session: VideoSession, rows: int) -> Row:
    """Costs of one stream: a batch's, shared out."""
    totals, last = session.costs.totals, session.costs[-1]
    return {
        "tokens": session.cursor.tokens,
        "decoder_flops": totals.flops // rows,
        "decoder_ms": totals.milliseconds / rows,
        "state_bytes": last.state_bytes // rows,
        "archive_bytes": last.archive_bytes // rows,
    }
