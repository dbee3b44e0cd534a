"""The command `testbed`: a folder of generated videos and questions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..streaming.frames import progress_bar
from ..testbed.folder import ACCOUNT, write_folder
from ..testbed.options import FolderOptions
from ..testbed.setting import Setting
from ..testbed.tasks import TASKS
from .arguments import options_from
from .console import messages

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def add_testbed(parser: ArgumentParser) -> None:
    """A folder, what it holds, and how its clips are drawn."""
    parser.add_argument("output", type=str, help="a folder that does not exist yet, or is empty")
    kinds = f"one or more of {', '.join(TASKS)}, each with its knobs, such as needle:delay=8-16"
    parser.add_argument(
        "--tasks", nargs="+", type=str, default=list(FolderOptions.tasks), help=kinds
    )
    turned = "give each question once per rotation of its options: liking a letter gains nothing"
    parser.add_argument("--circular", action="store_true", help=turned)
    parser.add_class_arguments(FolderOptions, skip={"tasks", "circular"})
    parser.add_class_arguments(Setting, skip={"stage"})


def run_testbed(values: Mapping[str, Any]) -> None:
    """Videos, annotations and the sealed account."""
    options = options_from(FolderOptions, {**values, "tasks": tuple(values["tasks"])})
    setting = options_from(Setting, {**values, "stage": Setting.stage})
    output = Path(values["output"])
    with progress_bar(messages()) as bar:
        task = bar.add_task("clips", total=options.clips)
        for written in write_folder(output, setting, options):
            bar.update(task, completed=written)
    where = f"Benchmark: {output} (layout {options.layout}, account in {ACCOUNT})"
    Console().print(where, markup=False, highlight=False, soft_wrap=True)
