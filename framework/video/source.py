"""Where a video comes from: a file, a file in memory, an address that FFmpeg opens."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from io import BytesIO, TextIOBase
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

if TYPE_CHECKING:
    from av.container import InputContainer

# Of a file in the working folder "C:/a.mp4", too, no address is made: two letters at least.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.")
# Seconds until a server that says nothing is given up.
_PATIENCE = 30.0
CAMERA = "webcam://"
# FFmpeg's input device and what it calls a camera.
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}


class VideoError(ValueError):
    """A video, or a way to sample it, that cannot be used; names the path and the remedy."""

    def __init__(self, message: str) -> None:
        """In one line, whatever characters the name of the file has."""
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


@runtime_checkable
class Readable(Protocol):
    """A file that is open for reading bytes, or one in memory."""

    def read(self, size: int = -1, /) -> bytes: ...


class Source(ABC):
    """A video that can be opened any number of times; `str` names it in messages."""

    @abstractmethod
    def container(self) -> InputContainer:
        """Opened anew; raises what PyAV raises."""

    def require_there(self) -> None:  # noqa: B027
        """Refuse what is no video before FFmpeg is asked."""

    def size(self) -> int | None:
        """Bytes; None where that is not known beforehand."""
        return None

    def bytes(self) -> BinaryIO:
        """Its bytes from the first on, where `size` is known."""
        raise NotImplementedError


class FileSource(Source):
    """A local file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def container(self) -> InputContainer:
        # Bare, a name such as "a:b.mp4" would be a protocol, "%d.gif" the pattern of many files.
        return _opened(f"file:{self.path.absolute()}", options={"pattern_type": "none"})

    def require_there(self) -> None:
        if not self.path.exists():
            raise VideoError(
                f"{self}: no such file; check the path, or give an address such as http://..."
            )
        if self.path.is_dir():
            raise VideoError(f"{self}: is a directory; give one video file inside it")
        if self.size() == 0:
            raise VideoError(f"{self}: the file is empty; copy or download it anew")

    def size(self) -> int:
        return self.path.stat().st_size

    def bytes(self) -> BinaryIO:
        return self.path.open("rb")


class MemorySource(Source):
    """A file in memory, or one that somebody else has opened, as far as it goes from where it
    stands; it is read once and left there.

    Raises:
        VideoError: for a file that was opened as text.
    """

    def __init__(self, file: Readable) -> None:
        if isinstance(file, TextIOBase):
            raise VideoError(f"<{type(file).__name__}>: was opened as text; open it with mode 'rb'")
        self._data = file.getvalue() if isinstance(file, BytesIO) else file.read()
        self._name = f"<{type(file).__name__} of {len(self._data)} bytes>"

    def __str__(self) -> str:
        return self._name

    def container(self) -> InputContainer:
        return _opened(self.bytes())

    def require_there(self) -> None:
        if not self._data:
            raise VideoError(f"{self}: nothing is left to read; seek to its start, or fill it")

    def size(self) -> int:
        return len(self._data)

    def bytes(self) -> BinaryIO:
        return BytesIO(self._data)


class AddressSource(Source):
    """What lies behind an address, http, https, rtsp, ...; opened anew for every reading."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __str__(self) -> str:
        return self.address

    def container(self) -> InputContainer:
        return _opened(self.address, timeout=_PATIENCE)


class CameraSource(Source):
    """A camera of this machine, by its number: "webcam://0" is the first one."""

    def __init__(self, address: str) -> None:
        self.address = address
        number = address.removeprefix(CAMERA)
        if not number.isdecimal():
            raise VideoError(f"{address}: which camera? Give its number, such as {CAMERA}0")
        self.device = _CAMERAS.get(sys.platform, ("", ""))[1].format(number)

    def __str__(self) -> str:
        return self.address

    def container(self) -> InputContainer:
        return _opened(self.device, format=_CAMERAS[sys.platform][0])

    def require_there(self) -> None:
        if sys.platform not in _CAMERAS:
            raise VideoError(
                f"{self}: cameras of {sys.platform} are not known here; give the address of a "
                "stream, such as rtsp://..."
            )
        if self.device.startswith("/") and not Path(self.device).exists():
            raise VideoError(
                f"{self}: there is no {self.device}; connect a camera, or give another"
            )


def is_address(source: object) -> bool:
    """Whether a text is an address, not a path."""
    return isinstance(source, str) and _ADDRESS.match(source) is not None


def source_of(source: str | PathLike[str] | Readable | Source) -> Source:
    """A file by its path, a file in memory or an address, as it can be opened."""
    if isinstance(source, Source):
        return source
    if isinstance(source, str | PathLike):
        text = str(source)
        if text.startswith(CAMERA):
            return CameraSource(text)
        return AddressSource(text) if is_address(source) else FileSource(Path(text))
    return MemorySource(source)


def _opened(file: Any, **settings: Any) -> InputContainer:
    import av

    # Titles are nothing to refuse a video for, in whatever encoding they are.
    return av.open(file, metadata_errors="replace", **settings)
