"""The options of a run of the suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...framework import VideoModel, require_count, require_one_of
from ...framework.as_data import plain
from ..streaming.cells import Cell, require_cell
from ..streaming.options import ModelOptions
from .clips import STAGES
from .prose import HALVES
from .suites import FRAME_TOKENS, SUITES

# They decide where rows go and how fast, not what they say.
BESIDE_THE_POINT = ("output", "batch", "streams", "suites")


@dataclass(frozen=True, kw_only=True)
class EvidenceOptions:
    """Which memories keep what of which streams on which model.

    Args:
        cells: memory, reader, archive and session settings by name.
        output: folder of the run; run again with the same settings to go on where it stopped.
        model: the checkpoint and how it is loaded: of a text decoder, or for suites of clips of a
            video model trained on them, such as crossframe/tiny-internvl3.
        reference: the cell whose predictions the others' are compared with: full attention.
        suites: what the streams are made of: texts ("prose", "copy", "scene", "needle"), or videos
            of the testbed ("clips", "cups", "exits").
        half: "search", or "judge", to be looked at once when a rule is chosen.
        streams: of each suite, with the seeds 0, 1, 2, ...
        tokens: of each text.
        frames: of each clip.
        scene: frames that a scene of a clip stays, least and most.
        batch: streams that pass together; their predictions do not depend on one another, up to
            rounding.

    Raises:
        ValueError: for settings that cannot work, naming the value.
    """

    cells: dict[str, Cell]
    output: Path
    model: ModelOptions = field(default_factory=lambda: ModelOptions("smollm2-135m"))
    reference: str = "full"
    suites: Sequence[str] = tuple(SUITES)
    half: str = "search"
    streams: int = 8
    tokens: int = 1024
    frames: int = 64
    scene: tuple[int, int] = (1, 1)
    batch: int = 8

    def __post_init__(self) -> None:
        for name in ("streams", "tokens", "frames", "batch"):
            require_count("evidence", name, getattr(self, name), least=1, unbounded=False)
        require_cell("evidence", self.reference, self.cells)
        require_one_of("evidence", "half", self.half, HALVES)
        for suite in self.suites:
            require_one_of("evidence", "suites", suite, (*SUITES, *STAGES))
        if len({suite in STAGES for suite in self.suites}) != 1:
            raise ValueError(
                f"evidence: suites must be all of texts or all of clips, got {list(self.suites)}: "
                "no model takes both, so run twice"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide about rows."""
        beside = (*BESIDE_THE_POINT, *(("tokens",) if self.of_clips else ("frames", "scene")))
        kept = [f.name for f in fields(self) if f.name not in beside]
        return {name: plain(getattr(self, name)) for name in kept}

    @property
    def of_clips(self) -> bool:
        """Whether the suites are videos."""
        return self.suites[0] in STAGES

    def names(self, suite: str, seeds: Sequence[int]) -> list[str]:
        """What the rows of streams are filed under."""
        length = self.frames if self.of_clips else self.tokens
        return [f"{suite}/{self.half}/{length}/{seed}" for seed in seeds]

    def require_room(self, model: VideoModel) -> None:
        """Refuse streams longer than the model was trained for, before any work; the ValueError
        names both lengths."""
        needed = self.tokens + 4 * FRAME_TOKENS  # with the start, and what is asked at the end
        if needed > model.trained_tokens:
            raise ValueError(
                f"evidence: streams of {self.tokens} tokens and a question need {needed} "
                f"positions, the model was trained for {model.trained_tokens}: take fewer tokens"
            )
