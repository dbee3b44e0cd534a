"""One small run of the demo for all tests of it."""

import pytest
from rich.console import Console

from crossframe.experiments.demo.report import DemoReport, demo_report
from crossframe.experiments.demo.run import Demo, run_demo
from crossframe.experiments.demo.settings import MODEL
from crossframe.framework import VideoModel


@pytest.fixture(scope="session")
def model() -> VideoModel:
    return MODEL.load()


@pytest.fixture(scope="session")
def demo(model: VideoModel) -> Demo:
    return run_demo(model, Console(quiet=True), further=3)


@pytest.fixture(scope="session")
def report(demo: Demo, model: VideoModel) -> DemoReport:
    return demo_report(demo, model)
