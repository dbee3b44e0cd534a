import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from crossframe.experiments.comparison.figures import figures_of
from crossframe.experiments.comparison.report import Report
from crossframe.experiments.streaming.environment import environment
from crossframe.models import InternVL3
from crossframe.models.tiny import tiny_internvl

FRAMES = 8


def row(name: str, answer: str = "A ball.") -> dict[str, Any]:
    return {
        "memory": name,
        "settings": f"Some({name!r})",
        "family": "FullMemory" if name == "full" else f"Of{name}",
        "answer": answer,
        "agreement": 0.5,
        "kl_to_full": 0.01234,
        "archive_error": 0.2,
        "frames": FRAMES,
        "tokens": 80,
        "decoder_flops": 3.5e9,
        "decoder_flops_last_frame": 4.5e8,
        "decoder_ms_per_frame": 2.25,
        "vision_ms_per_frame": 7.0,
        "state_bytes": 12_000,
        "archive_bytes": 3_400_000,
    }


def steps(name: str, factor: float = 1.0) -> list[dict[str, Any]]:
    return [
        {
            "memory": name,
            "frame": frame,
            "frames": int(frame >= 0),
            "timestamp": float(frame),
            "tokens": 10,
            "flops": factor * 1e6 * (frame + 2),
            "milliseconds": factor,
            "vision_milliseconds": 1.0,
            "state_bytes": 100 * (frame + 2),
            "archive_bytes": 200 * (frame + 2),
        }
        for frame in range(-1, FRAMES)
    ]


@pytest.fixture
def report() -> Report:
    rows = [row("full"), row("a<b", answer="<script>\x1b[31m & more")]
    both = [*steps("full"), *steps("a<b")]
    config = {"video": "/films/one & two.mp4", "question": "Is 1 < 2?", "fps": 1.0}
    stamp = environment(InternVL3(*tiny_internvl()))
    return Report(rows, both, config, stamp, note="Only a test.")


def test_page_holds_table_and_figures_and_loads_nothing(report: Report, tmp_path: Path) -> None:
    page = report.write(tmp_path / "deep" / "folder").read_text()
    for text in ("A ball.", "50%", "0.0123", "20.0%", "3.5", "450", "2.25", "12.0 kB", "3.4 MB"):
        assert text in page
    assert page.count("<svg") == page.count("<figcaption>") == 3
    assert "Only a test." in page
    loaded = re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']*""", page)
    assert loaded == []
    assert "@import" not in page


def test_page_escapes_what_models_and_users_write(report: Report, tmp_path: Path) -> None:
    page = report.write(tmp_path).read_text()
    assert page.count("<script>") == 1, "the page's own"
    assert "<script>\N{REPLACEMENT CHARACTER}" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page
    assert "one &amp; two.mp4" in page
    assert "Is 1 &lt; 2?" in page


def test_a_long_name_breaks_between_its_settings(report: Report) -> None:
    rows = [{**row, "memory": "drop(inner=statekv,ratio=0.5)"} for row in report.rows]
    page = replace(report, rows=rows).html([])
    assert ">drop(<wbr>inner=statekv,<wbr>ratio=0.5)</td>" in page


def test_rows_json_is_complete_and_strict(report: Report, tmp_path: Path) -> None:
    infinite = Report([{**row("x"), "kl_to_full": float("inf")}], report.steps, report.config, {})
    infinite.write(tmp_path)
    assert json.loads((tmp_path / "rows.json").read_text())["rows"][0]["kl_to_full"] is None
    report.write(tmp_path)
    result = json.loads((tmp_path / "rows.json").read_text())
    assert result["rows"] == report.rows
    assert result["config"] == report.config
    assert result["note"] == "Only a test."
    stamp = result["environment"]
    told = ("cpu", "cores", "threads", "device", "dtype", "python", "torch", "transformers", "date")
    assert [name for name in told if not stamp[name]] == []
    assert {"crossframe", "commit", "gpu"} <= stamp.keys()
    assert stamp["dtype"] == "float32"


def test_steps_csv_has_every_frame(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path)
    table = pd.read_csv(tmp_path / "steps.csv")
    assert len(table) == 2 * (FRAMES + 1)
    assert set(table.columns) == set(report.steps[0])
    assert table["frame"].tolist() == 2 * list(range(-1, FRAMES))


def test_figures_are_reproducible_and_take_odd_sizes() -> None:
    both = pd.DataFrame([*steps("full"), *steps("fast", 0.001)])
    assert [drawing.svg for drawing in figures_of(both)] == [
        drawing.svg for drawing in figures_of(both)
    ]
    alone = pd.DataFrame(steps("only")[:2])
    assert all(drawing.svg.startswith("<svg") for drawing in figures_of(alone))
    nothing_held = pd.DataFrame(steps("isolated")).assign(state_bytes=0)
    assert len(figures_of(nothing_held)) == 3
