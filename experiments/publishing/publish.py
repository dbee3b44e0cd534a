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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...framework.text import TOKENS_PER_FRAME
from ..demo.table import costs_table, further_table
from ..evidence.sinks import shares_table
from ..evidence.step_time import times_table
from ..reports.tables import markdown_table
from .evidence import PARTS, as_text, compact_result, read_runs
from .observation import observed_result, observed_table
from .pages import measured_on, renew
from .speed_tables import NOT_MEASURED, SPEED
from .testbed import loss_table, tasks_table
from .trainings import trainings_part

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
    "evidence_readers": "docs/findings.md",
    "evidence_scoring": "docs/findings.md",
    "testbed_internvl3": "docs/memories-on-video.md",
    "testbed_qwen3_vl": "docs/memories-on-video.md",
    "testbed_eagle2_5": "docs/memories-on-video.md",
    "testbed_questions": "docs/memories-on-video.md",
    "testbed_lengths": "docs/memories-on-video.md",
    "testbed_taught_longer": "docs/memories-on-video.md",
    "testbed_length_sizes": "docs/memories-on-video.md",
    "testbed_seeds": "docs/memories-on-video.md",
    "testbed_readers": "docs/memories-on-video.md",
    "testbed_tasks": "docs/testbed.md",
    "testbed_encoding": "docs/testbed.md",
    "trainings": "docs/pretrain.md",
    **dict.fromkeys(SPEED, "docs/speed.md"),
}


def demo_part(result: Result) -> tuple[str, str]:
    """What memories answer right on further clips, and costs on the bundled video."""
    further, costs = further_table(result["rows"]), costs_table(result["rows"])
    text = "\n\n".join(markdown_table(shown.heads, shown.lines) for shown in (further, costs))
    config = result["config"]
    return text, (
        f"Above: right answers of those asked on {config['further clips']}. {further.caption} "
        f"Below: the bundled video. Bounded memories hold {config['slots']}. "
    )


def latency_part(result: Result) -> tuple[str, str]:
    """Milliseconds per frame over the stream, and the last quarter beside the stock model's."""
    settings, rows, quarter = result["settings"], result["rows"], result["settings"]["frames"] // 4
    quarters = [f"frames {n * quarter}–{(n + 1) * quarter - 1}" for n in range(4)]
    cells = [
        [row["variant"], *map(str, row["ms_by_quarter"]), str(row["last_quarter_to_stock"])]
        for row in rows
    ]
    about = (
        f"A random decoder of {settings['layers']} layers and hidden size {settings['hidden']}, "
        f"{settings['tokens_per_frame']} tokens per frame, medians over {settings['repeats']} "
        "runs. "
    )
    return markdown_table(["ms per frame", *quarters, "last quarter / stock"], cells), about


def observe_text_part(result: Result) -> tuple[str, str]:
    """What full attention looks at in texts."""
    streams = ", ".join(f"{one['video']} ({one['tokens']:,} tokens)" for one in result["videos"])
    size = result["settings"]["tokens_per_frame"] or TOKENS_PER_FRAME
    about = f"Means over layers, frames and streams: {streams}, in frames of {size} tokens. "
    return observed_table(result), about


def sink_shares_part(result: Result) -> tuple[str, str]:
    """Where the attention sink sits."""
    settings = result["settings"]
    about = (
        f"Means over heads, frames of the second half, and {settings['streams']} search streams of "
        f"{settings['tokens']:,} tokens of prose, with the start-of-text token in front of them "
        "and without; the columns after the first two are with it. "
    )
    return markdown_table(*shares_table(result)), about


def step_time_part(result: Result) -> tuple[str, str]:
    """Time of a step beside StateKV's."""
    about = (
        f"Of StateKV's time per step of 32 tokens at {result['capacity']} full slots: medians of "
        "the process's own time on one thread, memories in turn. "
    )
    return markdown_table(*times_table(result)), about


def testbed_tasks_part(result: Result) -> tuple[str, str]:
    """Tasks of the testbed and what a guess gains."""
    about = (
        "Blind guess: share right of the best of three guessers that see a question's text, its "
        f"time, or both, learnt on one half of {result['clips']:,} clips of 32 frames a task and "
        "tried on the other; ± is the standard error of a share at chance, above which the best of "
        "three lies a little by luck alone. Last frame: of the best of three that see colour or "
        "shape of what is in view, too. "
    )
    return tasks_table(result), about


def testbed_encoding_part(result: Result) -> tuple[str, str]:
    """What mp4 costs clips of the testbed."""
    settings = ", ".join(f"{name} {value}" for name, value in result["encoder"].items())
    return loss_table(result), f"Means over 8 clips; x264 with {settings}. "


# Tables, and what they are of, of results that are no runs of the suites.
TABLES: Mapping[str, Callable[[Result], tuple[str, str]]] = {
    "demo_compare": demo_part,
    "frame_latency": latency_part,
    "observe_text": observe_text_part,
    "sink_shares": sink_shares_part,
    "step_time": step_time_part,
    "testbed_tasks": testbed_tasks_part,
    "testbed_encoding": testbed_encoding_part,
    "trainings": trainings_part,
    **SPEED,
}
# The file of tables that share one.
SHARED = {"testbed_tasks": "testbed", "testbed_encoding": "testbed"}


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
    only = "tables to renew; all by default"
    parser.add_argument("--only", nargs="+", choices=PAGES, default=[*PAGES], help=only)
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
    for name in options.only:
        renew(options.root / PAGES[name], name, part(docs / "results", name))
        if name in PARTS and not PARTS[name].source:
            runs = read_runs(docs / "results", name)
            PARTS[name].write_figures(name, runs, docs / "figures")


def part(results: Path, name: str) -> str:
    """One generated part of a page, from the files in docs/results/."""
    if name in PARTS:
        figures = "docs/figures" if PAGES[name] == "README.md" else "figures"
        runs = read_runs(results, PARTS[name].source or name)
        return PARTS[name].text(name, runs, figures)
    file = results / f"{SHARED.get(name, name)}.json"
    if name in SPEED and not file.exists():
        return NOT_MEASURED
    result = json.loads(file.read_text("utf-8"))
    table, about = TABLES[name](result)
    return f"{table}\n\n{about}{measured_on(result)}"


if __name__ == "__main__":
    main()
