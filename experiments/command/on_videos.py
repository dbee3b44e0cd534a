"""Commands that stream videos through a model: what each does with its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console

from ...framework import VideoModel
from ..comparison.report import Report, report_folder
from ..comparison.result import Comparison
from ..comparison.run import Choices, compare
from ..comparison.table import print_grid, print_results
from ..demo import settings as demo
from ..demo.clip import video_path
from ..observation.stream import ObserveOptions
from ..streaming.environment import environment, one_thread
from ..streaming.media import open_media
from ..streaming.options import ModelOptions, StreamOptions
from ..streaming.rule_text import (
    MemoryDefaults,
    archive_from,
    memories_from,
    memory_from,
    reader_from,
    require_distinct,
)
from .arguments import options_from
from .console import load, messages, tell

Values = Mapping[str, Any]


def run_compare(values: Values) -> None:
    """Several memories on one video."""
    stream = options_from(StreamOptions, values)
    choices = _choices(values)
    media = open_media(values["video"], stream)
    report_folder(values["report"])
    model = load(options_from(ModelOptions, values))
    question = values["question"]
    done = compare(model, choices, media, question, stream=stream, console=messages())
    _report(done, model, values)


def _choices(values: Values) -> Choices:
    for name in ("readers", "archives"):
        require_distinct(name, values[name])
    if values["simple_stream_images"] and values["simple_stream"] is None:
        raise ValueError("--simple-stream-images: say of how many frames with --simple-stream")
    return Choices(
        memories_from(values["memories"], options_from(MemoryDefaults, values)),
        {spec: reader_from(spec) for spec in values["readers"]},
        {spec: archive_from(spec) for spec in values["archives"]},
        values["simple_stream"],
        values["simple_stream_images"],
    )


def run_demo(values: Values) -> None:
    """The main memories on the bundled video, or on one's own, by a tiny trained model."""
    report_folder(values["report"])
    with one_thread():
        if values["video"] is None and values["question"] is None:
            _bundled_demo(values["report"])
        else:
            _own_demo(values)


def _bundled_demo(folder: str | None) -> None:
    from ..demo.report import demo_report, print_demo
    from ..demo.run import run_demo

    console, model = Console(), load(demo.MODEL)
    report = demo_report(run_demo(model, messages()), model)
    print_demo(report, console)
    if folder:
        tell(report.write(folder), console)


def _own_demo(values: Values) -> None:
    video, stream = values["video"] or str(video_path()), demo.STREAM
    media = open_media(video, stream)
    model = load(demo.MODEL)
    defaults = demo.equal_budgets(model)
    choices, question = (
        Choices(memories_from(demo.MEMORIES, defaults)),
        values["question"] or demo.QUESTION,
    )
    done = compare(model, choices, media, question, stream=stream, console=messages())
    settings = {"model": demo.MODEL.model, **asdict(stream), **asdict(defaults)}
    asked = {"video": video, "question": question}
    _report(done, model, {**values, **asked, **settings}, demo.OWN_VIDEO)


def run_observe(values: Values) -> None:
    """How full attention's mass is spread over videos."""
    from ..observation.run import observe, open_videos

    options, defaults = (
        options_from(ObserveOptions, values),
        options_from(MemoryDefaults, values),
    )
    texts = [text for text in (values["memory"], values["beside"]) if text is not None]
    pictured = [memory_from(text, defaults) for text in texts]
    videos = open_videos(values["videos"], options)
    report_folder(options.output, "--output")
    model = load(options_from(ModelOptions, values))
    settings = {name: value for name, value in values.items() if name not in ("debug", "output")}
    tell(observe(model, videos, pictured, options, settings, messages()), Console())


def _report(comparison: Comparison, model: VideoModel, values: Values, note: str = "") -> None:
    """Print the results and write the report, if one is wanted."""
    console = Console()
    rows, left_out = comparison.rows(), comparison.left_out
    print_results(rows, console, note, left_out)
    print_grid(rows, console)
    if values["report"]:
        config = {name: value for name, value in values.items() if name not in ("debug", "report")}
        report = Report(rows, comparison.step_rows(), config, environment(model), note, left_out)
        tell(report.write(values["report"]), console)
