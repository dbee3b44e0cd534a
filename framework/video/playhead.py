"""A place in an open video file that moves forward, by decoding or by seeking, frame for frame."""

import math
from collections.abc import Iterable, Iterator
from itertools import dropwhile
from typing import TYPE_CHECKING

from .file import packet_end, video_stream
from .key_frames import key_frames_of
from .promised_bytes import end_of_clusters, end_of_movi
from .source import Source, VideoError

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer

# Seconds. Containers round times (Matroska to 1 ms): a frame this late is still on time.
TOLERANCE = 1e-3
# Frames. A seek empties the decoder's pipeline, which is up to 16 threads and 16 frames deep.
_SEEK_PAYS_FROM = 32
# Frames of a live stream without a time that are left out, before it is given up.
_UNTIMED = 100
# FFmpeg counts ticks in 64 bits.
_LAST_TICK = 2.0**62
# Seconds. A Matroska file that ends earlier than declared by more than this has been cut off.
_EARLY_END = 0.5


# What may be wrong, and begins so many seconds after the first frame.
CUT = "the data are cut off or damaged"
FLAGGED = "FFmpeg flags a frame as damaged (strict stops there)"
FALLING = "the times of the frames fall back"


class DamageError(Exception):
    """The data of an open video end too early or cannot be decoded; says from which second on."""


class Playhead:
    """The frame on display in an open video, and the one after it. Internal times are in ticks.

    `show` and `remaining` raise `DamageError` instead of the first frame that may be wrong. Whoever
    made it closes it, and then the container.

    Args:
        strict: whether a frame that FFmpeg flags as damaged counts as wrong. If not, it is shown
            and counted, unless no good one came before it (a recording cut out of a broadcast).

    Attributes:
        shown: the frame on display.
        flagged: how many frames up to the one on display FFmpeg flagged, of those it decoded.
    """

    def __init__(
        self, container: "InputContainer", source: Source, *, strict: bool = False
    ) -> None:
        self._container, self._source, self._strict = container, source, strict
        self.stream = video_stream(container, source)
        from av.logging import get_level

        # FFmpeg's threads wait for the interpreter to take their messages, which waits for them.
        self.stream.thread_type = "AUTO" if get_level() is None else "NONE"
        # Not every server lets one seek, and FFmpeg then ends up somewhere else without a word.
        self._seeks = source.size() is not None
        if (
            self._seeks and "matroska" in container.format.name
        ):  # reads its index of key frames at the first seek
            container.seek(self.stream.start_time or 0, stream=self.stream)
        self._key_frames = key_frames_of(container, self.stream, source)
        self._tick = float(self.stream.time_base or 1)
        self._reached, self._good_until, self._wrong = 0.0, math.inf, CUT
        self.flagged, self._untimed = 0, 0
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None and self._wrong == FLAGGED:
            raise DamageError(f"{FLAGGED}, the first one")
        if first is None and self._untimed:
            raise self._timeless()
        if first is None:
            raise VideoError(f"{source}: holds no frame that can be decoded; copy the file anew")
        self._start, self.shown = self._pts(first), first
        self._counted = self._start
        self._next = next(self._frames, None)

    def close(self) -> None:
        """Close what it opened itself."""
        self._key_frames.close()

    def seconds(self, frame: "VideoFrame") -> float:
        """The frame's presentation time, counted from the first frame."""
        return (self._pts(frame) - self._start) * self._tick

    def show(self, seconds: float) -> "VideoFrame":
        """The frame on display at this time, which must not lie before that of the last call."""
        limit = min(self._start + (seconds + TOLERANCE) / self._tick, _LAST_TICK)
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

    def between(self, begin: float, stop: float) -> "Iterator[VideoFrame]":
        """Every frame with begin <= time < stop, up to `TOLERANCE`."""
        self.show(begin - 2 * TOLERANCE)
        for frame in self.remaining():
            if self.seconds(frame) >= stop - TOLERANCE:
                return
            if self.seconds(frame) >= begin - TOLERANCE:
                yield frame

    def until_over(self, times: "Iterable[float]") -> "Iterator[VideoFrame]":
        """What is on display at times that may go on behind the end, up to there."""
        period = 1 / float(self.stream.average_rate or 25)
        for time in times:
            shown = self.show(time)
            if self._next is None and time >= self.seconds(shown) + period - TOLERANCE:
                return
            yield shown

    def _step(self, following: "VideoFrame") -> None:
        self.shown, self._next = following, next(self._frames, None)
        if self._pts(following) > self._counted:  # not once more after a seek
            self._counted = self._pts(following)
            self.flagged += following.is_corrupt

    def _damage(self) -> DamageError:
        end = self._good_until if self._good_until < math.inf else self._pts(self.shown)
        seconds = (max(end, self._start) - self._start) * self._tick
        return DamageError(f"{self._wrong} {seconds:.2f} s after the first frame")

    def _jump(self, limit: float) -> None:
        """Seek to the last key frame shown by `limit` if that spares enough decoding."""
        frame_ticks = 1 / float(self.stream.average_rate or 25) / self._tick
        enough = self._pts(self._next or self.shown) + _SEEK_PAYS_FROM * frame_ticks
        if limit < enough or not self._seeks:
            return
        key = self._key_frames.last_until(int(limit))
        if key is None or key < enough:
            return
        # Flagged where decoding would begin, but perhaps not for one that has seen what is before.
        if not (self._land(limit) or (not self._strict and self._land(limit, flagged=True))):
            raise self._damage()

    def _land(self, limit: float, *, flagged: bool = False) -> bool:
        """Go on from the last key frame shown by `limit` that is whole; whether there is one."""
        target = int(limit)
        while (key := self._key_frames.last_until(target)) is not None:
            self._container.seek(target, stream=self.stream)
            self._frames = self._decode(from_key=True)
            landed = next(self._frames, None)
            good = landed is not None and (flagged or not landed.is_corrupt)
            if landed is not None and good and self._pts(landed) <= limit:
                self._step(landed)
                return True
            # Key frames may go by decoding times: this one may come on display after `limit`, or
            # lie where the data are missing. Then the key frame before it has to do.
            target = key - 1
        return False

    def _decode(self, *, from_key: bool = False) -> "Iterator[VideoFrame]":
        """Frames in order of display from where the container stands, up to the end or damage.

        `from_key`: begin with the next key frame; what is shown before it leans on data before.
        At the beginning of a file (a recording cut out of a broadcast) bad frames are skipped.
        """
        self._good_until, self._wrong = math.inf, CUT
        earliest, last = -math.inf, -math.inf
        packets = self._packets()
        if from_key:
            packets = dropwhile(
                lambda packet: packet is not None and not packet.is_keyframe, packets
            )
        for packet in packets:
            if from_key and earliest == -math.inf and packet is not None:
                earliest = packet.pts or 0
            frames, failed = self._frames_of(packet, earliest)
            for frame in frames:
                if frame.is_corrupt and not self._strict and not from_key and last == -math.inf:
                    self.flagged += 1
                    continue
                if self._is_wrong(frame, last):
                    return
                if self._pts(frame) <= self._good_until:
                    last = self._pts(frame)
                    yield frame
            if failed and (from_key or last > -math.inf):
                self._good_until = last + 1
                return
        if self._good_until < math.inf:
            self._good_until = max(self._good_until, last + 1)

    def _is_wrong(self, frame: "VideoFrame", last: float) -> bool:
        """Whether the frames end before this one, which follows one shown at `last`."""
        if self._strict and frame.is_corrupt:
            self._good_until, self._wrong = max(self._pts(frame), last + 1), FLAGGED
        elif self._pts(frame) < last and "avi" in self._container.format.name:
            frame.pts = int(last)  # an AVI stores no times; FFmpeg's guess falls now and then
        elif self._pts(frame) < last:
            self._good_until, self._wrong = last + 1, FALLING
        return self._wrong != CUT

    def _frames_of(
        self, packet: "Packet | None", earliest: float
    ) -> "tuple[list[VideoFrame], bool]":
        """What the decoder gives for a packet, and whether it failed."""
        from av.error import FFmpegError

        try:
            frames = self.stream.decode(packet)
        except FFmpegError:
            return [], True
        timed = filter(self._has_time, frames)
        return [frame for frame in timed if self._pts(frame) >= earliest], False

    def _has_time(self, frame: "VideoFrame") -> bool:
        """Whether it is told when the frame is shown: of a stream over RTSP not before its clock is
        known, one frame or more after its beginning. Those are left out."""
        if frame.pts is None:
            self._untimed += 1
            if self._seeks or self._untimed > _UNTIMED:
                raise self._timeless()
            return False
        self._untimed = 0
        return True

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
        """Whether the file's index, its size by its own words or its duration promise more."""
        container, size = self._container, self._source.size()
        promised = self._key_frames.promised_bytes()
        if size is not None and "avi" in container.format.name:
            promised = end_of_movi(self._source) or promised
        matroska = "matroska" in container.format.name
        if size is not None and matroska:
            promised = end_of_clusters(self._source)
        if size is not None and promised > size:
            return True
        if not matroska:  # others measure their duration by the data
            return False
        return (container.duration or 0) / 1e6 - self._reached > _EARLY_END

    def _pts(self, frame: "VideoFrame") -> int:
        if frame.pts is None:
            raise self._timeless()
        return frame.pts

    def _timeless(self) -> VideoError:
        return VideoError(
            f"{self._source}: its frames carry no times; put it into a container: "
            "ffmpeg -i FILE -c copy FILE.mp4"
        )
