"""What cells are judged by: accuracy, KL and agreement of any rows, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from ..reports.intervals import interval_by_video
from ..reports.tables import DataTable


@dataclass(frozen=True)
class Measure:
    """A mean over questions.

    Attributes:
        name: of its columns in tables of cells and parts.
        column: of the rows.
        label: in figures.
        factor: from the rows to the label's unit.
        more: whether more is better.
    """

    name: str
    column: str
    label: str
    factor: float = 1.0
    more: bool = True

    def over(self, rows: DataTable) -> dict[str, float | None]:
        """Mean over the rows that have it, and the ends `_low` and `_high` of its 95 % interval.

        None without values, and no interval over a single video, which says nothing about others.
        """
        known = rows.dropna(subset=[self.column])
        values, videos = self.factor * known[self.column].to_numpy(float), list(known["video"])
        mean = float(values.mean()) if len(values) else None
        low, high = (None, None) if len(set(videos)) < 2 else interval_by_video(values, videos)
        return {self.name: mean, f"{self.name}_low": low, f"{self.name}_high": high}


ACCURACY = Measure("accuracy", "correct", "accuracy (%)", 100.0)
KL = Measure("kl", "kl_to_full", "KL to full attention (nats)", more=False)
AGREEMENT = Measure("agreement", "agreement", "agreement")
