"""Texts that are none, too short or of strange letters, as files, as frames and in a session."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch

from crossframe.framework import FullMemory, TextFrames, VideoSession
from crossframe.framework.text import read_text
from crossframe.models import DecoderModel, InternVL3
from crossframe.models.tiny import tiny_internvl, tiny_qwen2, tiny_tokenizer

from .cases import Case, Family
from .streams import equal, refused

STRANGE = "aé中🙂\u202e\u0301\0\x1b\r\n\t\ufeff\ufffd <|im_end|>"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252", "shift_jis")


@cache
def reader() -> DecoderModel:
    return DecoderModel(tiny_qwen2(), tiny_tokenizer(), start="<|endoftext|>")


@cache
def sees() -> InternVL3:
    return InternVL3(*tiny_internvl())


def letters(rng: Random) -> str:
    return "".join(rng.choices(STRANGE, k=rng.randint(1, 60)))


# Files


def a_text(rng: Random, folder: Path) -> Case:
    """Text by any encoding: it is read as it was written, or it is not UTF-8, or says nothing."""
    path, encoding, text = folder / "a.txt", rng.choice(ENCODINGS), letters(rng)
    path.write_bytes(text.encode(encoding, "ignore"))
    expected = utf_8(path.read_bytes())
    what = f"a file of {text!r} in {encoding}"
    if expected is None or not expected.strip():
        return Case(what, lambda: read_text(path), names=(str(path), ": "))
    return Case(what, lambda: read_text(path), right=lambda found: same(found, expected))


def bytes_of_a_video(rng: Random, folder: Path) -> Case:
    path = folder / "a.txt"
    path.write_bytes(b"\0\0\0\x20ftypisom\xff" + rng.randbytes(99))
    return Case("bytes", lambda: read_text(path), names=(str(path), "save the text as UTF-8"))


def no_file(rng: Random, folder: Path) -> Case:
    path = folder / rng.choice(("missing.txt", "\0", "x" * 300, ".", "..", "no/such.txt"))
    return Case(f"{path}", lambda: read_text(path), names=("is no file: give the path of a text",))


def utf_8(content: bytes) -> str | None:
    try:
        return content.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError:
        return None


def same(found: object, expected: object) -> None:
    assert found == expected


# Frames

SIZES: tuple[Any, ...] = (0, -1, 1.0, "4", None, True, 2.5, float("nan"), 10**30)


def frames_of(rng: Random, folder: Path) -> Case:
    """Any letters in frames of any length: all tokens in order, or too few for one frame."""
    del folder
    text, size = letters(rng), rng.choice((1, 2, 3, 7, 32))
    ids = reader().reply_ids(text)[0].tolist()
    what = f"{text!r} in frames of {size}"
    if len(ids) < size:
        names = (f"the text has {len(ids)} tokens", "give a longer text")
        return Case(what, lambda: cut(text, size), names=names)
    return Case(what, lambda: cut(text, size), right=lambda found: same(found, ids))


def impossible_size(rng: Random, folder: Path) -> Case:
    del folder
    size = rng.choice(SIZES)
    return Case(f"{size!r} tokens a frame", lambda: cut("a b c", size), names=("tokens_per_frame",))


def half_a_letter(rng: Random, folder: Path) -> Case:
    del folder
    text = f"a{chr(rng.randint(0xD800, 0xDFFF))}b"
    names = ("at character 1, half of a surrogate pair", "decode the text as UTF-8")
    return Case(repr(text), lambda: cut(text, 1), names=names)


def cut(text: str, size: Any) -> list[int]:
    frames = TextFrames(tiny_tokenizer(), text, size)
    return [int(token) for frame, _ in frames for token in frame]


# Sessions


def begun() -> VideoSession:
    session = VideoSession(reader(), FullMemory())
    session.push(torch.tensor([1, 2, 3]))
    return session


def pushed_frames(rng: Random, folder: Path) -> Case:
    """Frames of any lengths go in together as one by one."""
    del folder
    frames = [torch.tensor(rng.choices(range(200), k=rng.randint(1, 9))) for _ in range(3)]

    def one_by_one(session: VideoSession) -> None:
        for frame in frames:
            session.push(frame)

    return equal("frames", begun(), lambda session: session.push(frames), one_by_one)


ODD: tuple[tuple[Callable[[], Any], str], ...] = (
    (lambda: torch.tensor([], dtype=torch.int64), "at least one token"),
    (lambda: torch.tensor([10**6]), "token id 1000000 is none of the model's"),
    (lambda: torch.tensor([-1]), "token id -1 is none of the model's"),
    (lambda: torch.tensor([1, 2], device="meta"), "without values"),
    (lambda: torch.tensor([1, 2], dtype=torch.int32), "frames must be uint8 pixels"),
    (lambda: torch.tensor([1.0, 2.0]), "frames must be uint8 pixels"),
    (lambda: torch.zeros(1, 9, 9, 3, dtype=torch.uint8), "has no vision side"),
    (lambda: [torch.tensor([1]), torch.zeros(9, 9, 3, dtype=torch.uint8)], "must be uint8"),
    (lambda: "a text", "frames must be FrameTokens, PIL images"),
)


def odd_frames(rng: Random, folder: Path) -> Case:
    del folder
    make, name = rng.choice(ODD)
    return refused(f"{make()!r:.60}", begun(), lambda session: session.push(make()), name)


def text_for_eyes(rng: Random, folder: Path) -> Case:
    del folder
    session = VideoSession(sees(), FullMemory())
    session.push(torch.zeros(1, 56, 56, 3, dtype=torch.uint8))
    ids = torch.tensor(rng.choices(range(200), k=5))
    return refused("ids", session, lambda one: one.push(ids), "InternVL3 sees images")


FILES = (a_text, a_text, bytes_of_a_video, no_file)
FRAMES = (frames_of, frames_of, impossible_size, half_a_letter)
PUSHES = (pushed_frames, odd_frames, odd_frames, text_for_eyes)

FAMILIES = (
    Family("text file", lambda rng, folder: rng.choice(FILES)(rng, folder), 40),
    Family("text frames", lambda rng, folder: rng.choice(FRAMES)(rng, folder), 40),
    Family("pushed text", lambda rng, folder: rng.choice(PUSHES)(rng, folder), 40),
)
