"""Prose: English documentation that comes with the project, as token streams by seed."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from random import Random

Encode = Callable[[str], list[int]]
PACKAGE = "crossframe.experiments.evidence"
FILE = "prose.jsonl.gz"
HALVES = ("search", "judge")


@cache
def documents(half: str) -> Sequence[str]:
    """The texts of one half; a document is in the half that its own hash says.

    Sources and licences: `collect_prose.py`.

    Args:
        half: "search", for choosing rules, or "judge", looked at once when a rule is chosen.
    """
    if half not in HALVES:
        raise ValueError(f"prose has the halves {HALVES}, got {half!r}")
    packed = files(PACKAGE).joinpath("assets").joinpath(FILE).read_bytes()
    texts = [json.loads(line)["text"] for line in gzip.decompress(packed).splitlines()]
    return [text for text in texts if _half_of(text) == half]


def content_hash() -> str:
    """Twelve hexadecimal digits that name the file's content."""
    packed = files(PACKAGE).joinpath("assets").joinpath(FILE).read_bytes()
    return hashlib.sha256(gzip.decompress(packed)).hexdigest()[:12]


def prose_ids(encode: Encode, half: str, seed: int, tokens: int) -> list[int]:
    """Ids of whole documents one after the other, the first begun at a random place, cut to length.

    Args:
        encode: text to ids, without special tokens.
        seed: of the stream; one seed's streams of different lengths begin alike.
    """
    ids: list[int] = []
    for text in _in_turn(half, Random(f"prose {half} {seed}")):
        ids += encode(text + "\n\n")
        if len(ids) >= tokens:
            break
    return ids[:tokens]


def _in_turn(half: str, random: Random) -> Iterator[str]:
    texts = documents(half)
    order = random.sample(range(len(texts)), len(texts))
    first = texts[order[0]]
    yield first[random.randrange(len(first)) :]
    for number in order[1:]:
        yield texts[number]


def _half_of(text: str) -> str:
    return HALVES[hashlib.sha256(text.encode()).digest()[0] % 2]
