"""All memories on the same frames: the video is decoded and encoded once, and never held whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from rich.console import Console

from ..framework import Answer, FullMemory, VideoModel, VideoSession
from ..framework.memory import CrossFrameMemory
from ..framework.metrics import answer_agreement, kl_to_full, relative_error
from ..framework.storage import LayerArchive
from .frames import VideoFrames, progress_bar
from .options import StreamOptions
from .sharing import Step, push_all

Row = dict[str, Any]
_REFERENCE = "(reference)"


@dataclass(frozen=True, eq=False)
class Run:
    """One memory, its session after the video, and its answer."""

    name: str
    session: VideoSession
    answer: Answer


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs over the same frames and question, with full attention as the reference."""

    question: str
    steps: Sequence[Step]
    runs: Sequence[Run]
    reference: Run

    def rows(self) -> list[Row]:
        """One row per memory: answer, closeness to full attention, cost."""
        return [self._row(run) for run in self.runs]

    def step_rows(self) -> list[Row]:
        """One row per memory and step; the prompt before the video is frame -1."""
        return [row for run in self.runs for row in self._steps_of(run)]

    def _row(self, run: Run) -> Row:
        costs, last = run.session.costs, self.steps[-1]
        pairs = [pair for pair in zip(costs, self.steps, strict=True) if pair[1].images]
        full = self.reference
        return {
            "memory": run.name,
            "settings": repr(run.session.memory),
            "answer": run.answer.text,
            "agreement": answer_agreement(run.answer.token_ids, full.answer.token_ids),
            "kl_to_full": float(kl_to_full(run.answer.first_logits, full.answer.first_logits)),
            "archive_error": archive_error(run.session, full.session),
            "frames": sum(step.images for step in self.steps),
            "tokens": sum(cost.tokens for cost in costs),
            "decoder_flops": sum(cost.flops for cost in costs),
            "decoder_flops_last_frame": costs[-1].flops / max(last.images, 1),
            "decoder_ms_per_frame": median(c.milliseconds / s.images for c, s in pairs),
            "vision_ms_per_frame": median(s.encode_milliseconds / s.images for _, s in pairs),
            "state_bytes": costs[-1].state_bytes,
            "archive_bytes": costs[-1].archive_bytes,
        }

    def _steps_of(self, run: Run) -> Iterator[Row]:
        frame = 0
        for step, cost in zip(self.steps, run.session.costs, strict=True):
            yield {
                "memory": run.name,
                "frame": frame if step.images else -1,
                "frames": step.images,
                "timestamp": step.timestamp,
                "tokens": cost.tokens,
                "flops": cost.flops,
                "milliseconds": cost.milliseconds,
                "vision_milliseconds": step.encode_milliseconds,
                "state_bytes": cost.state_bytes,
                "archive_bytes": cost.archive_bytes,
            }
            frame += step.images


def compare(
    model: VideoModel,
    memories: Mapping[str, CrossFrameMemory],
    frames: VideoFrames,
    question: str,
    *,
    stream: StreamOptions,
    console: Console,
) -> Comparison:
    """Run all memories beside full attention; progress and warnings go to `console`."""
    sessions = {name: stream.session(model, memory) for name, memory in memories.items()}
    exact = [name for name, memory in memories.items() if isinstance(memory, FullMemory)]
    reference = exact[0] if exact else _REFERENCE
    sessions.setdefault(reference, stream.session(model, FullMemory()))
    with progress_bar(console) as bar:
        steps = push_all(
            model,
            sessions.values(),
            bar.track(frames, total=frames.expected, description="frames"),
            stream.frames_per_step,
        )
        frames.warn(console)
        runs = {
            name: Run(name, session, session.ask(question, max_new_tokens=stream.max_new_tokens))
            for name, session in bar.track(sessions.items(), description="answers")
        }
    return Comparison(question, steps, [runs[name] for name in memories], runs[reference])


def archive_error(session: VideoSession, full: VideoSession) -> float:
    """How far archived keys and values are from full attention's: relative Frobenius error.

    Mean over layers and over keys and values, of the tokens that entered the decoder. The first
    layer's are always equal, since nothing was attended to before it.
    """
    errors = []
    for layer in range(session.model.spec.num_layers):
        ours = LayerArchive(session.archive, layer).slots()
        exact = LayerArchive(full.archive, layer).slots()
        entered = ours.index[0, 0]
        for mine, other in ((ours.keys, exact.keys), (ours.values, exact.values)):
            errors.append(relative_error(mine, other.index_select(2, entered.to(other.device))))
    return float(torch.stack(errors).mean())
