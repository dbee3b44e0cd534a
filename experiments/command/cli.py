"""Ask a video vision-language model about a video, or compare cross-frame memories on it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from .commands import COMMANDS, WEBCAM
from .config_files import config_paths, require_sound, with_presets
from .interrupts import run_with_whole_imports
from .own_classes import own_classes_importable

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

Values = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 2 after an error of the user's, which is told in one line."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = " ".join(["crossframe", *words[:1]]) if words[:1] != ["--debug"] else "crossframe"
    try:
        run_with_whole_imports(partial(_run, words))
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if "--debug" in words:
            raise
        print(f"{command}: error: {_told(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return 130
    return 0


def command_parser(chosen: str | None = None) -> ArgumentParser:
    """The parser of all commands, or with the arguments of one command alone."""
    from .config_parser import ConfigParser

    parser = ConfigParser(prog="crossframe", description=__doc__, version=__version__)
    commands = parser.add_subcommands(dest="command")
    for name, command in COMMANDS.items():
        usage = f"crossframe {name} {command.usage} [--option VALUE ...]"
        own = ConfigParser(usage=usage, description=command.summary, print_config="--print-config")
        if chosen in (None, name):
            command.add_arguments(own)
        debug = "show where an error comes from"
        own.add_argument("--debug", action="store_true", help=debug)
        commands.add_subcommand(name, own, help=command.summary)
    return parser


def _run(words: list[str]) -> None:
    name = (words or [""])[0]
    if words == ["--version"]:  # what a plain install can tell
        print(f"crossframe {__version__}")
        return
    _look_at_files(name, words)
    with own_classes_importable(words):
        parser = command_parser(name)
        values = _values(parser, parser.parse_args(words))
        COMMANDS[name].run(values)


def _look_at_files(name: str, words: list[str]) -> None:
    """Presets as the files they stand for, in place; no file that is missing or not sound."""
    words[:] = with_presets(words)
    configs = config_paths(words)
    if name in COMMANDS:
        _require_files(COMMANDS[name].named_files(words[1:]))
        _require_files(path for path in configs if path.endswith((".yaml", ".yml")))
    require_sound(configs)


def _require_files(paths: Iterable[str]) -> None:
    for path in paths:
        if "://" not in path and path != WEBCAM and not Path(path).exists():
            raise ValueError(
                f"{path}: no such file; check the path, or give an address such as http://..."
            )


def _values(parser: ArgumentParser, chosen: Namespace) -> Values:
    """The chosen command's values, classes made."""
    given = chosen[chosen.command].get("sampling")
    if isinstance(given, bool | int | float | str):  # which the parser lets pass as flags
        raise ValueError(f"sampling must give its settings by name, such as fps: 1.0, got {given}")
    return parser.instantiate(chosen)[chosen.command].as_dict()


def _told(error: Exception) -> str:
    told = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError):
        return f"{told}; commands need more packages: pip install 'crossframe[experiments]'"
    return told


if __name__ == "__main__":
    sys.exit(main())
