"""Notebooks in docs/ are whole, small, and say what their cells give when they are run."""

from __future__ import annotations

import re
from contextlib import chdir
from pathlib import Path

import pytest

from crossframe.experiments.publishing.notebooks import (
    Notebook,
    executed,
    main,
    read_notebook,
    write_notebook,
)

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "notebooks"
NAMES = ("first-steps", "own-memory", "own-benchmark", "study")
LARGEST = 400_000  # bytes
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
TOLERANCE = 0.05  # of a number: processors and releases round otherwise


def notebook_of(*sources: str) -> Notebook:
    cells = [{"cell_type": "code", "source": [source], "outputs": []} for source in sources]
    return {"cells": cells, "nbformat": 4}


def code_cells(notebook: Notebook) -> list[Notebook]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(notebook: Notebook) -> list[str]:
    """What every cell says, in words."""
    return [
        " ".join("".join(out["text"] if "text" in out else out["data"]["text/plain"]).split())
        for cell in code_cells(notebook)
        for out in cell["outputs"]
    ]


def test_all_notebooks_are_listed_here_and_in_readme() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)
    readme = (FOLDER.parents[1] / "README.md").read_text("utf-8")
    assert [name for name in NAMES if f"(docs/notebooks/{name}.ipynb)" in readme] == [*NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files(name: str) -> None:
    cells = read_notebook(FOLDER / f"{name}.ipynb")["cells"]
    told = "".join("".join(one["source"]) for one in cells if one["cell_type"] == "markdown")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", told)]
    assert links
    assert not [link for link in links if not (FOLDER / link).is_file()]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_was_run_from_top_to_bottom_and_is_small(name: str) -> None:
    path = FOLDER / f"{name}.ipynb"
    notebook = read_notebook(path)
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == [*range(1, len(counts) + 1)]
    assert len(texts(notebook)) >= len(counts) // 2
    assert path.stat().st_size < LARGEST
    assert not re.findall(r"/(?:home|root|tmp|work)/", path.read_text("utf-8"))


LONG = [pytest.param(name, marks=pytest.mark.soak) for name in NAMES[1:]]


@pytest.mark.parametrize("name", [NAMES[0], *LONG])
def test_a_notebook_says_what_its_cells_give(name: str, tmp_path: Path) -> None:
    committed = read_notebook(FOLDER / f"{name}.ipynb")
    with chdir(tmp_path):
        again = executed(committed)
    said, found = texts(committed), texts(again)
    assert [NUMBER.sub("#", text) for text in found] == [NUMBER.sub("#", text) for text in said]
    for one, other in zip(found, said, strict=True):
        numbers = [float(number) for number in NUMBER.findall(other)]
        assert [float(number) for number in NUMBER.findall(one)] == pytest.approx(
            numbers, rel=TOLERANCE, abs=0.01
        )


# The runner itself


def test_cells_run_in_one_namespace_and_say_what_they_print_and_give() -> None:
    done = executed(notebook_of("n = 2\nprint('two')\nn + 1", "n += 1", "None", "object()\nn"))
    first, *silent, last = code_cells(done)
    printed, given = first["outputs"]
    assert printed == {"name": "stdout", "output_type": "stream", "text": ["two\n"]}
    assert given["data"] == {"text/plain": ["3"]}
    assert given["execution_count"] == first["execution_count"] == 1
    assert [cell["outputs"] for cell in silent] == [[], []]
    assert last["outputs"][0]["data"]["text/plain"] == ["3"]


def test_what_shows_itself_is_kept_as_page_and_picture() -> None:
    shown = (
        "class Shown:\n  def _repr_html_(self): return '<b>'\n  def _repr_png_(self): return b'p'"
    )
    (_, given) = code_cells(executed(notebook_of(shown, "Shown()")))
    data = given["outputs"][0]["data"]
    assert data["text/html"] == ["<b>"]
    assert data["image/png"] == "cA=="
    assert data["text/plain"] == ["<__main__.Shown object>"]  # without an address


def test_an_error_names_its_cell() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        executed(notebook_of("n = 0", "1 / n"))
    assert raised.value.__notes__ == ["in cell 2 of the notebook"]


def test_outputs_are_written_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.ipynb"
    write_notebook(path, notebook_of("from pathlib import Path\nPath('left').touch()", "6 * 7"))
    main([str(path)])
    assert texts(read_notebook(path)) == ["42"]
    assert [file.name for file in tmp_path.iterdir()] == ["one.ipynb"]
