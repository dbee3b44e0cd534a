"""Published layouts without their videos: small annotation files, and empty files for videos."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet


@dataclass(frozen=True)
class Files:
    """A benchmark's folder to be filled; names are paths inside it."""

    root: Path

    def json(self, name: str, content: Any) -> Path:
        path = self._made(name)
        path.write_text(json.dumps(content), "utf-8")
        return path

    def parquet(self, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
        path = self._made(name)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
        return path

    def touch(self, *names: str) -> None:
        """Empty files: loaders look for videos but never open them."""
        for name in names:
            self._made(name).touch()

    def _made(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
