"""`crossframe pretrain` from its words to a scored checkpoint, and the commands that pages show."""

import json
import re
import shlex
from pathlib import Path

import pytest

from crossframe.experiments.command.arguments import options_from
from crossframe.experiments.command.cli import command_parser, main
from crossframe.experiments.pretraining.options import LessonOptions, PretrainOptions
from crossframe.framework import FullMemory, VideoSession
from crossframe.models import load_model

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pretrain.md"
SMALL = (
    "--family eagle2_5 --steps 2 --vision-steps 2 --max-frames 4 --frames-per-step 8 --stills 8 "
    "--score-videos 2 --scene [1,2]"
)


def test_words_become_a_scored_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", *SMALL.split(), "--output", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr()
    card = tmp_path / "README.md"
    assert shown.out == f"Report: {card}\n"
    assert "vision: step 2 of 2, loss" in shown.err
    assert "decoder: step 2 of 2, loss" in shown.err
    scores = json.loads((tmp_path / "scores.json").read_text("utf-8"))
    assert "part=2" in scores["course"]
    assert list(scores["by_frames"]) == ["2", "4", "8", "16"]
    text = card.read_text("utf-8")
    assert "part=0" in text
    assert "--family eagle2_5" in text
    assert "--scene '[1,2]'" in text
    assert "--tasks" not in text
    session = VideoSession(load_model(tmp_path, device="cpu"), FullMemory())
    course = LessonOptions().course("eagle2_5", part=1)
    session.push(course.lesson(0, 4).frames)
    assert session.ask("what colour is it ?", max_new_tokens=1).text


def test_a_wrong_setting_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", "--family", "llava", "--output", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("crossframe pretrain: error: pretrain: family must be one of")
    assert told.count("\n") == 1


def test_the_commands_of_the_page_are_understood() -> None:
    page = PAGE.read_text("utf-8").replace("\\\n", " ")
    commands = re.findall(r"^crossframe (pretrain .*)$", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        parser = command_parser()
        values = parser.instantiate(parser.parse_args(shlex.split(command)))["pretrain"].as_dict()
        assert options_from(PretrainOptions, values).output.parent == Path("runs")
        assert options_from(LessonOptions, values).course("qwen3_vl", part=0).later.every == 2
