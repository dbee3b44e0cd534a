"""A chat template tried in a process of its own, where it can neither loop nor grow without end.

Run as a file, with what to render as JSON on its standard input; imports nothing of the project.
"""

import json
import re
import sys

from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 2  # of the processor; a template takes milliseconds
BYTES = 2**30
GENERATION = re.compile(r"\{%[-+]?\s*(end)?generation\s*[-+]?%\}")
LOOP_CONTROLS: list[str | type[Extension]] = ["jinja2.ext.loopcontrols"]


def limit() -> None:
    """Bound this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the caller's clock alone
        return
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))


def longest(template: str, chats: list[list[dict[str, object]]], names: dict[str, str]) -> int:
    """Characters of the longest prompt; 0 where the template refuses every chat."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=LOOP_CONTROLS
    )
    environment.filters["tojson"] = json.dumps
    return max(_length(environment, GENERATION.sub("", template), chat, names) for chat in chats)


def _length(
    environment: ImmutableSandboxedEnvironment,
    template: str,
    chat: list[dict[str, object]],
    names: dict[str, str],
) -> int:
    try:
        compiled = environment.from_string(template)
        return len(compiled.render(messages=chat, add_generation_prompt=True, **names))
    except (MemoryError, OverflowError):
        raise
    except Exception:  # noqa: BLE001 - the caller renders it again, and tells
        return 0


def main() -> int:
    """0 with the length on standard output, 1 where the limits were met."""
    limit()
    try:
        sys.stdout.write(str(longest(**json.load(sys.stdin))))
    except (MemoryError, OverflowError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
