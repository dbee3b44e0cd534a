"""How long a video file must be for its pictures to be whole, by the sizes that it tells."""

from typing import BinaryIO

from .source import Source

_RIFF, _LIST = 8, 12  # bytes of a chunk's head, and of one that holds others
_EBML, _SEGMENT, _CLUSTER = b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\x1fC\xb6u"
_UNKNOWN = (0, 0xFFFFFFFF)  # the size of what is still being written, or was when the power went


def end_of_mdat(source: Source) -> int:
    """Where the last `mdat` box of an mp4 ends by its own header; 0 without one that tells."""
    size, place, end = _size(source), 0, 0
    with source.bytes() as file:
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


def end_of_movi(source: Source) -> int:
    """Where the last list of pictures of an AVI ends by its own header; 0 without one that tells.

    The index behind it may be missing: FFmpeg finds the pictures without.
    """
    size, place, end = _size(source), 0, 0
    with source.bytes() as file:
        while place + _LIST <= size:
            header = _read(file, place, _LIST)
            length = int.from_bytes(header[4:8], "little")
            if header[:4] == b"RIFF":  # several in files above 1 GB
                place += _LIST
                continue
            if length in _UNKNOWN:
                break
            place += _RIFF + length + length % 2
            if header[:4] == b"LIST" and header[8:] == b"movi":
                end = place
    return end


def end_of_clusters(source: Source) -> int:
    """Where a Matroska file ends by its own header, or, if nothing is missing but what follows the
    pictures (the index, tags), where that begins; 0 where the header does not tell.
    """
    size = _size(source)
    with source.bytes() as file:
        name, length, place = _element(file, 0)
        if name == _EBML:
            name, length, place = _element(file, place + (length or 0))
        if name != _SEGMENT or length is None:  # unknown while it is recorded
            return 0
        end = place + length
        while place < size < end:
            name, length, behind = _element(file, place)
            if length is None or behind > size:  # no way to tell in what the file ends
                return end
            if behind + length > size and name != _CLUSTER:
                return place
            place = behind + length
    return end


def _element(file: BinaryIO, place: int) -> tuple[bytes, int | None, int]:
    """Name of a Matroska element, length of its content (None: not told), where that begins."""
    head = _read(file, place, 12).ljust(12, b"\xff")
    wide = 9 - head[0].bit_length()
    long = 9 - head[wide].bit_length() if wide <= 4 else 9
    if long > 8:
        return b"", None, place
    most = (1 << 7 * long) - 1
    length = int.from_bytes(head[wide : wide + long]) & most
    return head[:wide], None if length == most else length, place + wide + long


def _read(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _size(source: Source) -> int:
    return source.size() or 0
