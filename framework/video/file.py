"""Opening a video file, saying what is wrong with it, and finding out how long it is."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .promised_bytes import end_of_movi
from .source import Source, VideoError

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import InputContainer


# Seconds by which a stream's own length may differ from the file's before it is looked at closer:
# sound may be a little longer than the pictures.
_CLOSE = 0.5


@contextmanager
def ffmpeg_errors_told(source: Source) -> Iterator[None]:
    """What FFmpeg or PyAV raise about a file becomes a `VideoError` with their words."""
    from av.error import FFmpegError

    try:
        yield
    except VideoError:
        raise
    except (FFmpegError, MemoryError, ValueError, OverflowError) as error:
        raise VideoError(
            f"{source}: FFmpeg cannot read on ({_reason(error)}); copy or download the file anew, "
            "or re-encode it with ffmpeg"
        ) from error


def open_video(source: Source) -> "InputContainer":
    """Open a video, or raise `VideoError` which says what it is instead of a video."""
    from av.error import FFmpegError

    source.require_there()
    try:
        container = source.container()
    except (FFmpegError, OSError, MemoryError, ValueError) as error:
        raise VideoError(f"{source}: {_why_unreadable(source, error)}") from error
    if container.format.name == "tty":  # FFmpeg plays any *.txt as an animation of letters
        container.close()
        raise VideoError(f"{source}: a text file, not a video; give an mp4, mkv, webm, ...")
    return container


def _why_unreadable(source: Source, error: Exception) -> str:
    if source.size() is None:
        return f"cannot be opened ({_reason(error)}); check the address, and that it can be reached"
    if isinstance(error, PermissionError):
        return "may not be read; change its permissions"
    with source.bytes() as file:
        if file.read(12)[4:8] == b"ftyp":
            return (
                "an mp4 without its index (moov): cut off, or still being recorded; "
                "copy or download it anew, or finish the recording"
            )
    return f"not a video that FFmpeg can read ({_reason(error)}); give an mp4, mkv, webm, ..."


def _reason(error: Exception) -> str:
    """In FFmpeg's words, without the name of the file."""
    from av.error import FFmpegError

    reason = error.strerror if isinstance(error, FFmpegError | OSError) else str(error)
    return reason or type(error).__name__


def video_stream(container: "InputContainer", source: Source) -> "VideoStream":
    """The first stream with moving pictures, or `VideoError` which says what there is instead."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song
            _require_decoder(stream, source)
            return stream
    kinds = {"a cover" if stream.type == "video" else stream.type for stream in container.streams}
    held = " and ".join(sorted(kinds)) or "nothing"
    raise VideoError(f"{source}: no video stream in it, only {held}; give a file with pictures")


def _require_decoder(stream: "VideoStream", source: Source) -> None:
    context: object = stream.codec_context  # None where there is none, whatever PyAV declares
    if context is None:  # decoding would be a crash before PyAV 16
        raise VideoError(
            f"{source}: its pictures are in a format that FFmpeg here does not know; copy or "
            "download the file anew, or re-encode it with ffmpeg"
        )


def declared_duration(
    container: "InputContainer", stream: "VideoStream", source: Source
) -> float | None:
    """Seconds that the stream, its DURATION tag (Matroska) or else the container declares.

    Moves the container's place where the tag has to be checked.
    """
    tick = float(stream.time_base or 0)
    seconds = (stream.duration or 0) * tick
    size = source.size()
    if "avi" in container.format.name and size is not None and end_of_movi(source) > size:
        # Cut off, and FFmpeg scales the length down to what is left.
        seconds = max(seconds, float((stream.frames or 0) / (stream.average_rate or math.inf)))
    if not seconds:
        seconds = _tagged_end(container, stream) or (container.duration or 0) / 1e6
        if "matroska" in container.format.name:  # there it is the time of the end
            seconds -= (stream.start_time or 0) * tick
    return seconds if 0 < seconds < math.inf else None


def _tagged_end(container: "InputContainer", stream: "VideoStream") -> float:
    """Seconds of the DURATION tag as far as the file bears it out; 0 where it does not.

    The tag of a stream may be wrong, as tools copy it along when they cut. It cannot be longer than
    the file. Where it is shorter, because sound goes on, the last pictures are looked at.
    """
    try:
        hours, minutes, rest = stream.metadata.get("DURATION", "").split(":")
        tagged = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    except ValueError:
        return 0.0
    whole = (container.duration or 0) / 1e6
    if not 0 < tagged < whole + _CLOSE:  # or not a number
        return 0.0
    if tagged > whole - _CLOSE:
        return tagged
    end = _last_end(container, stream, whole)
    return end if end > tagged + _CLOSE else tagged


def _last_end(container: "InputContainer", stream: "VideoStream", whole: float) -> float:
    """Seconds at which the last picture ends, by reading from the last key frame on."""
    from av.error import FFmpegError

    end = 0.0
    try:
        container.seek(int(whole * 1e6))
        for packet in container.demux(stream):
            if packet.pts is not None:
                end = max(end, packet_end(packet, packet.duration or 0))
    except FFmpegError:  # cut off: as far as it goes
        pass
    return end


def measure(source: Source) -> tuple[float, int]:
    """Seconds and number of frames, counted by reading the file through without decoding."""
    first, end, count = math.inf, -math.inf, 0
    with ffmpeg_errors_told(source), open_video(source) as container:
        for packet in container.demux(video_stream(container, source)):
            if packet.pts is not None:
                first, count = min(first, packet_end(packet, 0)), count + 1
                end = max(end, packet_end(packet, packet.duration or 0))
    return max(end - first, 1e-3), max(count, 1)


def packet_end(packet: "Packet", ticks: int) -> float:
    """Seconds at which the packet's content has been shown for that many ticks."""
    return float(((packet.pts or 0) + ticks) * (packet.time_base or 0))
