"""Results as JSON lines that survive a kill at any moment: one row per cell and question.

A row says

- what was asked: `benchmark`, `cell`, `question` (its id), `video` (its name), `groups`, `answer`
  (the right one), `pass` (the id of the question whose frames the stream took; questions with the
  same one shared a stream),
- what came of it: `status` is "answered", "invalid" (a reply that gives no answer), "nonfinite"
  (the model computed NaN or Inf: wrong whatever the reply), "missing" (no video) or "unreadable" (a
  video that cannot be read so far), the last two with the reason in `why` and none of the fields
  below; `reply` (without what it was made to begin with), `parsed`, `correct`,
- how close it is to the reference cell, if there is one and both are finite: `agreement` (share of
  places with the same token), `kl_to_full` (of the first new token; null where it is infinite),
- what it cost, as a session that takes this question's frames and no other question pays it:
  `frames` (raw), `flagged_frames` (that FFmpeg flags as damaged, of all that had to be decoded;
  older rows lack it), `tokens` (that entered the decoder), `decoder_flops`, `decoder_ms`,
  `vision_ms` (encoder and projector), `ask_ms` and `reply_tokens` (reading the question and
  decoding the reply), `state_bytes` (held for later frames), `archive_bytes` (held for answering,
  without room to grow), `planned_tokens` (which fixes the RoPE scaling), `attention` (the backend
  that ran in the last step; older rows lack it),
- where it came from: `config` (hash of the settings in config.json, of cells this one and the
  reference), `commit`, `environment`.

Of two runs with the same settings on the same machine only the fields ending in "_ms" differ. Lines
also carry what `seals` adds, which reading takes off again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..streaming.plan import Pass
from .seals import REMEDY, Seals, made_seals, read_seals

Row = dict[str, Any]
REFUSED = ("missing", "unreadable")  # a status that a later row may replace
Key = tuple[str, str]  # cell, question
KEY = ("cell", "question")
# What nobody vouches for in a row without a checksum, by what has to be there.
FIELDS = {"status": str, "video": str, "correct": bool, "groups": dict}
NUMBERS = (
    *("frames", "tokens", "decoder_flops", "decoder_ms", "vision_ms", "ask_ms", "reply_tokens"),
    *("state_bytes", "archive_bytes", "agreement", "kl_to_full"),
)


def key_of(row: Mapping[str, Any]) -> Key:
    """What a row is the result of."""
    return row["cell"], row["question"]


class RowFile:
    """The rows one process writes.

    A batch of rows goes to the disk in one write and is flushed there, so that a kill loses at most
    the batch in flight; a line cut off by a kill is removed when the file is opened again.

    Args:
        folder: of the run.
        rank: of the process; each writes a file of its own.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.path = folder / f"rows-{rank}.jsonl"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._seals = made_seals(folder)
        os.ftruncate(self._descriptor, self.path.read_bytes().rfind(b"\n") + 1)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows; if killed all, none or the first of them, never half a row that counts.

        Raises:
            OSError: if the disk takes no more; what it took counts.
        """
        lines = (json.dumps(self._seals.sealed(row), allow_nan=False) for row in rows)
        data = "".join(line + "\n" for line in lines).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_rows(folder: Path, configs: Mapping[str, str] | None = None) -> list[Row]:
    """All rows of a run, of whichever process; each (cell, question) once, an asked one first. They
    must have the hash that `configs` gives their cell.

    Raises:
        ValueError: for a line that is no row, was changed, or comes from other settings or another
            run, naming file and line. A last line without its end is what a kill leaves and is
            passed over.
    """
    rows: dict[Key, Row] = {}
    seals = read_seals(folder)
    for path in sorted(folder.glob("rows-*.jsonl")):
        *lines, _ = path.read_bytes().split(b"\n")  # the last has no end
        for number, line in enumerate(lines, 1):
            row = _row(f"{path}, line {number}", line, configs, seals)
            run = row.pop("run", None)
            if seals.run is None:  # the first row says it for all
                seals = replace(seals, run=run)
            key = key_of(row)
            if key not in rows or rows[key].get("status") in REFUSED:
                rows[key] = row
    return list(rows.values())


def _row(where: str, line: bytes, configs: Mapping[str, str] | None, seals: Seals) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{where} is no result row ({error}); the file was changed by something else: {REMEDY}"
        ) from error
    if not (isinstance(row, dict) and all(isinstance(row.get(name), str) for name in KEY)):
        raise ValueError(f"{where} names no cell and question: {line[:80]!r}; {REMEDY}")
    seals.require_unchanged(where, row)
    expected = None if configs is None else configs.get(row["cell"])
    if configs is not None and row.get("config") != expected:
        raise ValueError(
            f"{where} comes from other settings (cell {row['cell']} with config "
            f"{row.get('config')}, this run has {expected}): give another output folder"
        )
    seals.require_own(where, row)
    if configs is not None and "checksum" not in row:
        _require_fields(where, row)
    return {name: value for name, value in row.items() if name != "checksum"}


def _require_fields(where: str, row: Row) -> None:
    """What summing up would stumble over."""
    for name, kind in FIELDS.items():
        if not isinstance(row.get(name), kind):
            raise ValueError(f"{where} has {name}={str(row.get(name))[:40]!r}; {REMEDY}")
    for name in NUMBERS:
        if not isinstance(row.get(name), int | float | None):
            raise ValueError(f"{where} has {name}={str(row[name])[:40]!r}, no number; {REMEDY}")
    if row["status"] == "unreadable" and not isinstance(row.get("why"), str):
        raise ValueError(f"{where} does not say why its video cannot be read; {REMEDY}")


@dataclass(frozen=True)
class Work:
    """One pass and the rows it still owes."""

    video: Pass
    owed: frozenset[Key]


def owing(passes: Iterable[Pass], cells: Collection[str], done: Collection[Key]) -> list[Work]:
    """Passes that still owe rows."""
    work = []
    for video in passes:
        keys = {(cell, stop.question.id) for cell in cells for stop in video.stops}
        if owed := frozenset(key for key in keys if key not in done):
            work.append(Work(video, owed))
    return work
