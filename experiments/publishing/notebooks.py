"""Runs notebooks cell by cell, as Jupyter does, and writes into them what the cells give.

python -m crossframe.experiments.publishing.notebooks docs/notebooks/*.ipynb
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

Cell = dict[str, Any]
Notebook = dict[str, Any]


def executed(notebook: Notebook) -> Notebook:
    """The notebook with the outputs of its code cells, run in order in one fresh namespace.

    Raises:
        Exception: what a cell raises, with a note that names the cell.
    """
    cells, count = list[Cell](), 0
    with _main_module() as module:
        for number, cell in enumerate(notebook["cells"], 1):
            if cell["cell_type"] == "code":
                count += 1
                try:
                    outputs = _outputs("".join(cell["source"]), module, count)
                except Exception as error:
                    error.add_note(f"in cell {number} of the notebook")
                    raise
                cell = {**cell, "execution_count": count, "outputs": outputs}
            cells.append(cell)
    return {**notebook, "cells": cells}


def _outputs(source: str, module: ModuleType, count: int) -> list[dict[str, Any]]:
    """What a cell prints, and what its last line gives."""
    body, last = _parted(ast.parse(source))
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(body, f"<cell {count}>", "exec"), vars(module))
        code = compile(last, f"<cell {count}>", "eval") if last else None
        value = eval(code, vars(module)) if code else None
    outputs: list[dict[str, Any]] = []
    if text := printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(text)})
    if value is not None:
        given = {"data": _shown(value), "execution_count": count, "metadata": {}}
        outputs.append({**given, "output_type": "execute_result"})
    return outputs


def _parted(tree: ast.Module) -> tuple[ast.Module, ast.Expression | None]:
    """All but the last line of a cell, and the last one where it is an expression."""
    if tree.body and isinstance(last := tree.body[-1], ast.Expr):
        return ast.Module(tree.body[:-1], []), ast.Expression(last.value)
    return tree, None


def _shown(value: Any) -> dict[str, Any]:
    """A value as notebooks keep it: as text, and as the page and the picture that it makes."""
    # Addresses would differ at every run.
    data: dict[str, Any] = {"text/plain": _lines(re.sub(r" at 0x\w+", "", repr(value)))}
    if as_page := getattr(value, "_repr_html_", None):
        data["text/html"] = _lines(as_page())
    if as_picture := getattr(value, "_repr_png_", None):
        data["image/png"] = b64encode(as_picture()).decode("ascii")
    return data


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


@contextmanager
def _main_module() -> Iterator[ModuleType]:
    """A fresh `__main__`, to which classes of a notebook belong."""
    before, module = sys.modules["__main__"], ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        yield module
    finally:
        sys.modules["__main__"] = before


def read_notebook(path: Path) -> Notebook:
    """A notebook file as data."""
    return json.loads(path.read_text("utf-8"))


def write_notebook(path: Path, notebook: Notebook) -> None:
    """A notebook file as Jupyter writes it."""
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run notebooks, each in an empty folder, and write their outputs into them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", type=Path, nargs="+", help="files whose outputs are renewed")
    for path in parser.parse_args(arguments).notebooks:
        path = path.resolve()
        with TemporaryDirectory() as folder, chdir(folder):
            write_notebook(path, executed(read_notebook(path)))


if __name__ == "__main__":
    main()
