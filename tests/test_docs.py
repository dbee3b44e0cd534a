"""What the documentation shows is run: doctests of the installed modules, code of the pages."""

import doctest
import importlib
import pkgutil
import re
import runpy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("framework", "methods", "models", "experiments")
PAGES = [path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if path.exists()]

# Modules that only an extra outside requirements.lock can import.
NEEDS_UNLOCKED = {"crossframe.experiments.lmms_plugin.model": ("lmms_eval",)}

# A ```python fence, with the comment right before it if there is one.
FENCE = re.compile(
    r"(?:<!--\s*(?P<note>[^>]*?)\s*-->[ \t]*\n+)?"
    r"^```python[^\n]*\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One python block of a page; `note` is the HTML comment right before it."""

    name: str
    line: int  # of its first line of code
    code: str
    note: str = ""


def blocks(text: str, page: str) -> list[Block]:
    """The python blocks of a page.

    A block marked `<!-- continues -->` runs after the ones before it, in one namespace; every
    other block starts afresh.
    """
    found: list[Block] = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        note = match["note"] or ""
        code = "\n" * (line - 1) + match["code"]  # errors name the line of the page
        if note == "continues" and found:
            earlier = found[-1].code
            code = earlier + code[earlier.count("\n") :]
        found.append(Block(f"{page}:{line}", line, code, note))
    return found


def page_blocks() -> Iterator[Block]:
    """Of all pages; of blocks that continue each other the last, which runs those before it."""
    for path in PAGES:
        yield from ends(blocks(path.read_text("utf-8"), str(path.relative_to(ROOT))))


def ends(found: Sequence[Block]) -> Iterator[Block]:
    """Blocks that none of the others continues."""
    for block, following in zip_longest(found, found[1:]):
        if following is None or following.note != "continues":
            yield block


def installed_modules() -> Iterator[str]:
    """Names of all modules of `crossframe`, as installed, without importing them."""
    pending = [(f"crossframe.{room}", ROOT / room) for room in ROOMS]
    while pending:
        package, folder = pending.pop()
        yield package
        for module in pkgutil.iter_modules([str(folder)]):
            name = f"{package}.{module.name}"
            if module.ispkg:
                pending.append((name, folder / module.name))
            elif module.name != "__main__":
                yield name


@pytest.mark.parametrize("name", sorted(installed_modules()))
def test_doctests(name: str) -> None:
    for extra in NEEDS_UNLOCKED.get(name, ()):
        pytest.importorskip(extra, reason=f"{name} needs {extra}, which is not in the lock")
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("block", list(page_blocks()), ids=lambda block: block.name)
def test_page_code(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs beside a short video called `video.mp4`, the bundled one."""
    if block.note.startswith("not run"):
        pytest.skip(f"{block.name}: {block.note}")
    for video in sorted(ROOT.glob("experiments/assets/*.mp4"))[:1]:
        (tmp_path / "video.mp4").symlink_to(video)
    script = tmp_path / "block.py"
    script.write_text(block.code, "utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="page_block")


# The finder of blocks itself

PAGE = """# Title

```python
first = 1
```

<!-- continues -->
```python
second = first + 1
```

<!-- not run: needs weights -->

```python
third = load()
```

```bash
make test
```

<!-- a remark -->
Some text.
```python
fourth = 4
```
"""


def test_blocks_are_found_with_notes_and_lines() -> None:
    found = blocks(PAGE, "page.md")
    assert [block.name for block in found] == [f"page.md:{line}" for line in (4, 9, 15, 25)]
    assert [block.note for block in found] == ["", "continues", "not run: needs weights", ""]


def test_of_blocks_that_continue_each_other_the_last_is_run() -> None:
    assert [block.line for block in ends(blocks(PAGE, "page.md"))] == [9, 15, 25]


def test_a_continued_block_sees_what_came_before_and_keeps_its_line() -> None:
    _, continued, _, fourth = blocks(PAGE, "page.md")
    assert continued.code.splitlines()[continued.line - 1] == "second = first + 1"
    assert "first = 1" in continued.code.splitlines()
    assert "first" not in fourth.code
