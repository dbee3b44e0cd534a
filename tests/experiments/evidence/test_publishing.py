"""Runs on their way into docs/: compact rows, tables and figures, one line to add."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.evaluation.folder import cell_hashes, write_json
from crossframe.experiments.evaluation.rows import RowFile
from crossframe.experiments.evidence.results import Results
from crossframe.experiments.publishing import publish
from crossframe.experiments.publishing.evidence import (
    PARTS,
    SHORT,
    as_text,
    compact_result,
    read_runs,
    results_of,
)
from crossframe.experiments.publishing.pages import section

Make = Callable[..., Results]


def text_of(name: str, runs: list[dict[str, Any]], figures: str) -> str:
    return PARTS[name].text(name, runs, figures)


def written(found: Results, folder: Path) -> Path:
    """The run as a folder on disk."""
    folder.mkdir()
    configs = cell_hashes(found.config)
    write_json(folder / "config.json", found.config)
    file = RowFile(folder)
    file.append({**row, "config": configs[row["cell"]]} for row in found.rows)
    file.close()
    return folder


def test_what_rows_share_is_said_once(results: Make, tmp_path: Path) -> None:
    found = results(streams=2)
    folder = written(found, tmp_path / "run")
    result = compact_result(folder)
    assert result["environment"] == {**found.rows[0]["environment"], "commit": "c0ffee"}
    assert (result["prose"], result["batch"]) == ("0123456789ab", 4)
    assert result["config"] == json.loads(json.dumps(found.config))
    first = result["rows"][0]
    assert not {"environment", "commit", "prose", "batch", "config"} & set(first)
    assert first["groups"]["second half"]["loss"] == pytest.approx(
        found.rows[0]["groups"]["second half"]["loss"], rel=1e-5
    )
    text = as_text(result)
    assert json.loads(text) == result
    rows = text.partition('"rows"')[2]
    assert len(rows) < 0.6 * (folder / "rows-0.jsonl").stat().st_size
    assert sum(line.startswith('{"cell"') for line in text.splitlines()) == len(found.rows)
    assert (
        max(len(repr(part["kl"])) for row in result["rows"] for part in row["groups"].values())
        <= 11
    )


def test_rows_from_elsewhere_say_so(results: Make, tmp_path: Path) -> None:
    found = results(streams=2)
    rows = [dict(row) for row in found.rows]
    rows[3]["commit"] = "beef"
    result = compact_result(written(Results(rows, found.config), tmp_path / "run"))
    assert [row["commit"] for row in result["rows"] if "commit" in row] == ["beef"]
    assert result["environment"]["commit"] == "c0ffee"
    assert f"1 of {len(rows)} rows name another origin." in PARTS["evidence_judge"].text(
        "x", [result], "figures"
    )


def test_every_part_shows_what_its_pages_need(results: Make) -> None:
    one = result_of(results())
    quick = text_of("evidence_quick", [one], "docs/figures")
    assert "(docs/figures/evidence_quick-ranking-128.svg)" in quick
    assert "| memory | prose loss | KL to full | KL − statekv | verdict | scene loss |" in quick
    judge = text_of("evidence_judge", [one], "figures")
    for heading in (
        "**Prose, 128 slots**",
        "**The other suites, 128 slots**",
        "**Cost, 128 slots**",
    ):
        assert heading in judge
    for name in ("ranking", "by-age", "by-suite"):
        assert f"(figures/evidence_judge-{name}-128.svg)" in judge
    several = result_of(results((64, 128), streams=9))
    sizes = text_of("evidence_sizes", [several, several], "figures")
    assert "| memory | 64 of 1,024 | 128 of 1,024 |" in sizes
    assert "(figures/evidence_sizes-kl-by-bytes.svg)" in sizes


def test_the_readme_shows_some_of_what_was_judged_and_corrects_for_all(results: Make) -> None:
    one = result_of(results(streams=9))
    short = text_of("evidence_short", [one], "docs/figures")
    shown = {line.label for line in results_of(one).lines} & set(SHORT)
    rows = [line for line in short.splitlines() if line.startswith("| ")][2:]
    assert {row.split(" | ")[0].removeprefix("| ") for row in rows} == shown
    assert len(shown) < len(results_of(one).lines)
    whole = text_of("evidence_quick", [one], "docs/figures")
    assert set(rows) < set(whole.splitlines())
    assert "(docs/figures/evidence_judge-ranking-128.svg)" in short


def test_controls_are_tables_alone(results: Make) -> None:
    part = text_of("evidence_sinks", [result_of(results())], "figures")
    assert "**Prose**" in part and "**The other suites**" in part
    assert "**Cost" not in part and "![" not in part


def test_figures_are_written_anew_and_old_ones_taken_away(results: Make, tmp_path: Path) -> None:
    one, folder = result_of(results(streams=2)), tmp_path / "figures"
    folder.mkdir()
    for stale in ("evidence_judge-gone.svg", "evidence_quick-ranking-128.svg"):
        (folder / stale).write_text("old")
    PARTS["evidence_judge"].write_figures("evidence_judge", [one], folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "evidence_quick-ranking-128.svg",
        *(f"evidence_judge-{name}-128.svg" for name in ("ranking", "by-age", "by-suite")),
    }
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    PARTS["evidence_judge"].write_figures("evidence_judge", [one], folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_runs_of_other_lengths_are_found_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"evidence_sizes.json is not there: publish a run"):
        read_runs(tmp_path, "evidence_sizes")
    for name in ("evidence_sizes_2048", "evidence_sizes", "evidence_search"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name}))
    found = [one["name"] for one in read_runs(tmp_path, "evidence_sizes")]
    assert found == ["evidence_sizes", "evidence_sizes_2048"]


def test_a_folder_and_a_line_make_table_and_figure(
    results: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(results(streams=9), tmp_path / "run")
    (tmp_path / "docs" / "results").mkdir(parents=True)
    page = tmp_path / "README.md"
    page.write_text(section("evidence_quick", "old"))
    monkeypatch.setattr(publish, "PAGES", {"evidence_quick": "README.md"})
    arguments = ["--evidence", str(folder), "--as", "evidence_quick", "--root", str(tmp_path)]
    publish.main(arguments)
    assert "| statekv | 2." in page.read_text("utf-8")
    assert (tmp_path / "docs/figures/evidence_quick-ranking-128.svg").is_file()
    saved = json.loads((tmp_path / "docs/results/evidence_quick.json").read_text("utf-8"))
    assert len(results_of(saved).lines) == 9


def result_of(found: Results) -> dict[str, Any]:
    """As a published run, without a folder."""
    stamp = found.rows[0]
    environment = {**stamp["environment"], "commit": stamp["commit"]}
    keep = {"environment", "commit", "prose", "batch"}
    rows = [{n: v for n, v in row.items() if n not in keep} for row in found.rows]
    return {"config": found.config, "environment": environment, "rows": rows}
