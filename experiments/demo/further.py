"""How often memories answer right on further clips of the same kind, drawn and never encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...framework import CrossFrameMemory, VideoModel, VideoSession
from ..evidence.clips import ClipBatch, clip_batch, pass_clips, replies
from ..evidence.readings import readings
from ..streaming.cells import Cell
from .clip import HALF, SCENES, TASKS


@dataclass(frozen=True)
class Tally:
    """Questions of one task: asked, and answered right."""

    right: int
    asked: int


Tallies = Mapping[str, Mapping[str, Tally]]  # by reading ("archive", "carried") and task


def further_answers(
    model: VideoModel, memories: Mapping[str, CrossFrameMemory], seeds: Sequence[int]
) -> Iterator[tuple[str, Tallies]]:
    """Every memory on the clips of these seeds, each asked at its end.

    Clips have the frames that the model is shown of the bundled video, one a scene, in the size
    that it was trained on.
    """
    batch = clip_batch(model, "clips", HALF, seeds, SCENES)
    for name, memory in memories.items():
        cell = Cell(memory)
        session = cell.session(batch.model)
        pass_clips(session, batch)
        read = readings(batch.model, cell, session)
        yield name, {reading: _tallied(batch, ended) for reading, ended in read}


def _tallied(batch: ClipBatch, session: VideoSession) -> dict[str, Tally]:
    rights: dict[str, list[bool]] = {task: [] for task in TASKS}
    for ask, reply in replies(session, batch):
        if ask.question.task in rights:
            rights[ask.question.task].append(reply.right)
    return {task: Tally(sum(right), len(right)) for task, right in rights.items()}
