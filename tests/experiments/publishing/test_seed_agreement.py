"""Two seeds side by side: the same says the same, the opposite the opposite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.evidence.clip_measures import learnt, overall
from crossframe.experiments.evidence.results import Results
from crossframe.experiments.publishing.evidence import read_runs, results_of
from crossframe.experiments.publishing.pages import section
from crossframe.experiments.publishing.seed_agreement import NAME, compared, part

DOCS = Path(__file__).parents[3] / "docs"
SIZE = 29


@pytest.fixture(scope="module")
def results() -> Results:
    return results_of(read_runs(DOCS / "results", "testbed_seeds")[0])


def upside_down(results: Results) -> Results:
    """Full attention as it is; of all others, what was right from carried slots is wrong."""

    def turned(row: dict[str, Any]) -> dict[str, Any]:
        if row["cell"] == "full":
            return row
        asked = {
            task: {**told, "right_carried": [not one for one in told["right_carried"]]}
            for task, told in row["asked"].items()
            if "right_carried" in told
        }
        return {**row, "asked": asked}

    return Results([turned(dict(row)) for row in results.rows], results.config)


def test_a_model_agrees_with_itself_and_not_with_its_opposite(results: Results) -> None:
    measure = overall(tuple(learnt(results)), "carried")
    rules, correlation, better, worse, alone, contrary = compared(results, results, measure, SIZE)
    assert (correlation, alone, contrary) == ("1.00", "0", "0")
    assert int(better) + int(worse) < int(rules)
    assert int(better) >= 5
    opposite = compared(results, upside_down(results), measure, SIZE)
    assert opposite[1:4] == ["-1.00", "0", "0"]
    assert int(opposite[5]) == int(better) + int(worse)


def test_the_page_shows_it() -> None:
    page = (DOCS / "memories-on-video.md").read_text("utf-8")
    assert section(NAME, part(DOCS / "results")) in page, (
        "run python -m crossframe.experiments.publishing.seed_agreement"
    )
