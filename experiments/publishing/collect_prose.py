"""Writes `assets/prose.jsonl.gz`: English documentation whose licences allow to pass it on.

The file is committed, so that a stream of a seed is the same on every machine; this script says
where it comes from and is not run by anything else. Sources: the Python language reference as
`pydoc_data.topics` has it and docstrings of the standard library (PSF licence), docstrings of NumPy
(BSD 3-clause). Run it with CPython 3.11 and the locked NumPy.
"""

from __future__ import annotations

import ast
import gzip
import inspect
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

TARGET = Path(__file__).parents[1] / "evidence" / "assets" / "prose.jsonl.gz"
LEAST = 1200  # characters: shorter documents are mostly signatures


def documents() -> Iterator[tuple[str, str]]:
    """Source and text of every document."""
    for name, text in topics.items():
        yield f"python reference: {name}", text
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if not {"site-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data"} & set(parts):
            yield from _docstrings(path, "python library: " + "/".join(parts))
    for module in (np, np.linalg, np.random, np.fft, np.polynomial, np.lib.stride_tricks):
        for name, member in sorted(vars(module).items()):
            if not name.startswith("_") and callable(member):
                yield f"numpy: {module.__name__}.{name}", inspect.getdoc(member) or ""


def _docstrings(path: Path, where: str) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    yield where, ast.get_docstring(tree) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{where}: {node.name}", ast.get_docstring(node) or ""


def main() -> None:
    """Write every document once, long enough ones alone, in a fixed order."""
    texts: dict[str, str] = {}
    for source, text in documents():
        text = text.strip()
        if len(text) >= LEAST and text not in texts:
            texts[text] = source
    rows = sorted((source, text) for text, source in texts.items())
    lines = "".join(json.dumps({"source": s, "text": t}) + "\n" for s, t in rows)
    TARGET.write_bytes(gzip.compress(lines.encode(), mtime=0))
    print(f"{len(rows)} documents, {sum(len(t) for _, t in rows)} characters, {TARGET}")


if __name__ == "__main__":
    main()
