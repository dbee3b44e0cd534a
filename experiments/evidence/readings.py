"""What is asked of a stream that has ended, and what it has cost."""

from __future__ import annotations

from collections.abc import Iterator

from ...framework import VideoModel, VideoSession
from ...methods import ReadCarried
from ..evaluation.rows import Row
from ..streaming.cells import Cell, require_readable


def readings(
    model: VideoModel, cell: Cell, session: VideoSession
) -> Iterator[tuple[str, VideoSession]]:
    """What is asked at the end: the whole archive, and what is carried, where anything is."""
    yield "archive", session
    try:
        require_readable(model, cell.memory, ReadCarried())
    except ValueError:
        return
    yield "carried", session.fork(reader=ReadCarried())


def costs_of_one(session: VideoSession, rows: int) -> Row:
    """Costs of one stream: a batch's, shared out."""
    totals, last = session.costs.totals, session.costs[-1]
    return {
        "tokens": session.cursor.tokens,
        "decoder_flops": totals.flops // rows,
        "decoder_ms": totals.milliseconds / rows,
        "state_bytes": last.state_bytes // rows,
        "archive_bytes": last.archive_bytes // rows,
    }
