"""One page per memory, reader and archive in docs/methods/, made from the docstrings.

python -m crossframe.experiments.publishing.method_pages
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

from jsonargparse import auto_cli

from ... import framework, methods
from ...framework import Archive, CrossFrameMemory, Reader, WrappedMemory
from ...framework.as_data import public_home

SECTIONS = {
    "Rule": "Rule",
    "Source": "Source",
    "Paper": "Paper",
    "Args": "Settings",
    "Raises": "Errors",
    "Cost per frame": "Cost per frame",
    "Cost per question": "Cost per question",
    "Bytes held": "Bytes held",
    "Bytes read": "Bytes read",
}
ARCHIVES = ("PlainArchive", "CPUArchive", "DiskArchive", "Int8Archive", "Int4Archive", "NoArchive")
_HEADING = re.compile(r"^([A-Z][A-Za-z0-9' ]{2,48}):(?:\s|$)")

_OPEN_HEADINGS = ("Differences from ", "Cost per ")
# A second heading in one paragraph gets a line of its own.
_INLINE = re.compile(r"(?<=[.;])\s+(Bytes held|Bytes read|Cost per question):")


def pages() -> dict[str, str]:
    """Every page by its file name, the index among them."""
    return {"README.md": index(documented()), **{_file_name(k): page(k) for k in documented()}}


def documented() -> list[type]:
    """The classes that have a page."""
    rules = [kind for kind in vars(methods).values() if isinstance(kind, type)]
    return [*rules, *(getattr(framework, name) for name in ARCHIVES)]


def index(kinds: Sequence[type]) -> str:
    """A table per kind of rule."""
    parts = ["# Every rule, from its docstring", "Generated; edit the docstrings instead."]
    for title in ("Memories", "Around any memory", "Readers", "Archives", "Baselines"):
        lines = [
            f"| [`{kind.__name__}`]({_file_name(kind)}) | {_summary(kind)} |"
            for kind in kinds
            if _group(kind) == title
        ]
        if lines:
            parts += [f"## {title}", "\n".join(["| class | idea |", "| --- | --- |", *lines])]
    return "\n\n".join(parts) + "\n"


def page(kind: type) -> str:
    """A class: idea, settings and the sections of the docstring."""
    where = f"{kind.__module__.removeprefix('crossframe.').replace('.', '/')}.py"
    return "\n\n".join([*_about(kind), f"Source: [`{where}`](../../{where})"]) + "\n"


def _about(kind: type) -> list[str]:
    parts = [f"# {kind.__name__}", f"```text\n{_call(kind)}\n```"]
    for heading, text in _parts(inspect.cleandoc(kind.__doc__ or "")):
        parts.append(f"**{SECTIONS.get(heading, heading)}.**{text}" if heading else text)
    return parts


def _group(kind: type) -> str:
    if issubclass(kind, WrappedMemory):
        return "Around any memory"
    if issubclass(kind, CrossFrameMemory):
        return "Memories"
    if issubclass(kind, Reader):
        return "Readers"
    return "Archives" if issubclass(kind, Archive) else "Baselines"


def _call(kind: type) -> str:
    """The constructor with its defaults."""
    shown = [_setting(kind, setting) for setting in inspect.signature(kind).parameters.values()]
    return f"{'.'.join(public_home(kind))}({', '.join(shown)})"


def _setting(kind: type, setting: inspect.Parameter) -> str:
    if setting.default is inspect.Parameter.empty:
        return setting.name
    default = setting.default
    if is_dataclass(kind):
        # The signature shows a factory, not what it makes.
        made = next(f.default_factory for f in fields(kind) if f.name == setting.name)
        default = default if made is MISSING else made()
    return f"{setting.name}={default!r}"


def _summary(kind: type) -> str:
    first = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
    return " ".join(first.split())


def _parts(text: str) -> list[tuple[str, str]]:
    """(heading, Markdown) of a docstring; prose before the first heading has none."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    blank = False
    for line in _INLINE.sub(r"\n\1:", text).splitlines():
        match = _HEADING.match(line)
        listing = sections[-1][0] in ("Args", "Raises")
        if match and (match[1] in SECTIONS or match[1].startswith(_OPEN_HEADINGS)):
            sections.append((match[1], [line[match.end() :]]))
        elif blank and listing and line[:1].strip():
            sections.append(("", [line]))  # prose again, behind a list
        else:
            sections[-1][1].append(line)
        blank = not line
    return [(heading, _body(heading, lines)) for heading, lines in sections if any(lines)]


def _body(heading: str, lines: Sequence[str]) -> str:
    if heading in ("Args", "Raises"):
        return "\n\n" + _entries(inspect.cleandoc("\n".join(lines)).strip())
    paragraphs = "\n".join(lines).strip().split("\n\n")
    text = "\n\n".join(" ".join(part.split()) for part in paragraphs)
    return f" {text[:1].upper()}{text[1:]}" if heading else text


def _entries(text: str) -> str:
    """`name: what` lines, with indented continuations, as a list."""
    items: list[str] = []
    for line in text.splitlines():
        if line and not line.startswith(" ") and ":" in line:
            names, _, what = line.partition(":")
            items.append(f"- `{names}`: {what.strip()}")
        elif items and line.strip():
            items[-1] += f" {line.strip()}"
    return "\n".join(items)


def _file_name(kind: type) -> str:
    return f"{kind.__name__}.md"


def main(root: Path = Path()) -> None:
    """Write all pages, and remove those of classes that are gone.

    Args:
        root: the repository.
    """
    folder = root / "docs" / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for stale in {path.name for path in folder.glob("*.md")} - wanted.keys():
        (folder / stale).unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
