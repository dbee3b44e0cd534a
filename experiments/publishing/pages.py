"""Generated parts of README and docs: tables between two marker lines, made from result files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def measured_on(result: Mapping[str, Any]) -> str:
    """The environment of a result in one sentence."""
    stamp = result["environment"]
    load = f" (load average {stamp['load']:g})" if "load" in stamp else ""
    gpu = f"{stamp['gpu']} beside " if stamp.get("gpu") else ""
    return (
        f"Measured on {gpu}{stamp['cpu']}, {stamp['threads']} thread(s) on {stamp['cores']} cores"
        f"{load}, torch {stamp['torch']}, transformers {stamp['transformers']}, {stamp['dtype']}, "
        f"commit {stamp['commit']}."
    )


def section(name: str, body: str) -> str:
    """The body between its markers, as it stands on the page."""
    return f"<!-- generated: {name} -->\n\n{body}\n\n<!-- end of generated: {name} -->"


def renew(page: Path, name: str, body: str) -> None:
    """Put a new body between the markers of a page.

    Raises:
        ValueError: if the page has no such markers.
    """
    begin, end = f"<!-- generated: {name} -->", f"<!-- end of generated: {name} -->"
    before, opened, rest = page.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{page} has no place for {name}: add the lines {begin} and {end}")
    page.write_text(before + section(name, body) + after, "utf-8")
