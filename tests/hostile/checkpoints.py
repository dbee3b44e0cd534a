"""Hostile checkpoints: one file is missing, cut off, garbage or says the impossible."""

import json
import os
import shutil
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.framework import FullMemory, VideoSession
from crossframe.models import load_model
from crossframe.models.checkpoints.shards import INDEX
from crossframe.models.tiny import tiny_internvl

from ..models.eagle2_5.layout import save_official_eagle2_5
from ..models.internvl3.layout import save_original
from .cases import Case, Family


def save_sharded(folder: Path) -> None:
    model, processor = tiny_internvl(layers=1, hidden=32)
    model.save_pretrained(folder, max_shard_size="150KB")
    processor.save_pretrained(folder)


SAVERS: dict[str, Callable[[Path], object]] = {
    "internvl3": lambda folder: save_tiny_checkpoint(folder, layers=1, hidden=32),
    "internvl3 in shards": save_sharded,
    "original": save_original,
    "eagle2_5": lambda folder: save_official_eagle2_5(folder, layers=1, hidden=32),
    "llava_onevision": lambda folder: save_tiny_checkpoint(
        folder, "llava_onevision", layers=1, hidden=32
    ),
    "qwen2_5_vl": lambda folder: save_tiny_checkpoint(folder, "qwen2_5_vl", layers=1),
    "qwen3_vl": lambda folder: save_tiny_checkpoint(folder, "qwen3_vl", layers=1),
}
# Words of which a refusal has one: what to do.
REMEDIES = (
    "download",
    "give",
    "load",
    "use",
    "take",
    "choose",
    "adapters for",
    "resize",
    "without",
)
FRAMES = torch.full((2, 56, 84, 3), 90, dtype=torch.uint8)
QUESTION = "What happens?"


class Whole:
    """A folder with every family's checkpoint, deleted with the process."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="checkpoints-"))
        weakref.finalize(self, shutil.rmtree, self.place, ignore_errors=True)


@cache
def _whole() -> Whole:
    return Whole()


@cache
def whole(family: str) -> Path:
    folder = _whole().place / family
    folder.mkdir()
    SAVERS[family](folder)
    return folder


def answer(folder: Path) -> Tensor:
    """What a user does with a checkpoint: load it, push frames, ask."""
    model = load_model(folder, device="cpu")
    session = VideoSession(model, FullMemory())
    session.push(FRAMES, [0.0, 0.5])
    return session.question_logits(model.question_ids(QUESTION))


@cache
def undamaged(family: str) -> Tensor:
    return answer(whole(family))


# Damage to any file


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.choice((0, 1, 7, len(data) // 2, len(data) - 1))]


def _overwritten(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    return data[:start] + random.randbytes(random.choice((1, 8, 64))) + data[start + 8 :]


SPOILS: tuple[tuple[str, Callable[[bytes, Random], bytes]], ...] = (
    ("cut off", _cut),
    ("empty", lambda data, random: b""),
    ("garbage", lambda data, random: random.randbytes(300)),
    ("partly overwritten", _overwritten),
    ("zeroed", lambda data, random: bytes(len(data))),
    ("an error page", lambda data, random: b"<html><body>404 Not Found</body></html>"),
    (
        "a pointer to a large file",
        lambda data, random: b"version https://git-lfs.github.com/spec/v1\n",
    ),
)


# Damage to JSON

VALUES: tuple[Any, ...] = (
    *(None, "", "x", True, -1, 0, 1, 3, 0.5, -0.5, 1e308, 10**9, 10**18, 2**70, [], {}, [[]]),
    *([1, 2, 3], {"a": {"b": None}}, "a" * 5000, "../../etc/passwd", float("nan"), [None] * 50),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside another."""
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from _places(value[name], (*path, name))
    if isinstance(value, list) and len(value) < 10:
        for number in range(len(value)):
            yield from _places(value[number], (*path, number))


def spoil_json(file: Path, random: Random) -> str:
    root: Any = [json.loads(file.read_text("utf-8"))]
    places = [path for path in _places(root) if len(str(path)) < 120]
    # The vocabulary is long: its single pieces are drawn as seldom as other fields.
    few = [path for path in places if len(path) < 5] or places
    path = random.choice(few)
    way, last = path[:-1], path[len(path) - 1]
    owner = root
    for step in way:
        owner = owner[step]
    if random.random() < 0.25 and isinstance(owner, dict):
        del owner[last]
        done = "gone"
    else:
        owner[last] = random.choice(VALUES)
        done = f"{owner[last]!r:.30}"
    content = json.dumps(root[0])
    file.unlink()
    file.write_text(content, "utf-8")
    return f"{file.name} {'.'.join(map(str, [*way, last]))} {done}"


def deep_json(file: Path, random: Random) -> str:
    file.unlink()
    depth = random.choice((2000, 100_000))
    file.write_text('{"model_type":' * depth + "1" + "}" * depth, "utf-8")
    return f"{file.name} nested {depth} deep"


# Damage to weights


def spoil_weights(file: Path, random: Random) -> str:
    weights = load_file(file)
    name = random.choice(sorted(weights))
    value = weights[name]
    change, new = random.choice(
        (
            ("gone", None),
            ("of another shape", torch.zeros(3, 5)),
            ("empty", torch.zeros(0)),
            ("a number", torch.zeros(())),
            ("flat", value.flatten()),
            ("of integers", value.long()),
            ("of bools", value > 0),
        )
    )
    del weights[name]
    if new is not None:
        weights[name] = new
    file.unlink()
    save_file(weights, file, {"format": "pt"})
    return f"{file.name} with {name} {change}"


def spoil_header(file: Path, random: Random) -> str:
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    entry = header[random.choice([name for name in header if name != "__metadata__"])]
    field = random.choice(sorted(entry))
    entry[field] = random.choice((None, "X9", [], [-1, 4], [10**12, 10**9], [0, 10**15], "F64", {}))
    text = json.dumps(header).encode()
    length = random.choice((len(text), len(text), 2**40, 2**63))
    file.unlink()
    file.write_bytes(struct.pack("<Q", length) + text + data[8 + length :])
    return f"{file.name} with a header of {field}={entry[field]!r}, {length} bytes"


# Damage to chat templates

TEMPLATES = (
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'x' * 10000000000 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{{ '%1000000000d' % 1 }}",
    "{{ 'x'.ljust(10000000000) }}",
    "{{ messages[7].content }}",
    "{{ messages.nothing.content }}",
    "{{ 1 / 0 }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ raise_exception('no videos\nhere') }}",
    "{% for message in messages %}",
    "{{ }}",
    "{% include 'other' %}",
    "{{ messages | nofilter }}",
    "",
    "no place for a video",
    "{{ [1] + 'a' }}",
    "{{ range(10**12) | list | length }}",
)


def spoil_template(file: Path, random: Random) -> str:
    text = random.choice(TEMPLATES)
    place = random.choice(("instead", "before", "behind"))
    old = file.read_text("utf-8")
    file.unlink()
    file.write_text({"instead": text, "before": text + old, "behind": old + text}[place], "utf-8")
    return f"{file.name} with {text!r:.60} {place}"


# Damage to the folder


def spoil_folder(file: Path, random: Random) -> str:
    file.unlink()
    kind = random.choice(("gone", "a folder", "a dangling link", "a link to itself"))
    if kind == "a folder":
        file.mkdir()
    elif kind != "gone":
        file.symlink_to(file if kind == "a link to itself" else file.parent / "nowhere")
    return f"{file.name} is {kind}"


def spoil_bytes(file: Path, random: Random) -> str:
    what, change = random.choice(SPOILS)
    data = change(file.read_bytes(), random)
    file.unlink()
    file.write_bytes(data)
    return f"{file.name} is {what}"


def _same(file: Path, random: Random) -> str:
    """No damage: the same fields in other words."""
    text = file.read_text("utf-8")
    file.unlink()
    file.write_text(json.dumps(json.loads(text), indent=random.choice((None, 1, 7))), "utf-8")
    return f"{file.name} in other words"


def _target(folder: Path, random: Random) -> tuple[Path, Callable[[Path, Random], str]]:
    files = sorted(folder.iterdir())
    texts = [file for file in files if file.suffix == ".json"]
    weights = [file for file in files if file.suffix == ".safetensors"]
    templates = [file for file in files if file.suffix == ".jinja"]
    config, index = folder / "config.json", folder / INDEX
    draws = [
        (8, [config], spoil_json),
        (8, texts, spoil_json),
        (3 * index.is_file(), [index], spoil_json),
        (1, texts, deep_json),
        (3, files, spoil_bytes),
        (3, files, spoil_folder),
        (3, weights, spoil_weights),
        (3, weights, spoil_header),
        (4 * bool(templates), templates, spoil_template),
        (1, texts, _same),
    ]
    _, choices, spoil = random.choices(draws, [weight for weight, *_ in draws])[0]
    return random.choice(choices), spoil


def draw_checkpoint(random: Random, folder: Path) -> Case:
    family = random.choice(sorted(SAVERS))
    copy = folder / "checkpoint"
    copy.mkdir()
    for file in whole(family).iterdir():
        os.link(file, copy / file.name)
    file, spoil = _target(copy, random)
    what = f"{family}: {spoil(file, random)}"

    def act() -> object:
        try:
            return answer(copy)
        except ValueError as error:
            assert any(word in str(error) for word in REMEDIES), f"no remedy in {error}"
            raise

    def right(logits: object) -> None:
        assert isinstance(logits, Tensor) and logits.ndim == 3
        if spoil is _same:
            assert_close(logits, undamaged(family))

    return Case(what, act, right=right, names=(str(copy),))


FAMILIES = (Family("checkpoints", draw_checkpoint, 260),)
