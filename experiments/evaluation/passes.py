"""One pass over a video: frames stream through every cell, questions are asked on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from math import isfinite

import torch

from ...framework import Answer, VideoModel, VideoSession
from ...framework.metrics import answer_agreement, kl_to_full
from ...framework.stream.costs import Timer
from ...framework.video import VideoError
from ..benchmarks.question import Question
from ..streaming.environment import machine_of
from ..streaming.lengths import question_ids, stretches
from ..streaming.media import media_at
from ..streaming.shared_stream import SharedStream
from .options import EvaluateOptions
from .rows import Key, Row, Work, key_of

Answers = dict[str, Answer]  # of the reference cell, by question


class PassRunner:
    """Streams videos through the cells of a run and asks their questions; each pass takes the model
    set up for its own number of frames and system turn."""

    def __init__(self, model: VideoModel, options: EvaluateOptions) -> None:
        self.model, self.options = model, options
        self.environment = machine_of(model)

    def rows(self, work: Work) -> list[Row]:
        """The rows that a pass owes. Where the video turns out damaged, questions about frames
        before the damage are answered, and the others' rows are "unreadable".

        Raises:
            VideoError: for a damaged video, if the run is strict.
        """
        rows: dict[Key, Row] = {}
        reference: Answers = {}
        why = ""
        for cells in self._together(work):
            try:
                for row in self._pass(work, cells, reference):
                    rows[key_of(row)] = row
            except VideoError as error:
                why = str(error)
                if self.options.strict:
                    raise VideoError(f"{work.video.stops[0].question.video}: {why}") from error
        questions = {stop.question.id: stop.question for stop in work.video.stops}
        for cell, name in sorted(work.owed - rows.keys()):
            rows[cell, name] = unanswered(cell, questions[name], "unreadable", why)
        stamp = {"pass": work.video.name, "environment": self.environment}
        return [{**row, **stamp} for key, row in rows.items() if key in work.owed]

    def _together(self, work: Work) -> Iterator[list[str]]:
        """Cells that owe rows, a few at a time; the reference comes first."""
        names = [name for name in self.options.cells if any(name == cell for cell, _ in work.owed)]
        if self.options.reference is not None:
            names = list(dict.fromkeys([self.options.reference, *names]))
        size = self.options.cells_at_once or len(names)
        return (names[start : start + size] for start in range(0, len(names), size))

    def _pass(self, work: Work, cells: Sequence[str], reference: Answers) -> Iterator[Row]:
        options, asked = self.options, {question for _, question in work.owed}
        for stretch in stretches(self.model, work.video, options.reply_tokens, options.max_tokens):
            stops = [stop for stop in stretch.stops if stop.question.id in asked]
            stream = stretch.opened({name: options.cells[name] for name in cells})
            video, strict = stretch.video, options.strict
            with closing(media_at(stretch.model, video.path, video.times, strict=strict)) as frames:
                for count, here in groupby(stops, key=lambda stop: stop.frames):
                    while stream.frames < count:
                        stream.push(*next(frames))
                    questions = [stop.question for stop in here]
                    yield from self._ask_all(stream, questions, reference, frames.flagged)

    def _ask_all(
        self,
        stream: SharedStream[str],
        questions: Sequence[Question],
        reference: Answers,
        flagged: int,
    ) -> Iterator[Row]:
        for name, session in stream.sessions():
            for question in questions:
                answer, row = self._ask(session, question)
                if name == self.options.reference:
                    reference[question.id] = answer
                seen = {"frames": stream.frames, "flagged_frames": flagged}
                close = _closeness(answer, reference.get(question.id))
                yield {"cell": name, **row, **seen, **close}

    def _ask(self, session: VideoSession, question: Question) -> tuple[Answer, Row]:
        options, costs = self.options, session.costs
        spent = costs.totals
        torch.manual_seed(_seed(options.seed, question))
        timer = Timer(session.model.device)
        answer = session.ask(
            question_ids(session.model, question),
            max_new_tokens=options.reply_tokens,
            **options.generation,
        )
        ask_ms = timer.stop().milliseconds
        reply = question.reply_start + answer.text
        parsed = options.benchmark.parse(question, reply) if answer.finite else None
        return answer, {
            **_about(question),
            "status": _status(answer, parsed),
            "reply": answer.text,
            "parsed": parsed,
            "correct": answer.finite and options.benchmark.correct(question, reply),
            "tokens": spent.tokens,
            "decoder_flops": spent.flops,
            "decoder_ms": spent.milliseconds,
            "vision_ms": spent.encode_milliseconds,
            "ask_ms": ask_ms,
            "reply_tokens": len(answer.token_ids),
            "state_bytes": costs[-1].state_bytes,
            "archive_bytes": session.archive.bytes_appended,
            "planned_tokens": session.max_tokens,
            "attention": costs[-1].attention,
        }


def unanswered(cell: str, question: Question, status: str, why: str) -> Row:
    """The row of a question that could not be asked: it counts as wrong and says why."""
    said = {"reply": None, "parsed": None, "correct": False}
    return {"cell": cell, **_about(question), "status": status, "why": why, **said}


def _status(answer: Answer, parsed: str | None) -> str:
    if not answer.finite:
        return "nonfinite"
    return "answered" if parsed is not None else "invalid"


def _about(question: Question) -> Row:
    return {
        "question": question.id,
        "video": question.video,
        "answer": question.answer,
        "groups": dict(question.groups),
    }


def _closeness(answer: Answer, reference: Answer | None) -> Row:
    if reference is None or not (answer.finite and reference.finite):
        return {}
    divergence = float(kl_to_full(answer.first_logits, reference.first_logits))
    return {
        "agreement": answer_agreement(answer.token_ids, reference.token_ids),
        # Infinite where the cell excludes a token outright; JSON knows no such number.
        "kl_to_full": divergence if isfinite(divergence) else None,
    }


def _seed(seed: int, question: Question) -> int:
    """Of one question's reply: the same whatever was sampled before it, and for every cell."""
    digest = hashlib.sha256(f"{seed} {question.id}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
