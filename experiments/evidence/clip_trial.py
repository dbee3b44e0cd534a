"""The suites of clips on a video model: what is answered behind a clip, from what was kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...framework import VideoSession
from ..evaluation.rows import Row
from ..streaming.cells import Cell
from .clips import Ask, ClipBatch, Reply, clip_batch, pass_clips, replies, told
from .options import EvidenceOptions
from .readings import costs_of_one, readings


class ClipTrial:
    """Clips through every cell, and their questions to what it archived and to what it carries.

    Full attention's rows also say what is answered blind, from the prompt alone.

    Raises:
        ValueError: for a model without a vision side.
    """

    def __init__(self, options: EvidenceOptions) -> None:
        self.options, self.model = options, options.model.load()
        if self.model.reads_text:
            raise ValueError(
                f"evidence: {options.model.model} has no vision side and the suites "
                f"{', '.join(options.suites)} are videos: give a video model, such as "
                "crossframe/tiny-internvl3"
            )
        self.stamp: dict[str, str] = {}

    def rows(
        self, suite: str, seeds: Sequence[int], owed: Sequence[str]
    ) -> Iterator[tuple[str, list[Row]]]:
        """Rows of each owed cell; full attention passes once, whether it is owed or not."""
        options = self.options
        batch = clip_batch(self.model, suite, options.half, seeds, options.frames, options.scene)
        session = self._passed(options.cells[options.reference], batch)
        full = [reply for _, reply in replies(session, batch)]
        names = options.names(suite, seeds)
        for name in owed:
            cell = options.cells[name]
            ended = session if name == options.reference else self._passed(cell, batch)
            given = dict(self._given(name, cell, ended, batch))
            costs = costs_of_one(ended, len(seeds))
            row = {"cell": name, "suite": suite, **costs}
            each = zip(names, told(given, full, len(seeds)), strict=True)
            yield name, [{**row, "question": one, "asked": asked} for one, asked in each]

    def _given(
        self, name: str, cell: Cell, ended: VideoSession, batch: ClipBatch
    ) -> Iterator[tuple[str, list[tuple[Ask, Reply]]]]:
        """Replies by reading."""
        for reading, session in readings(self.model, cell, ended):
            yield reading, list(replies(session, batch))
        if name == self.options.reference:
            blind = cell.session(ended.model)
            blind.push(batch.frames[0])
            yield "blind", list(replies(blind, batch))

    def _passed(self, cell: Cell, batch: ClipBatch) -> VideoSession:
        session = cell.session(batch.model)
        pass_clips(session, batch)
        return session
