"""Ctrl-C while libraries are imported, which would not all stand it."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_IMPORTING = "<frozen importlib._bootstrap>"


def run_with_whole_imports(work: Callable[[], None]) -> None:
    """Call it; an interrupt that comes while it imports a module waits until that is done.

    An import that is broken off leaves parts of modules behind: of 100 interrupts within the first
    seconds of `ask`, transformers made of one a missing package, numpy of one a module that cannot
    be loaded twice, and a third was lost in some library's `except`.

    Where Python itself would not handle interrupts, nothing changes.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        work()
        return
    here = inspect.currentframe()

    def interrupt(number: int, frame: FrameType | None) -> None:
        importing = _importer(frame, here)
        if importing is None:
            signal.default_int_handler(number, frame)
            return
        # Python goes on to where the import was asked for, and finds its next line traced.
        sys.settrace(lambda *event: None)
        importing.f_trace = _raise

    signal.signal(signal.SIGINT, interrupt)
    try:
        work()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _importer(frame: FrameType | None, last: FrameType | None) -> FrameType | None:
    """Who asked for the outermost import between two frames; None where nobody did."""
    found = None
    while frame is not None and frame is not last:
        if frame.f_code.co_filename == _IMPORTING:
            found = frame.f_back
        frame = frame.f_back
    return found


def _raise(frame: FrameType, event: str, argument: Any) -> Any:
    del frame, argument
    if event == "exception":  # the import's own; a line or the end comes next
        return _raise
    sys.settrace(None)
    raise KeyboardInterrupt
