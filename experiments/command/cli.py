"""Ask a video vision-language model about a video, or compare cross-frame memories on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .commands import COMMANDS
from .config_files import config_paths, require_sound, with_presets
from .own_classes import own_classes_importable

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

Values = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 2 after an error of the user's, which is told in one line."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    command, debug = (words or [""])[0], "--debug" in words
    if code := _run(command, lambda: _configured(words), debug):
        return code
    with own_classes_importable(words):
        parser = command_parser()
        chosen = parser.parse_args(words)
        name = str(chosen.command)
        *_, run = COMMANDS[name]
        return _run(name, lambda: run(_values(parser, chosen)), chosen[name].debug)


def command_parser() -> ArgumentParser:
    """The parser of all commands."""
    from .config_parser import ConfigParser

    parser = ConfigParser(prog="crossframe", description=__doc__)
    commands = parser.add_subcommands(dest="command")
    for name, (usage, summary, add, _) in COMMANDS.items():
        usage = f"crossframe {name} {usage} [--option VALUE ...]"
        command = ConfigParser(usage=usage, description=summary, print_config="--print-config")
        add(command)
        debug = "show where an error comes from"
        command.add_argument("--debug", action="store_true", help=debug)
        commands.add_subcommand(name, command, help=summary)
    return parser


def _configured(words: list[str]) -> None:
    """Presets as the files they stand for, in place; no file that is not sound."""
    words[:] = with_presets(words)
    require_sound(config_paths(words))


def _values(parser: ArgumentParser, chosen: Namespace) -> Values:
    """The chosen command's values, classes made."""
    given = chosen[chosen.command].get("sampling")
    if isinstance(given, bool | int | float | str):  # which the parser lets pass as flags
        raise ValueError(f"sampling must give its settings by name, such as fps: 1.0, got {given}")
    return parser.instantiate(chosen)[chosen.command].as_dict()


def _run(name: str, command: Callable[[], None], debug: bool) -> int:
    try:
        command()
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f"crossframe {name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"crossframe {name}: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
