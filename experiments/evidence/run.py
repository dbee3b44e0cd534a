"""The suites on a real decoder, stream by stream; resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...framework import VideoSession
from ...methods import ReadCarried
from ..evaluation.folder import cell_hashes, run_folder
from ..evaluation.rows import Row, RowFile, read_rows
from ..streaming.cells import Cell, require_readable
from ..streaming.environment import commit, machine_of
from .options import EvidenceOptions
from .prediction import (
    continuation_kl,
    log_probabilities,
    needle_scores,
    pass_streams,
    predictions,
)
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
class Passed:
    """A cell's session behind a batch, and the hidden states [B, tokens, hidden] on the way."""

    session: VideoSession
    hidden: Tensor


@dataclass(frozen=True, eq=False)
class Reference:
    """Full attention behind a batch, computed once for all cells.

    Attributes:
        log_probs: of the scored tokens, [places, vocab] by group, for each stream.
        after: [B, tokens, vocab] logits of the text that goes on, where the suite has any.
    """

    passed: Passed
    log_probs: Sequence[Mapping[str, Tensor]]
    after: Tensor | None


def run_evidence(options: EvidenceOptions, say: Say = print) -> list[Row]:
    """Write the rows that are left to write, and give all.

    Args:
        say: takes a line after every batch of streams.

    Raises:
        ValueError: for a model that is no text decoder, streams that do not fit it, or a folder of
            another run.
    """
    model = _decoder(options)
    with run_folder(options.output, options.identity) as config:
        configs = cell_hashes(config)
        with closing(RowFile(options.output)) as file:
            for batch in _batches(options, model):
                done = {
                    (row["cell"], row["question"]) for row in read_rows(options.output, configs)
                }
                owed = [c for c in options.cells if any((c, n) not in done for n in batch.names)]
                for cell, rows in _rows_of(options, model, batch, owed):
                    stamp = {**_stamp(options, model), "config": configs[cell]}
                    new = [row for row in rows if (cell, row["question"]) not in done]
                    file.append({**stamp, **row} for row in new)
                    say(f"{batch.names[0]} to {batch.names[-1]}: {cell}")
        return read_rows(options.output, configs)


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


def _batches(options: EvidenceOptions, model: DecoderModel) -> Iterator[Batch]:
    for suite in options.suites:
        for first in range(0, options.streams, options.batch):
            seeds = range(first, min(first + options.batch, options.streams))
            drawn = streams(suite, encoder(model), options.half, seeds, options.tokens)
            names = [f"{suite}/{options.half}/{options.tokens}/{seed}" for seed in seeds]
            yield Batch(suite, names, list(drawn))


def _rows_of(
    options: EvidenceOptions, model: DecoderModel, batch: Batch, owed: Sequence[str]
) -> Iterator[tuple[str, list[Row]]]:
    """Rows of each owed cell; full attention passes once, whether it is owed or not."""
    if not owed:
        return
    full = _reference(model, options.cells[options.reference], batch)
    for name in owed:
        cell = options.cells[name]
        passed = full.passed if name == options.reference else _pass(model, cell, batch)
        yield name, _measured(name, model, cell, batch, passed, full)


def _reference(model: DecoderModel, cell: Cell, batch: Batch) -> Reference:
    passed = _pass(model, cell, batch)
    each = zip(batch.streams, passed.hidden, strict=True)
    scored = [log_probabilities(model, hidden, stream.scored) for stream, hidden in each]
    after = batch.after
    logits = None if after is None else passed.session.question_logits(after)
    return Reference(passed, scored, logits)


def _pass(model: DecoderModel, cell: Cell, batch: Batch) -> Passed:
    session = cell.session(model)
    return Passed(session, pass_streams(model, session, batch.ids))


def _measured(
    name: str, model: DecoderModel, cell: Cell, batch: Batch, passed: Passed, full: Reference
) -> list[Row]:
    costs = _costs(passed.session, len(batch.names))
    rows: list[Row] = []
    for number, (question, stream) in enumerate(zip(batch.names, batch.streams, strict=True)):
        predicted = predictions(model, stream, passed.hidden[number], full.log_probs[number])
        row = {"cell": name, "question": question, "suite": batch.suite, **costs}
        row["groups"] = {group: asdict(part) for group, part in predicted.items()}
        if stream.needles:
            row["needles_age"] = [needle.age for needle in stream.needles]
        rows.append(row)
    for reading, session in _readings(model, cell, passed.session):
        for row, part in zip(rows, _asked(batch, session, full.after), strict=True):
            row |= {f"{measure}_{reading}": value for measure, value in part.items()}
    return rows


def _readings(
    model: DecoderModel, cell: Cell, session: VideoSession
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


def _stamp(options: EvidenceOptions, model: DecoderModel) -> Row:
    return {
        "batch": options.batch,
        "prose": content_hash(),
        "commit": commit(),
        "environment": machine_of(model),
    }
