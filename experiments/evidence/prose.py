"""Prose: English documentation that comes with the project, as token streams by seed."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import cycle
from random import Random

from ...framework import VideoModel

Encode = Callable[[str], list[int]]
PACKAGE = "crossframe.experiments.evidence"
FILE = "prose.jsonl.gz"
HALVES = ("search", "judge")
PLACES = 64  # streams of one half that do not overlap


@cache
def documents(half: str) -> Sequence[str]:
    """The texts of one half; a document is in the half that its own hash says.

    Sources and licences: `publishing/collect_prose.py`.

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


def encoder(model: VideoModel) -> Encode:
    """A model's own way from text to ids."""
    return lambda text: model.reply_ids(text)[0].tolist()


def prose_ids(encode: Encode, half: str, seed: int, tokens: int) -> list[int]:
    """Ids of documents one after the other in the order of their sources, so that neighbours are
    about related things, begun at the seed's own place and cut to length.

    The places of the first 64 seeds are spread evenly: up to 13,000 characters, some 3,500 tokens,
    their streams do not overlap.

    Args:
        encode: text to ids, without special tokens.
        seed: of the stream; one seed's streams of different lengths begin alike.
    """
    ids: list[int] = []
    for text in _from(half, _place(half, seed)):
        ids += encode(text + "\n\n")
        if len(ids) >= tokens:
            break
    return ids[:tokens]


def _place(half: str, seed: int) -> float:
    """Where in its half a stream begins, as a share of all characters."""
    places = Random(f"prose {half}").sample(range(PLACES), PLACES)
    # Seeds from 64 on begin between those before: multiples of the golden ratio never meet.
    return (places[seed % PLACES] + seed // PLACES * 0.618034 % 1) / PLACES


def _from(half: str, place: float) -> Iterator[str]:
    """Texts from that place on, and from the beginning after the last, without an end."""
    texts = documents(half)
    left = int(place * sum(map(len, texts)))
    for number, text in enumerate(texts):
        if left < len(text):
            yield text[left:]
            yield from cycle([*texts[number + 1 :], *texts[: number + 1]])
        left -= len(text)


def _half_of(text: str) -> str:
    return HALVES[hashlib.sha256(text.encode()).digest()[0] % 2]
