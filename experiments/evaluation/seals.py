"""What shows that a row is as it was written, and by the run whose folder it lies in.

Every line of a rows file carries `run`, a name drawn once for the folder, and `checksum` over all
that it says, the run included. Against slips (an edit by hand, lines pasted from another study),
not against somebody who works the checksum out again.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from .folder import config_hash, read_json, write_json

FILE = "run.json"
REMEDY = "delete that line to have its question asked again"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seals:
    """What one folder's rows must carry.

    Attributes:
        run: the folder's name; None where nobody has written since there are such names.
        before: checksums of the rows that were here before rows carried any; None: all may be bare.
    """

    run: str | None = None
    before: frozenset[str] | None = None

    def sealed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with the two fields that mark it."""
        marked = {**row, "run": self.run}
        return {**marked, "checksum": checksum(marked)}

    def require_unchanged(self, where: str, row: Mapping[str, Any]) -> None:
        """Raise ValueError for a row that is not as it was written."""
        content = {name: value for name, value in row.items() if name != "checksum"}
        actual = checksum(content)
        if "checksum" in row or "run" in row:
            if row.get("checksum") != actual:
                raise ValueError(
                    f"{where} was changed after it was written (its checksum is "
                    f"{str(row.get('checksum'))[:20]!r}, what it says has {actual!r}): {REMEDY}"
                )
        elif self.before is not None and actual not in self.before:
            raise ValueError(
                f"{where} has no checksum, as all rows have that were written here: it was changed "
                f"or comes from elsewhere; {REMEDY}"
            )

    def require_own(self, where: str, row: Mapping[str, Any]) -> None:
        """Raise ValueError for a row of another run."""
        if "run" in row and self.run not in (None, row["run"]):
            raise ValueError(
                f"{where} was written by another run ({row['run']}, this folder's is {self.run}): "
                f"{REMEDY}"
            )


def checksum(row: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits over what a row says, however it is laid out."""
    return config_hash(row, 16)


def read_seals(folder: Path) -> Seals:
    """The folder's, as far as it has some.

    Raises:
        ValueError: for a file that cannot be read, naming it.
    """
    path = folder / FILE
    if not path.is_file():
        return Seals()
    written = read_json(path, "put it back as it was, or give another output folder")
    run, before = written.get("run"), written.get("before")
    if not (isinstance(run, str) and isinstance(before, list)):
        raise ValueError(
            f"{path} does not say run and before: put it back as it was, or give another output "
            "folder"
        )
    return Seals(run, frozenset(map(str, before)))


def made_seals(folder: Path) -> Seals:
    """The folder's, made by the first process that asks. Says so once where rows are older."""
    with FileLock(folder / "run.lock"):
        if not (folder / FILE).is_file():
            rows = list(_rows(folder))
            before = sorted(checksum(row) for row in rows if "checksum" not in row)
            run = next((row["run"] for row in rows if "run" in row), secrets.token_hex(6))
            write_json(folder / FILE, {"run": run, "before": before})
            if before:
                logger.warning(
                    "%s holds %d rows from before rows had checksums: they are taken as they are "
                    "now, and may not change from here on",
                    folder,
                    len(before),
                )
    return read_seals(folder)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    """What can be read as rows; the rest is refused where rows are read."""
    for path in sorted(folder.glob("rows-*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield row
