"""Hostile configurations and command lines of `crossframe evaluate`."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import monotonic
from typing import Any

import yaml

from crossframe.experiments.command.cli import main
from crossframe.experiments.publishing.small_benchmarks import FIXTURES

from .cases import LONGEST, Case, Family

REACHED = "no checkpoint at"  # the model is loaded last, and is not there
SECONDS = 20
Settings = dict[str, Any]


@cache
def _benchmark() -> Path:
    folder = Path(mkdtemp(prefix="benchmark-"))
    FIXTURES["videomme"](folder)
    return folder


def sound(folder: Path) -> Settings:
    """A configuration without a fault; its model is nowhere."""
    return {
        "model": {"model": str(folder / "nowhere")},
        "benchmark": {"class_path": "VideoMME", "init_args": {"root": str(_benchmark())}},
        "cells": {"full": {"memory": {"class_path": "FullMemory"}}},
        "output": str(folder / "run"),
        "sampling": {"fps": 1.0, "max_frames": 4},
        "trainer": {"accelerator": "cpu", "devices": 1, "logger": False},
        "generation": {"do_sample": False},
        "limit": 1,
    }


def run(text: str | bytes, folder: Path, *words: str) -> str:
    """Evaluate by a file of this text; "reached" if all was right but the model.

    Raises:
        ValueError: with what the command says in one line.
    """
    path = folder / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    err, started = io.StringIO(), monotonic()
    try:
        with redirect_stderr(err), redirect_stdout(io.StringIO()):
            code = main(["evaluate", "--config", str(path), *words])
    except SystemExit as end:
        code = end.code
    assert monotonic() - started < SECONDS, "took too long"
    assert code == 2, f"status {code}"
    said = re.split(r"error: ", err.getvalue(), maxsplit=1)[-1]
    if REACHED in said:
        return "reached"
    raise ValueError(" ".join(said.split())[:LONGEST])


def goes_on(folder: Path) -> None:
    """The corrected configuration works with the same output folder."""
    assert run(yaml.safe_dump(sound(folder)), folder) == "reached"


def _case(
    what: str, text: str | bytes, folder: Path, *names: str, words: tuple[str, ...] = ()
) -> Case:
    return Case(
        what, lambda: run(text, folder, *words), names=names, untouched=lambda: goes_on(folder)
    )


# Files that are none, or grow


def _bomb(random: Random, wide: bool) -> str:
    """Nine levels of nine aliases each: a third of a billion values."""
    width, levels = random.randint(8, 12), random.randint(8, 12)
    lines = ["x0: &x0 [" + ", ".join(["0"] * width) + "]"]
    for level in range(1, levels):
        parts = [f"*x{level - 1}"] * width
        body = "[" + ", ".join(parts) + "]"
        if wide:
            body = "{" + ", ".join(f"k{n}: {part}" for n, part in enumerate(parts)) + "}"
        lines.append(f"x{level}: &x{level} {body}")
    return "generation:\n" + "\n".join(f"  {line}" for line in lines) + "\n"


def draw_files(random: Random, folder: Path) -> Case:
    good = yaml.safe_dump(sound(folder))
    settings = sound(folder)
    name = random.choice(sorted(settings))
    kind = random.choice(("bomb", "bomb", "self", "deep", "garbage", "twice", "good", "huge"))
    if kind == "bomb":
        del settings["generation"]
        text = yaml.safe_dump(settings) + _bomb(random, random.random() < 0.5)
        return _case("an alias bomb", text, folder, "aliases written out", "fewer aliases")
    if kind == "self":
        del settings[name]
        body = random.choice(("&a [*a]", "&a {x: *a}", "&a [1, [2, *a]]", "&a {x: {y: [*a]}}"))
        text = yaml.safe_dump(settings) + f"{name}: {body}\n"
        return _case(f"{name}: {body}", text, folder, "an alias holds itself", "write out")
    if kind == "deep":
        del settings[name]
        depth = random.choice((60, 3000, 50_000))
        mark = random.choice(("[]", "{}"))
        nested = mark[0] * depth + mark[1] * depth
        if mark == "{}":
            nested = "{a: " * depth + "1" + "}" * depth
        text = yaml.safe_dump(settings) + f"{name}: {nested}\n"
        return _case(f"{name} {depth} deep", text, folder, "nested more than 50", "flatter")
    if kind == "garbage":
        text, word = random.choice(
            (
                (random.randbytes(200).replace(b"\n", b"\xff"), "is no YAML file"),
                (b"\xff\xfe" + good.encode(), "is no YAML file"),
                (good + "\tcells: 3\n", "is no YAML file"),
                (good + "a: [1, 2\n", "is no YAML file"),
                (good + "x: !!python/object/apply:os.system [ls]\n", "python/object"),
                (good + "b: *nowhere\n", "is no YAML file"),
            )
        )
        return _case(f"garbage {text[-20:]!r}", text, folder, word)
    if kind == "twice":
        return _case(f"{name} twice", good + f"{name}: 1\n", folder, repr(name), "rename one")
    if kind == "huge":
        return _case("a huge file", good + "# " + "x" * 2**21 + "\n", folder, "bytes", "give")
    merged = good.replace("sampling:", "sampling: &s", 1)
    return Case("a good file", lambda: run(merged, folder), right=_reached)


def _reached(came_back: object) -> None:
    assert came_back == "reached"


# Values

WRONG: dict[str, tuple[Any, ...]] = {
    "sampling": (
        [],
        3,
        "x",
        True,
        {"fps": "x"},
        {"fps": None},
        {"fps": -1.0},
        {"fps": 0},
        {"fps": []},
    ),
    "sampling.fps": (float("nan"), float("inf"), "fast", [1.0], {"a": 1}),
    "sampling.max_frames": (0, -3, 2.5, "many", [4]),
    "sampling.rule": ("middle", 3, None, []),
    "trainer": ([], 3, "cpu", True),
    "trainer.devices": (1000000, 10**30, 0, -5, 2.5, "many", "1000000", [], [0] * 999, {"a": 1}),
    "trainer.accelerator": ("toaster", 3, [], {"class_path": "nowhere.Accelerator"}),
    "trainer.num_nodes": (0, -1, "x", 10**6),
    "trainer.logger": (3, "x", {"class_path": "nowhere.Logger"}),
    "trainer.callbacks": (3, "x", [3], [{"class_path": "nowhere.Callback"}]),
    "trainer.strategy": ("nowhere", 3, []),
    "trainer.precision": ("16-mixed", 7),
    "generation": ([], 3, "x", True),
    "generation.temperature": ("hot", float("nan"), [], {"a": 1}, True, -1.0),
    "generation.top_k": (2.5, "x", [1]),
    "generation.num_beams": ("x", 2.5, [2], -1),
    "generation.do_sample": ("maybe", 3, [], 0.5),
    "generation.max_new_tokens": (5,),
    "limit": (0, -1, 2.5, "x", []),
    "max_tokens": (0, -1, 2.5, "x"),
    "cells_at_once": (0, -1, "x"),
    "seed": ("x", 2.5, [], None),
    "strict": (3, "maybe", []),
    "cells": (
        {},
        [],
        3,
        "x",
        {"a": 3},
        {"a": {}},
        {"a": {"memory": 3}},
        {"a": {"memory": "FulMemory"}},
    ),
    "model": (3, [], {}, {"model": []}, {"model": "x", "device": "cuda"}),
    "benchmark": (3, [], {}, "VideoMMM", {"class_path": "VideoMME", "init_args": {"root": 3.5}}),
    "reference": ("nobody", [], {"a": 1}),
    "output": ([], {"a": 1}),
}
KEYS = {
    "": ("sampler", "cell", "genration"),
    "sampling": ("frames_per_second", "maxframes"),
    "trainer": ("device", "acelerator", "loger"),
    "generation": ("temprature", "topk", "do_samples", 3),
    "model": ("dtypes", "path"),
}


def draw_values(random: Random, folder: Path) -> Case:
    settings = deepcopy(sound(folder))
    if random.random() < 0.3:
        place = random.choice(sorted(KEYS))
        key = random.choice(KEYS[place])
        (settings[place] if place else settings)[key] = random.choice((1, "x", None))
        return _case(f"{place} with {key}", yaml.safe_dump(settings), folder, str(key))
    if random.random() < 0.1:
        settings["seed"] = random.randint(0, 9)
        settings["generation"] |= random.choice(
            ({"temperature": 0.5, "do_sample": True}, {"num_beams": 1})
        )
        text = yaml.safe_dump(settings)
        return Case("good values", lambda: run(text, folder), right=_reached)
    name = random.choice(sorted(WRONG))
    value = random.choice(WRONG[name])
    first, _, last = name.partition(".")
    if last:
        settings[first][last] = value
    else:
        settings[first] = value
    word = last or first
    if random.random() < 0.3 and not isinstance(value, list | dict | bool | type(None)):
        given = (f"--{name}", str(value))
        text = yaml.safe_dump(sound(folder))
        if (name, value) in (("limit", "x"),) or not isinstance(value, str | int | float):
            given = ()
        if given and first not in ("trainer", "generation", "cells", "model", "benchmark"):
            return _case(f"{name} {value!r} by word", text, folder, word, words=given)
    return _case(f"{name} = {value!r:.60}", yaml.safe_dump(settings), folder, word)


FAMILIES = (
    Family("configuration files", draw_files, 80),
    Family("configured values", draw_values, 150),
)
