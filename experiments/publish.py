"""Puts measured rows into docs/results/ and renews the README tables made from them.

crossframe demo --report runs/demo
python -m crossframe.experiments.bench --write docs/results
python -m crossframe.experiments.publish --demo runs/demo/rows.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .pages import markdown_table, renew
from .table import headed_cells

Result = Mapping[str, Any]


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


def measured_on(result: Result) -> str:
    """The environment of a result in one sentence."""
    stamp = result["environment"]
    return (
        f"Measured on {stamp['cpu']}, {stamp['threads']} thread(s) on {stamp['cores']} cores, "
        f"torch {stamp['torch']}, transformers {stamp['transformers']}, {stamp['dtype']}, commit "
        f"{stamp['commit']}."
    )


def without_paths(result: Result) -> dict[str, Any]:
    """The result with the video's name in place of where it lay."""
    config = {**result["config"], "video": Path(result["config"]["video"]).name}
    return {**result, "config": config}


def main(arguments: Sequence[str] | None = None) -> None:
    """Renew results and tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="rows.json of a demo run to publish")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    options = parser.parse_args(arguments)
    results = options.root / "docs" / "results"
    if options.demo:
        rows = without_paths(json.loads(options.demo.read_text("utf-8")))
        (results / "demo_compare.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    for name, table in tables(results).items():
        renew(options.root / "README.md", name, table)


def tables(results: Path) -> dict[str, str]:
    """The generated parts of the README by name, from the files in docs/results/."""

    def read(name: str) -> Result:
        return json.loads((results / f"{name}.json").read_text("utf-8"))

    return {
        "demo_compare": compare_table(read("demo_compare")),
        "frame_latency": latency_table(read("frame_latency")),
    }


def _quarters(frames: int) -> list[str]:
    quarter = frames // 4
    return [f"{n * quarter}–{(n + 1) * quarter - 1}" for n in range(4)]


if __name__ == "__main__":
    main()
