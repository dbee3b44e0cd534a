"""Every memory on the same frames, every question to every session, and further clips beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from rich.console import Console

from ...framework import Answer, CrossFrameMemory, VideoModel, VideoSession
from ...framework.metrics import answer_agreement, kl_to_full
from ..comparison.result import Comparison, Row
from ..comparison.run import Choices, compare
from ..streaming.frames import VideoFrames, progress_bar
from ..streaming.rule_text import memories_from
from .clip import DemoClip, demo_clip, told, video_path
from .further import Tallies, further_answers
from .held import Held, follow
from .settings import FURTHER, MEMORIES, PICTURED, STREAM, equal_budgets

ONE_QUESTION = ("answer", "finite", "ask_ms")  # of a comparison's row, which asks only once


@dataclass(frozen=True, eq=False)
class Demo:
    """All that was measured.

    Attributes:
        answers: by memory, in the order of the clip's questions.
        further: answered right of the clips with these seeds, by memory.
    """

    clip: DemoClip
    comparison: Comparison
    answers: Mapping[str, Sequence[Answer]]
    full: Sequence[Answer]
    seeds: range
    further: Mapping[str, Tallies]
    held: Held

    def questions(self) -> list[dict[str, Any]]:
        """What was asked, with right answers and the time of their evidence."""
        return [told(question) for question in self.clip.questions]

    def rows(self) -> list[Row]:
        """One per memory: answers, closeness to full attention, right of further clips, cost."""
        return [self._row(row) for row in self.comparison.rows()]

    def _row(self, row: Row) -> Row:
        answers, further = self.answers[row["memory"]], self.further[row["memory"]]
        pairs = list(zip(answers, self.full, strict=True))
        asked = zip(self.clip.questions, answers, strict=True)
        return {
            **{name: value for name, value in row.items() if name not in ONE_QUESTION},
            "answers": {question.task: answer.text.strip() for question, answer in asked},
            "agreement": fmean(answer_agreement(a.token_ids, b.token_ids) for a, b in pairs),
            "kl_to_full": fmean(
                float(kl_to_full(a.first_logits, b.first_logits)) for a, b in pairs
            ),
            "further": {
                reading: {task: asdict(tally) for task, tally in tallies.items()}
                for reading, tallies in further.items()
            },
        }


def run_demo(model: VideoModel, console: Console, further: int = FURTHER) -> Demo:
    """Compare memories on the bundled video and on as many further clips, of the next seeds."""
    clip, memories = demo_clip(), memories_from(MEMORIES, equal_budgets(model))
    texts = [question.text for question in clip.questions]
    compared = compare(model, Choices(memories), _video(), texts[0], stream=STREAM, console=console)
    sessions = {run.memory: run.session for run in compared.runs}
    seeds = range(clip.seed + 1, clip.seed + 1 + further)
    with progress_bar(console) as bar:
        each = further_answers(model, memories, seeds)
        tallies = dict(bar.track(each, total=len(memories), description="further clips"))
    return Demo(
        clip,
        compared,
        {name: _asked(session, texts) for name, session in sessions.items()},
        _asked(compared.reference.session, texts),
        seeds,
        tallies,
        follow(model, _video(), _pictured(memories), STREAM),
    )


def _video() -> VideoFrames:
    return VideoFrames(video_path(), STREAM)


def _pictured(memories: Mapping[str, CrossFrameMemory]) -> dict[str, CrossFrameMemory]:
    return {name: memories[name] for name in PICTURED}


def _asked(session: VideoSession, texts: Sequence[str]) -> list[Answer]:
    return [session.ask(text, max_new_tokens=STREAM.max_new_tokens) for text in texts]
