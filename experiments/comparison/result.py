"""What a comparison found: every answer, how close it is to full attention's, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from statistics import median
from typing import Any

import torch

from ...framework import Answer, StepCosts, VideoSession, innermost
from ...framework.archives.storage import LayerArchive
from ...framework.metrics import answer_agreement, kl_to_full, relative_error
from ...methods import SimpleStream

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """One combination, its session after the video, and its answer."""

    memory: str
    reader: str
    archive: str
    session: VideoSession
    answer: Answer
    ask_milliseconds: float


@dataclass(frozen=True, eq=False)
class Baseline:
    """SimpleStream after the video, and its answer."""

    stream: SimpleStream
    answer: Answer
    ask_milliseconds: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs over the same frames and question, with full attention as the reference.

    `runs` hold every combination, memory by memory, then archive, then reader; `flagged` counts
    the frames that FFmpeg flags as damaged; `left_out` says in a line each which memories and
    archives were not read by which reader, because nothing is there that it could read.
    """

    question: str
    runs: Sequence[Run]
    reference: Run
    baseline: Baseline | None = None
    flagged: int = 0
    left_out: Sequence[str] = ()

    def rows(self) -> list[Row]:
        """One row per combination: answer, closeness to full attention, cost."""
        rows = [self._row(run) for run in self.runs]
        return rows if self.baseline is None else [*rows, self._baseline_row(self.baseline)]

    def step_rows(self) -> list[Row]:
        """One row per memory and step, of its first archive; the prompt before the video is frame
        -1."""
        first: dict[str, Run] = {}
        for run in self.runs:
            first.setdefault(run.memory, run)
        return [row for run in first.values() for row in self._steps_of(run)]

    def _row(self, run: Run) -> Row:
        costs, full = run.session.costs, self.reference
        seen = [cost for cost in costs if cost.images]
        return {
            "memory": run.memory,
            "reader": run.reader,
            "archive": run.archive,
            "settings": repr(run.session.memory),
            "family": type(innermost(run.session.memory)).__name__,
            **self._closeness(run.answer),
            "archive_error": archive_error(run.session, full.session),
            **self._spent(costs),
            "decoder_flops_last_frame": costs[-1].flops / max(costs[-1].images, 1),
            "decoder_ms_per_frame": median(c.milliseconds / c.images for c in seen),
            "vision_ms_per_frame": median(c.encode_milliseconds / c.images for c in seen),
            "ask_ms": run.ask_milliseconds,
            "state_bytes": costs[-1].state_bytes,
            "archive_bytes": costs[-1].archive_bytes,
            "attention": costs[-1].attention,
        }

    def _spent(self, costs: StepCosts) -> Row:
        return {
            "frames": sum(cost.images for cost in self.reference.session.costs),
            "flagged_frames": self.flagged,
            "tokens": costs.totals.tokens,
            "decoder_flops": costs.totals.flops,
        }

    def _closeness(self, answer: Answer) -> Row:
        full = self.reference.answer
        agreement = kl = nan
        if answer.finite and full.finite:
            agreement = answer_agreement(answer.token_ids, full.token_ids)
            kl = float(kl_to_full(answer.first_logits, full.first_logits))
        reply = {"answer": answer.text, "finite": answer.finite}
        return {**reply, "agreement": agreement, "kl_to_full": kl}

    def _baseline_row(self, baseline: Baseline) -> Row:
        """Its decoder sees the frames when asked, so that FLOPs are those of the one question."""
        return {
            "memory": repr(baseline.stream),
            "reader": "prefills anew",
            "archive": "none",
            "settings": "no memory",
            "family": "SimpleStream",
            **self._closeness(baseline.answer),
            "archive_error": nan,
            **self._spent(baseline.stream.costs),
            "decoder_flops_last_frame": 0,
            "decoder_ms_per_frame": 0.0,
            "vision_ms_per_frame": 0.0,
            "ask_ms": baseline.ask_milliseconds,
            "state_bytes": baseline.stream.state_bytes,
            "archive_bytes": 0,
            "attention": baseline.stream.costs[-1].attention,
        }

    def _steps_of(self, run: Run) -> Iterator[Row]:
        frame = 0
        for cost in run.session.costs:
            yield {
                "memory": run.memory,
                "frame": frame if cost.images else -1,
                "frames": cost.images,
                "timestamp": cost.timestamp,
                "tokens": cost.tokens,
                "flops": cost.flops,
                "milliseconds": cost.milliseconds,
                "vision_milliseconds": cost.encode_milliseconds,
                "state_bytes": cost.state_bytes,
                "attention": cost.attention,
                "archive_bytes": cost.archive_bytes,
            }
            frame += cost.images


def archive_error(session: VideoSession, full: VideoSession) -> float:
    """How far archived keys and values are from full attention's: relative Frobenius error.

    Mean over layers and over keys and values, of the tokens that entered the decoder. The first
    layer's are always equal, since nothing was attended to before it. Nan without an archive.
    """
    if not session.archive.codec.keeps:
        return nan
    errors = []
    for layer in range(session.model.spec.num_layers):
        ours = LayerArchive(session.archive, layer).slots()
        exact = LayerArchive(full.archive, layer).slots()
        entered = ours.index[0, 0]
        for mine, other in ((ours.keys, exact.keys), (ours.values, exact.values)):
            errors.append(relative_error(mine, other.index_select(2, entered.to(other.device))))
    return float(torch.stack(errors).mean())
