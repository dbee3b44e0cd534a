"""Configuration files as people write them: bounded, and a key given twice is a slip, no choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
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
        if expanded[-1:] == ["--preset"]:
            expanded[-1:] = ["--config", str(_preset(words[0], word))]
        elif name == "--preset" and given:
            expanded += ["--config", str(_preset(words[0], value))]
        else:
            expanded.append(word)
    return expanded


def require_sound(paths: Iterable[str | PathLike[str]]) -> None:
    """Refuse YAML files that are none or grow without bound, or that give one key twice, of which
    YAML readers silently take the last. Files that are not there are left to who reads them.

    Raises:
        ValueError: naming the file and, where there is one, line and key.
    """
    for path in map(Path, paths):
        if path.is_file():
            root = _composed(path)
            _require_bounded(path, root)
            for line, key in _repeated(root):
                raise ValueError(
                    f"{path}, line {line}: {key!r} is there already, and only the last one would "
                    "count; rename one or delete it"
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


def _require_bounded(path: Path, root: object) -> None:
    """Refuse aliases that hold themselves, or that written out are more than `MOST` values."""
    sizes: dict[int, int | None] = {}

    def size(node: Any) -> int:
        known = sizes.setdefault(id(node), -1)
        if known is not None and known >= 0:
            return known
        if known is None:
            raise ValueError(
                f"{path}, line {node.start_mark.line + 1}: an alias holds itself; write out what "
                "is meant"
            )
        sizes[id(node)] = None
        sizes[id(node)] = total = 1 + sum(map(size, _parts(node)))
        return total

    total = 0 if root is None else size(root)
    if total > MOST:
        raise ValueError(
            f"{path} has {total:.2g} values with its aliases written out, more than {MOST}: use "
            "fewer aliases"
        )


def _parts(node: Any) -> Iterator[Any]:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (key, value)


def _repeated(node: object) -> Iterator[tuple[int, str]]:
    """Line and name of every key that comes again in its mapping."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _repeated(part)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key.start_mark.line + 1, key.value
                seen.add(key.value)
            yield from _repeated(value)
