"""How long a video file must be for its pictures to be whole, by the sizes that it tells."""

from pathlib import Path
from typing import BinaryIO

_RIFF, _LIST = 8, 12  # bytes of a chunk's head, and of one that holds others
_UNTOLD = (0, 0xFFFFFFFF)  # the size of what is still being written, or was when the power went


def end_of_mdat(path: Path) -> int:
    """Where the last `mdat` box of an mp4 ends by its own header; 0 without one that tells."""
    size, place, end = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while place + 16 <= size:
            header = _read(file, place, 16)
            length = int.from_bytes(header[:4])
            if length == 1:  # too long for 4 bytes
                length = int.from_bytes(header[8:])
            if length < 8:  # 0: up to the end of the file
                break
            place += length
            if header[4:8] == b"mdat":
                end = place
    return end


def end_of_movi(path: Path) -> int:
    """Where the last list of pictures of an AVI ends by its own header; 0 without one that tells.

    The index behind it may be missing: FFmpeg finds the pictures without.
    """
    size, place, end = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while place + _LIST <= size:
            header = _read(file, place, _LIST)
            length = int.from_bytes(header[4:8], "little")
            if header[:4] == b"RIFF":  # several in files above 1 GB
                place += _LIST
                continue
            if length in _UNTOLD:
                break
            place += _RIFF + length + length % 2
            if header[:4] == b"LIST" and header[8:] == b"movi":
                end = place
    return end


def _read(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)
