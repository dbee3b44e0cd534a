"""Configuration files as people write them: a name given twice is a slip, not a choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path


def require_distinct_keys(paths: Iterable[str | PathLike[str]]) -> None:
    """Refuse YAML files that give one key twice, of which YAML readers silently take the last.

    Raises:
        ValueError: naming file, line and key.
    """
    import yaml

    for path in paths:
        try:
            root = yaml.compose(Path(path).read_text("utf-8"), yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no YAML file: {error}") from error
        for line, key in _repeated(root):
            raise ValueError(
                f"{path}, line {line}: {key!r} is there already, and only the last one would "
                "count; rename one or delete it"
            )


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
