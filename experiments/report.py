"""A comparison on disk: report.html for people, rows.json and steps.csv for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .ask import printable
from .figures import Plot, plots
from .table import headed_cells

Row = Mapping[str, Any]

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.note { background: #fff4d6; border-left: 4px solid #e0a100; padding: .6rem 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .35rem .55rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
td.text { min-width: 4.5rem; max-width: 11rem; }
td.text + td.text { min-width: 9rem; max-width: none; }
th { vertical-align: bottom; border-bottom: 2px solid #888; }
.text { text-align: left; font-variant-numeric: normal; }
td.text { overflow-wrap: anywhere; }
figure { margin: 1rem 0 2rem; } figure svg { width: 100%; height: auto; }
figcaption, .small { color: #555; font-size: .88rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; font-size: .9rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>$title</h1>
<p><b>Question:</b> $question</p>
$note
<h2>Results</h2>
<div class="scroll">$table</div>
<p class="small">Full attention is the reference. Agreement: share of equal answer tokens. KL: of
the answer's first token, from full attention. Archive error: relative Frobenius error of archived
keys and values, mean over layers, of the tokens that entered. FLOPs: decoder with attention,
without vision. ms per frame: decoder and memory, median. The vision side ran once for all
($vision ms per frame).</p>
$figures
<h2>Memories</h2>
$memories
<h2>Settings</h2>
$settings
<h2>Environment</h2>
$environment
</body>
</html>
""")


@dataclass(frozen=True)
class Report:
    """What is written about one comparison.

    Args:
        rows: one per memory, as `Comparison.rows`.
        steps: one per memory and step, as `Comparison.step_rows`.
        config: everything the run was asked to do; `question` and `video` must be in it.
        environment: where it ran.
        note: a warning for readers, shown on top.
    """

    rows: Sequence[Row]
    steps: Sequence[Row]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    note: str = ""

    def write(self, folder: str | Path) -> Path:
        """Write report.html, rows.json and steps.csv; the path of the page."""
        from pandas import DataFrame

        report_folder(folder)
        folder = Path(folder)
        steps = DataFrame(self.steps)
        steps.to_csv(folder / "steps.csv", index=False)
        (folder / "rows.json").write_text(self.json(), "utf-8")
        page = folder / "report.html"
        page.write_text(self.html(plots(steps)), "utf-8")
        return page

    def json(self) -> str:
        """Config, environment and rows; what is not a finite number becomes null."""
        content = {
            "note": self.note,
            "config": dict(self.config),
            "environment": dict(self.environment),
            "rows": [{name: _finite(value) for name, value in row.items()} for row in self.rows],
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    def html(self, figures: Sequence[Plot]) -> str:
        """The page, with nothing to load from elsewhere."""
        memories = {row["memory"]: row["settings"] for row in self.rows}
        return PAGE.substitute(
            title=escape(f"Cross-frame memories on {Path(self.config['video']).name}"),
            question=escape(self.config["question"]),
            note=f'<p class="note">{escape(self.note)}</p>' if self.note else "",
            table=_table(self.rows),
            vision=f"{self.rows[0]['vision_ms_per_frame']:.1f}",
            figures="\n".join(_figure(plot) for plot in figures),
            settings=_pairs(self.config),
            memories=_pairs(memories),
            environment=_pairs(self.environment),
        )


def report_folder(folder: str | Path | None, option: str = "--report") -> None:
    """Make the folder before the run, so that a wrong one costs no time.

    Args:
        option: that names it.

    Raises:
        ValueError: if it cannot be made.
    """
    if folder is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{option} {folder}: {error.strerror}; give another folder") from error


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(rows: Sequence[Row]) -> str:
    heads, lines = headed_cells(rows)
    kinds = ["text" if head in ("memory", "answer") else "number" for head in heads]

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = (
            f'<{tag} class="{kind}">{escape(cell)}</{tag}>'
            for kind, cell in zip(kinds, cells, strict=True)
        )
        return f"<tr>{''.join(marked)}</tr>"

    body = "\n".join(line("td", cells) for cells in lines)
    return f"<table>\n<thead>{line('th', heads)}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _figure(plot: Plot) -> str:
    label = escape(plot.heading, quote=True)
    picture = f'<div role="img" aria-label="{label}">{plot.svg}</div>'
    return (
        f"<h2>{escape(plot.heading)}</h2>\n<figure>{picture}\n"
        f"<figcaption>{escape(plot.caption)}</figcaption></figure>"
    )


def _pairs(values: Mapping[str, Any]) -> str:
    shown = ((escape(str(name)), escape(printable(str(value)))) for name, value in values.items())
    return "<dl>" + "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in shown) + "</dl>"
