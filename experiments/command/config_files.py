"""Configuration files as people write them: bounded, and a key given twice is a slip, no choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from os import PathLike
from pathlib import Path
from typing import Any

LARGEST = 2**20  # bytes; configurations have some thousands
MOST = 100_000  # values once all aliases are written out
DEEPEST = 50


def config_paths(words: Sequence[str]) -> list[str]:
    """The files that a command line gives as `--config`."""
    after = [later for word, later in pairwise(words) if word == "--config"]
    return after + [word.partition("=")[2] for word in words if word.startswith("--config=")]


def with_presets(words: Sequence[str]) -> list[str]:
    """A command line with each `--preset NAME` as the `--config` that comes along for its command,
    configs/COMMAND_NAME.yaml.

    Raises:
        ValueError: for a name that there is not.
    """
    expanded: list[str] = []
    for word in words:
        name, given, value = word.partition("=")
        expanded += [name, value] if given and name == "--preset" else [word]
        if expanded[-2:-1] == ["--preset"]:
            expanded[-2:] = ["--config", str(_preset(words[0], expanded[-1]))]
    return expanded


def require_sound(paths: Iterable[str | PathLike[str]]) -> None:
    """Refuse YAML files that are none or grow without bound, or that give one key twice, of which
    YAML readers silently take the last. Files that are not there are left to who reads them. The
    ValueError names the file and, where there is one, line and key."""
    for path in map(Path, paths):
        if path.is_file():
            root = _composed(path)
            values = 0 if root is None else _values(path, root, {})
            if values > MOST:
                raise ValueError(
                    f"{path} has {values:.2g} values with its aliases written out, more than "
                    f"{MOST}: use fewer aliases"
                )


def _preset(command: str, name: str) -> Path:
    folder = Path(__file__).parents[1] / "configs"
    known = {path.stem.removeprefix(f"{command}_"): path for path in folder.glob(f"{command}_*")}
    if name not in known:
        raise ValueError(
            f"no preset of {command} is called {name!r}; there are "
            f"{', '.join(sorted(known)) or 'none, give --config'}"
        )
    return known[name]


def _composed(path: Path) -> object:
    """The file's tree, with aliases as references."""
    import yaml

    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has more than {LARGEST} bytes: give a configuration file")
    try:
        text = path.read_text("utf-8")
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"{path} is nested more than {DEEPEST} deep: write it flatter")
        return yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{path} is no YAML file, mend or replace it: {reason}") from error


def _values(path: Path, node: Any, known: dict[int, int]) -> int:
    """How many values a node is once aliases are written out; none may hold itself, and no key be
    given twice. `known` has those that were counted, by identity; 0 while one is being counted."""
    if known.get(id(node)) == 0:
        raise ValueError(
            f"{path}, line {node.start_mark.line + 1}: an alias holds itself; write out what is "
            "meant"
        )
    if id(node) not in known:
        known[id(node)] = 0
        inside = node.value if node.id != "scalar" else []
        if node.id == "mapping":
            _require_distinct(path, [key for key, _ in inside])
            inside = chain.from_iterable(inside)
        known[id(node)] = 1 + sum(_values(path, part, known) for part in inside)
    return known[id(node)]


def _require_distinct(path: Path, keys: Iterable[Any]) -> None:
    seen: set[str] = set()
    for key in (one for one in keys if one.id == "scalar"):
        if key.value in seen:
            raise ValueError(
                f"{path}, line {key.start_mark.line + 1}: {key.value!r} is there already, and only "
                "the last one would count; rename one or delete it"
            )
        seen.add(key.value)
