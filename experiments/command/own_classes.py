"""Classes of the user's own, in the current folder: only what she names can be imported there."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

# The first part of a dotted name, such as my_package in my_package.MyMemory.
_DOTTED = re.compile(r"(?<![\w./\\-])([A-Za-z_]\w*)(?=\.[A-Za-z_])")
LARGEST = 2**20  # bytes of a file in which names are looked for


class OwnModules(MetaPathFinder):
    """Finds modules of one folder that were named, or that a module of that folder imports.

    Last of all finders, so that nothing installed is shadowed; and a library that looks whether
    `scipy` is there does not find the folder of results that happens to be called so.
    """

    def __init__(self, folder: str, names: Iterable[str]) -> None:
        self.folder, self.names = folder, frozenset(names)
        self.imported: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        if path is not None or not (fullname in self.names or _importer() in self.imported):
            return None
        spec = PathFinder.find_spec(fullname, [self.folder])
        if spec is not None:
            self.imported.add(fullname)
        return spec


def _importer() -> str:
    """The package or module whose code imports, past the import system."""
    frame = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name != "importlib" and frame.f_globals.get("__name__") not in (__name__, None):
            return name
        frame = frame.f_back
    return ""


@contextmanager
def own_classes_importable(words: Sequence[str]) -> Iterator[None]:
    """Classes in the current folder can be named in the words of a command line, and in files given
    there."""
    finder = OwnModules(os.getcwd(), named_modules(words))
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def named_modules(words: Sequence[str]) -> set[str]:
    """Modules whose classes may be meant by words, or by what stands in the files they name."""
    names: set[str] = set()
    for word in words:
        names.update(_DOTTED.findall(word))
        path = Path(word.partition("=")[2] if word.startswith("-") else word)
        if path.suffix in (".yaml", ".yml", ".json") and _readable(path):
            names.update(_DOTTED.findall(path.read_text("utf-8", errors="replace")))
    return names


def _readable(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= LARGEST
    except OSError:
        return False
