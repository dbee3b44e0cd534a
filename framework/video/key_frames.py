"""Where the key frames of an open video lie: told by its index, or found by looking."""

from typing import TYPE_CHECKING, Protocol

from .file import open_video, video_stream
from .promised_bytes import end_of_mdat
from .source import Source

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import InputContainer

# The first PyAV that shows the index of a file.
_INDEX_SINCE = (17, 1)
# Formats with an index of key frames. In others, seeking may end up anywhere near the place.
_INDEXED = ("mp4", "matroska", "avi")


class KeyFrames(Protocol):
    """What a playhead asks before it seeks. Times are in ticks of the stream, in decoding or
    display order, whichever the file goes by when it seeks."""

    def last_until(self, ticks: int) -> int | None:
        """The last key frame at or before a time; None where none is known."""
        ...

    def promised_bytes(self) -> int:
        """Size that the file must have for its pictures to be whole, as far as it tells; else 0."""
        ...

    def close(self) -> None: ...


def key_frames_of(container: "InputContainer", stream: "VideoStream", source: Source) -> KeyFrames:
    """By the file's index where PyAV shows it, from 17.1 on."""
    from av import __version__

    major, minor = __version__.split(".")[:2]
    if (int(major), int(minor)) >= _INDEX_SINCE:
        return IndexedKeyFrames(stream)
    return SoughtKeyFrames(source, container.format.name)


class IndexedKeyFrames:
    """Key frames as the file lists them; nothing is read."""

    def __init__(self, stream: "VideoStream") -> None:
        self._stream = stream

    def last_until(self, ticks: int) -> int | None:
        index = self._stream.index_entries  # grows while some files are read
        where = index.search_timestamp(ticks)
        return index[where].timestamp if where >= 0 else None

    def promised_bytes(self) -> int:
        index = self._stream.index_entries
        return index[-1].pos + index[-1].size if len(index) and index[-1].size else 0

    def close(self) -> None:
        """Nothing of its own is open."""


class SoughtKeyFrames:
    """Key frames found by seeking: one seek and one packet an answer, nothing is decoded.

    In the file opened a second time, at the first question, because the first must not lose its
    place.
    """

    def __init__(self, source: Source, format_name: str) -> None:
        self._source, self._format_name = source, format_name
        self._container: InputContainer | None = None

    def last_until(self, ticks: int) -> int | None:
        from av.error import FFmpegError

        if not any(name in self._format_name for name in _INDEXED):
            return None
        if self._container is None:
            self._container = open_video(self._source)
        stream = video_stream(self._container, self._source)
        try:
            self._container.seek(ticks, stream=stream)
            packets = self._container.demux(stream)
            key = next((packet for packet in packets if packet.is_keyframe and packet.size), None)
        except FFmpegError:
            return None  # no such place in the file, or a format that cannot seek
        time = None if key is None else _earlier_time(key)
        return time if time is not None and time <= ticks else None

    def promised_bytes(self) -> int:
        """An mp4's box of pictures and sound tells its own size."""
        told = "mp4" in self._format_name and self._source.size() is not None
        return end_of_mdat(self._source) if told else 0

    def close(self) -> None:
        if self._container is not None:
            self._container.close()


def _earlier_time(packet: "Packet") -> int | None:
    """Seeking to just before it finds an earlier packet, whichever time the file goes by."""
    return min((time for time in (packet.dts, packet.pts) if time is not None), default=None)
