"""Puts measured rows into docs/results/ and renews the tables of README and docs made from them.

crossframe demo --report runs/demo
python -m crossframe.experiments.publishing.bench --write docs/results
python -m crossframe.experiments.publishing.publish --demo runs/demo/rows.json
python -m crossframe.experiments.publishing.publish --evidence runs/evidence --as evidence_quick
python -m crossframe.experiments.publishing.publish --observed runs/observe-text
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...framework.text import TOKENS_PER_FRAME
from ..comparison.table import headed_cells
from ..evidence.sinks import shares_table
from ..evidence.step_time import times_table
from ..reports.tables import markdown_table
from .evidence import PARTS, SOURCES, as_text, compact_result, read_runs, write_figures
from .observation import observed_result, observed_table
from .pages import measured_on, renew

Result = Mapping[str, Any]
# The page that shows each table; a run of the suites is published by its line here.
PAGES = {
    "demo_compare": "README.md",
    "frame_latency": "README.md",
    "evidence_short": "README.md",
    "evidence_judge": "docs/evidence.md",
    "evidence_sizes": "docs/evidence.md",
    "evidence_quick": "docs/evidence.md",
    "observe_text": "docs/observe.md",
    "sink_shares": "docs/findings.md",
    "step_time": "docs/findings.md",
    "evidence_sinks": "docs/findings.md",
    "evidence_scoring": "docs/findings.md",
}


def compare_table(result: Result) -> str:
    """The table of `compare`, with where it was measured."""
    heads, cells = headed_cells(result["rows"])
    answer = heads.index("answer")
    rows = [[cell for n, cell in enumerate(row) if n != answer] for row in cells]
    heads = [head for head in heads if head != "answer"]
    return f"{markdown_table(heads, rows)}\n\n{measured_on(result)}"


def latency_table(result: Result) -> str:
    """Milliseconds per frame over the stream, and the last quarter beside the stock model's."""
    settings, rows = result["settings"], result["rows"]
    quarters = [f"frames {n}" for n in _quarters(settings["frames"])]
    heads = ["ms per frame", *quarters, "last quarter / stock"]
    cells = [
        [row["variant"], *map(str, row["ms_by_quarter"]), str(row["last_quarter_to_stock"])]
        for row in rows
    ]
    sizes = (
        f"A random decoder of {settings['layers']} layers and hidden size {settings['hidden']}, "
        f"{settings['tokens_per_frame']} tokens per frame, medians over {settings['repeats']} runs."
    )
    return f"{markdown_table(heads, cells)}\n\n{sizes} {measured_on(result)}"


def observe_text_table(result: Result) -> str:
    """What full attention looks at in texts, with where it was measured."""
    streams = ", ".join(f"{one['video']} ({one['tokens']:,} tokens)" for one in result["videos"])
    size = result["settings"]["tokens_per_frame"] or TOKENS_PER_FRAME
    about = f"Means over layers, frames and streams: {streams}, in frames of {size} tokens."
    return f"{observed_table(result)}\n\n{about} {measured_on(result)}"


def sink_shares_table(result: Result) -> str:
    """Where the attention sink sits, with where it was measured."""
    settings = result["settings"]
    about = (
        f"Means over heads, frames of the second half, and {settings['streams']} search streams of "
        f"{settings['tokens']:,} tokens of prose, with the start-of-text token in front of them "
        "and without; the columns after the first two are with it."
    )
    return f"{markdown_table(*shares_table(result))}\n\n{about} {measured_on(result)}"


def step_time_table(result: Result) -> str:
    """Time of a step beside StateKV's, with where it was measured."""
    about = (
        f"Of StateKV's time per step of 32 tokens at {result['capacity']} full slots: medians of "
        "the process's own time on one thread, memories in turn."
    )
    return f"{markdown_table(*times_table(result))}\n\n{about} {measured_on(result)}"


def without_paths(result: Result) -> dict[str, Any]:
    """The result with the video's name in place of where it lay."""
    config = {**result["config"], "video": Path(result["config"]["video"]).name}
    return {**result, "config": config}


def main(arguments: Sequence[str] | None = None) -> None:
    """Renew results and tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="rows.json of a demo run to publish")
    parser.add_argument("--evidence", type=Path, help="folder of a run of the suites to publish")
    name = "under which name, such as evidence_quick, or evidence_sizes_2048 beside evidence_sizes"
    parser.add_argument("--as", dest="name", default="evidence_search", help=name)
    parser.add_argument("--observed", type=Path, help="folder of a run of observe to publish")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    options = parser.parse_args(arguments)
    docs = options.root / "docs"
    if options.demo:
        rows = without_paths(json.loads(options.demo.read_text("utf-8")))
        text = json.dumps(rows, indent=1) + "\n"
        (docs / "results" / "demo_compare.json").write_text(text, "utf-8")
    if options.evidence:
        text = as_text(compact_result(options.evidence))
        (docs / "results" / f"{options.name}.json").write_text(text, "utf-8")
    if options.observed:
        text = json.dumps(observed_result(options.observed), indent=1)
        (docs / "results" / "observe_text.json").write_text(text + "\n", "utf-8")
    for name, table in tables(docs / "results").items():
        renew(options.root / PAGES[name], name, table)
        if name in PARTS and name not in SOURCES:
            write_figures(name, read_runs(docs / "results", name), docs / "figures")


def tables(results: Path) -> dict[str, str]:
    """The generated parts of README and docs by name, from the files in docs/results/."""
    return {name: part(results, name) for name in PAGES}


def part(results: Path, name: str) -> str:
    """One generated part of a page, from the files in docs/results/."""
    if name in PARTS:
        figures = "docs/figures" if PAGES[name] == "README.md" else "figures"
        source = SOURCES.get(name, name)
        return PARTS[name](source, read_runs(results, source), figures)
    result = json.loads((results / f"{name}.json").read_text("utf-8"))
    made = {
        "demo_compare": compare_table,
        "frame_latency": latency_table,
        "observe_text": observe_text_table,
        "sink_shares": sink_shares_table,
        "step_time": step_time_table,
    }
    return made[name](result)


def _quarters(frames: int) -> list[str]:
    quarter = frames // 4
    return [f"{n * quarter}–{(n + 1) * quarter - 1}" for n in range(4)]


if __name__ == "__main__":
    main()
