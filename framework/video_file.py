"""Opening a video file, saying what is wrong with it, and finding out how long it is."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import InputContainer


class VideoError(ValueError):
    """A video, or a way to sample it, that cannot be used; names the path and the remedy."""


def open_video(path: Path) -> "InputContainer":
    """Open a local file, or raise `VideoError` which says what it is instead of a video."""
    import av
    from av.error import FFmpegError

    if not path.exists():
        raise VideoError(f"{path}: no such file; check the path (only local files are read)")
    if path.is_dir():
        raise VideoError(f"{path}: is a directory; give one video file inside it")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty; copy or download it anew")
    try:
        container = av.open(path)
    except (FFmpegError, OSError) as error:
        raise VideoError(f"{path}: {_why_unreadable(path, error)}") from error
    if container.format.name == "tty":  # FFmpeg plays any *.txt as an animation of letters
        container.close()
        raise VideoError(f"{path}: a text file, not a video; give an mp4, mkv, webm, ...")
    return container


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "may not be read; change its permissions"
    with path.open("rb") as file:
        if file.read(12)[4:8] == b"ftyp":
            return (
                "an mp4 without its index (moov): cut off, or still being recorded; "
                "copy or download it anew, or finish the recording"
            )
    return f"not a video that FFmpeg can read ({error}); give an mp4, mkv, webm, ..."


def video_stream(container: "InputContainer", path: Path) -> "VideoStream":
    """The first stream with moving pictures, or `VideoError` which says what there is instead."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song
            return stream
    kinds = {"a cover" if stream.type == "video" else stream.type for stream in container.streams}
    held = " and ".join(sorted(kinds)) or "nothing"
    raise VideoError(f"{path}: no video stream in it, only {held}; give a file with pictures")


def declared_duration(container: "InputContainer", stream: "VideoStream") -> float | None:
    """Seconds that the stream, its DURATION tag (Matroska) or else the container declares."""
    tick = float(stream.time_base or 0)
    seconds = (stream.duration or 0) * tick
    if not seconds:
        seconds = _tagged_seconds(stream) or (container.duration or 0) / 1e6
        if "matroska" in container.format.name:  # there it is the time of the end
            seconds -= (stream.start_time or 0) * tick
    return seconds if seconds > 0 else None


def _tagged_seconds(stream: "VideoStream") -> float:
    try:
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def measure(path: Path) -> tuple[float, int]:
    """Seconds and number of frames, counted by reading the file through without decoding."""
    first, end, count = math.inf, -math.inf, 0
    with open_video(path) as container:
        for packet in container.demux(video_stream(container, path)):
            if packet.pts is not None:
                first, count = min(first, packet_end(packet, 0)), count + 1
                end = max(end, packet_end(packet, packet.duration or 0))
    return max(end - first, 1e-3), max(count, 1)


def packet_end(packet: "Packet", ticks: int) -> float:
    """Seconds at which the packet's content has been shown for that many ticks."""
    return float(((packet.pts or 0) + ticks) * (packet.time_base or 0))
