"""A terminal in a conversation: lines that are typed at any time, and a status line above them."""

from __future__ import annotations

import os
import threading
from queue import Empty, Queue
from typing import IO

from rich.console import Console

PROMPT = "> "
# Save the cursor, go up one line and empty it; bring the cursor back.
_ABOVE, _BACK = "\x1b7\x1b[1A\r\x1b[2K", "\x1b8"


class Lines:
    """Lines of a file descriptor, read while other things go on.

    Attributes:
        over: whether the last line has been taken.
    """

    def __init__(self, descriptor: int) -> None:
        self._lines: Queue[str | None] = Queue()
        self.over = False
        # The descriptor itself: whoever waits in `sys.stdin` holds a lock that Python wants at its
        # end.
        reading = threading.Thread(target=self._read, args=(descriptor,), daemon=True)
        reading.start()

    def next(self, seconds: float | None = 0.0) -> str | None:
        """The next line, waited for so long, None for ever; None if none came or none will."""
        if self.over:
            return None
        try:
            line = self._lines.get(timeout=seconds) if seconds != 0 else self._lines.get_nowait()
        except Empty:
            return None
        self.over = line is None
        return line

    def _read(self, descriptor: int) -> None:
        rest = b""
        while data := _read_some(descriptor):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._lines.put(line.decode("utf-8", "replace"))
        if rest:
            self._lines.put(rest.decode("utf-8", "replace"))
        self._lines.put(None)


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # a terminal that was hung up
        return b""


class StatusLine:
    """A line above the one where the user types; nothing where there is no terminal.

    Args:
        console: where it is written.
    """

    def __init__(self, console: Console) -> None:
        self._out: IO[str] = console.file
        self._shown, self._used = console.is_terminal, False

    def open(self, text: str) -> None:
        """Begin a new status line, and a line to type in."""
        if self._shown:
            self._write(f"{text}\n{PROMPT}")
            self._used = True

    def show(self, text: str) -> None:
        """Write the status anew; what is being typed stays."""
        if self._shown:
            self._write(f"{_ABOVE}{text}{_BACK}")

    def close(self) -> None:
        """Leave the line to type in."""
        if self._shown and self._used:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
