"""A place in an open video file that moves forward, by decoding or by seeking, frame for frame."""

import math
from collections.abc import Iterator
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from .key_frames import key_frames_of
from .video_file import VideoError, packet_end, video_stream

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer

# Seconds. Containers round times (Matroska to 1 ms): a frame this late is still on time.
TOLERANCE = 1e-3
# Frames. A seek empties the decoder's pipeline, which is up to 16 threads and 16 frames deep.
_SEEK_PAYS_FROM = 32
# Seconds. A Matroska file that ends earlier than declared by more than this has been cut off.
_EARLY_END = 0.5


class DamageError(Exception):
    """The data of an open video end too early or cannot be decoded; says from which second on."""


class Playhead:
    """The frame on display in an open video, and the one after it. Internal times are in ticks.

    `show` and `remaining` raise `DamageError` instead of the first frame that may be wrong. Whoever
    made it closes it, and then the container.
    """

    def __init__(self, container: "InputContainer", path: Path) -> None:
        self._container, self._path = container, path
        self.stream = video_stream(container, path)
        self.stream.thread_type = "AUTO"
        if "matroska" in container.format.name:  # reads its index of key frames at the first seek
            container.seek(self.stream.start_time or 0, stream=self.stream)
        self._key_frames = key_frames_of(container, self.stream, path)
        self._tick = float(self.stream.time_base or 1)
        self._reached, self._good_until = 0.0, math.inf
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            raise VideoError(f"{path}: holds no frame that can be decoded; copy the file anew")
        self._start, self.shown = self._pts(first), first
        self._next = next(self._frames, None)

    def close(self) -> None:
        """Close what it opened itself."""
        self._key_frames.close()

    def seconds(self, frame: "VideoFrame") -> float:
        """The frame's presentation time, counted from the first frame."""
        return (self._pts(frame) - self._start) * self._tick

    def show(self, seconds: float) -> "VideoFrame":
        """The frame on display at this time, which must not lie before that of the last call."""
        limit = self._start + (seconds + TOLERANCE) / self._tick
        self._jump(limit)
        while self._next is not None and self._pts(self._next) <= limit:
            self._step(self._next)
        if self._next is None and limit >= self._good_until:
            raise self._damage()
        return self.shown

    def remaining(self) -> "Iterator[VideoFrame]":
        """Every frame from the one on display to the last."""
        yield self.shown
        while self._next is not None:
            self._step(self._next)
            yield self.shown
        if self._good_until < math.inf:
            raise self._damage()

    def _step(self, following: "VideoFrame") -> None:
        self.shown, self._next = following, next(self._frames, None)

    def _damage(self) -> DamageError:
        end = self._good_until if self._good_until < math.inf else self._pts(self.shown)
        seconds = (max(end, self._start) - self._start) * self._tick
        return DamageError(f"the data are cut off or damaged {seconds:.2f} s after the first frame")

    def _jump(self, limit: float) -> None:
        """Seek to the last key frame shown by `limit` if that spares enough decoding."""
        frame_ticks = 1 / float(self.stream.average_rate or 25) / self._tick
        enough = self._pts(self._next or self.shown) + _SEEK_PAYS_FROM * frame_ticks
        if limit < enough:
            return
        target = int(limit)
        key = self._key_frames.last_until(target)
        if key is None or key < enough:
            return
        while key is not None:
            self._container.seek(target, stream=self.stream)
            self._frames = self._decode(from_key=True)
            landed = next(self._frames, None)
            if landed is not None and self._pts(landed) <= limit:
                self._step(landed)
                return
            # Key frames may go by decoding times: this one may come on display after `limit`, or
            # lie where the data are missing. Then the key frame before it has to do.
            target = key - 1
            key = self._key_frames.last_until(target)
        raise self._damage()

    def _decode(self, *, from_key: bool = False) -> "Iterator[VideoFrame]":
        """Frames in order of display from where the container stands, up to the end or damage.

        `from_key`: begin with the next key frame; what is shown before it leans on data before.
        At the beginning of a file (a recording cut out of a broadcast) bad frames are skipped.
        """
        self._good_until, earliest, last = math.inf, -math.inf, -math.inf
        packets = self._packets()
        if from_key:
            packets = dropwhile(
                lambda packet: packet is not None and not packet.is_keyframe, packets
            )
        for packet in packets:
            if from_key and earliest == -math.inf and packet is not None:
                earliest = packet.pts or 0
            frames, bad_from = self._good_frames(packet, earliest)
            for frame in frames:
                if self._pts(frame) <= self._good_until:
                    last = self._pts(frame)
                    yield frame
            if bad_from < math.inf and (from_key or last > -math.inf):
                self._good_until = max(bad_from, last + 1)
                return
        if self._good_until < math.inf:
            self._good_until = max(self._good_until, last + 1)

    def _good_frames(
        self, packet: "Packet | None", earliest: float
    ) -> "tuple[list[VideoFrame], float]":
        """What the decoder gives for a packet, and from when on that is bad (inf: all good)."""
        from av.error import FFmpegError

        try:
            frames = self.stream.decode(packet)
        except FFmpegError:
            return [], -math.inf
        frames = [frame for frame in frames if self._pts(frame) >= earliest]
        good = list(takewhile(lambda frame: not frame.is_corrupt, frames))
        return good, math.inf if len(good) == len(frames) else self._pts(frames[len(good)])

    def _packets(self) -> "Iterator[Packet | None]":
        """The stream's packets as far as they are whole, then None, which empties the decoder."""
        from av.error import FFmpegError

        # Frames are stored in another order than shown, but none is shown before its decoding
        # time: what is shown up to the decoding time of the first missing packet is complete.
        complete_until, suspect, cut = -math.inf, None, False
        try:
            for packet in self._container.demux():
                self._reached = max(self._reached, packet_end(packet, packet.duration or 0))
                if packet.stream.index != self.stream.index or not packet.size:
                    continue
                if suspect is not None:  # it is not the last one, cut in two: let the decoder judge
                    yield suspect
                suspect = packet if packet.is_corrupt else None
                if suspect is None:
                    if packet.dts is not None:
                        complete_until = packet.dts + (packet.duration or 1)
                    yield packet
        except FFmpegError:
            cut = True
        if cut or suspect is not None or self._ends_early():
            self._good_until = complete_until
        yield None

    def _ends_early(self) -> bool:
        """Whether the file's index, or else its declared duration, promises more data."""
        container = self._container
        if promised := self._key_frames.promised_bytes():
            return promised > self._path.stat().st_size
        if "matroska" not in container.format.name:  # others measure their duration by the data
            return False
        return (container.duration or 0) / 1e6 - self._reached > _EARLY_END

    def _pts(self, frame: "VideoFrame") -> int:
        if frame.pts is None:
            raise VideoError(
                f"{self._path}: its frames carry no times; put it into a container: "
                "ffmpeg -i FILE -c copy FILE.mp4"
            )
        return frame.pts
