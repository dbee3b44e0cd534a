"""Video-MME's subtitle files, and which of their lines the sampled frames show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...framework.video import VideoError, probe_video

NONE = "No subtitles available"
# Lines in any other markup are passed over by the published code, and so here.
_LINE = re.compile(r'<font color="white" size=".72c">(.*?)</font>')
_TIME = re.compile(r"(\d+):(\d+):(\d+),(\d+)")


@dataclass(frozen=True)
class Line:
    """One subtitle; `start` and `end` in seconds."""

    start: float
    end: float
    text: str


def read_subtitles(path: Path) -> list[Line]:
    """The lines of an .srt file; of lines with the same times the last.

    Raises:
        ValueError: naming the file, for one that is no text or a line without its times.
    """
    try:
        sections = path.read_text("utf-8").split("\n\n")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as subtitles ({error})") from error
    lines: dict[tuple[float, float], str] = {}
    for section in sections:
        rows = section.strip("\n").split("\n")
        if len(rows) >= 3:
            lines[_times(rows[1], path)] = " ".join(rows[2:])
    return [Line(start, end, text) for (start, end), text in lines.items()]


def shown_text(subtitles: Path | None, video: Path | None, frames: int) -> str:
    """The lines shown at `frames` moments spread from the first to the last frame of a video.

    The published code takes the lines from a `set`, in no certain order; here they come in the
    order of the file. A video that cannot be read shows none: its questions are never asked.

    Raises:
        ValueError: for a subtitle file that cannot be read.
    """
    if subtitles is None or video is None:
        return NONE
    lines = read_subtitles(subtitles)
    try:
        info = probe_video(video)
    except VideoError:
        return NONE
    total = info.num_frames or max(1, round(info.duration * info.fps))
    moments = np.linspace(0, total - 1, frames, dtype=int)
    shown = [line for line in lines if _is_shown(line, moments, info.fps)]
    found = (_LINE.search(line.text) for line in shown)
    return "\n".join(match[1] for match in found if match)


def _is_shown(line: Line, moments: np.ndarray, fps: float) -> bool:
    first, behind = int(line.start * fps), int(line.end * fps)
    return bool(((moments >= first) & (moments < behind)).any())


def _times(row: str, path: Path) -> tuple[float, float]:
    found = _TIME.findall(row)
    if len(found) != 2:
        raise ValueError(f"{path} has {row!r} where the times of a subtitle belong")
    start, end = (
        int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(thousandths) / 1000
        for hours, minutes, seconds, thousandths in found
    )
    return start, end
