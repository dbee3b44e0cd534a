"""Puts measured rows into docs/results/ and renews the tables of README and docs made from them.

crossframe demo --report runs/demo
python -m crossframe.experiments.bench --write docs/results
python -m crossframe.experiments.publish --demo runs/demo/rows.json --evidence runs/evidence
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .evaluation.folder import CONFIG
from .evaluation.rows import read_rows
from .evidence.table import evidence_table
from .pages import markdown_table, renew
from .table import headed_cells

Result = Mapping[str, Any]
# The page that shows each table.
PAGES = {
    "demo_compare": "README.md",
    "frame_latency": "README.md",
    "evidence_search": "docs/evidence.md",
}
RIVALS = ("statekv", "sinks + recent")


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


def evidence_result(folder: Path) -> dict[str, Any]:
    """A run of the suites as one result: what its rows have in common said once."""
    rows = read_rows(folder)
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    shared = ("environment", "commit", "prose", "batch")
    told = {name: rows[0][name] for name in shared}
    if any(row[name] != told[name] for row in rows for name in shared[1:]):
        raise ValueError(f"{folder} holds rows of several commits: run it anew to publish it")
    own = [{n: v for n, v in row.items() if n not in (*shared, "config")} for row in rows]
    environment = {**told.pop("environment"), "commit": told.pop("commit")}
    return {"config": config, "environment": environment, **told, "rows": own}


def evidence_search_table(result: Result) -> str:
    """What memories lose on search streams, with where it was measured."""
    rows, cells = result["rows"], list(result["config"]["cells"])
    count = len({row["question"] for row in rows if row["suite"] == "prose"})
    table = markdown_table(*evidence_table(rows, cells, RIVALS))
    return (
        f"{table}\n\n{count} search streams of {result['config']['tokens']} tokens in each suite; "
        "in brackets the 95 % interval of a bootstrap over streams, of one comparison at a time. "
        f"{measured_on(result)}"
    )


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
    parser.add_argument("--evidence", type=Path, help="folder of a run of the suites to publish")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    options = parser.parse_args(arguments)
    results = options.root / "docs" / "results"
    if options.demo:
        rows = without_paths(json.loads(options.demo.read_text("utf-8")))
        (results / "demo_compare.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    if options.evidence:
        text = json.dumps(evidence_result(options.evidence), indent=1)
        (results / "evidence_search.json").write_text(text + "\n", "utf-8")
    for name, table in tables(results).items():
        renew(options.root / PAGES[name], name, table)


def tables(results: Path) -> dict[str, str]:
    """The generated parts of README and docs by name, from the files in docs/results/."""

    def read(name: str) -> Result:
        return json.loads((results / f"{name}.json").read_text("utf-8"))

    return {
        "demo_compare": compare_table(read("demo_compare")),
        "frame_latency": latency_table(read("frame_latency")),
        "evidence_search": evidence_search_table(read("evidence_search")),
    }


def _quarters(frames: int) -> list[str]:
    quarter = frames // 4
    return [f"{n * quarter}–{(n + 1) * quarter - 1}" for n in range(4)]


if __name__ == "__main__":
    main()
