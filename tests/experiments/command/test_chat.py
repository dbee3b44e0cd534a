"""A conversation on the terminal: typed at any time, answered between frames, ended by Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from select import select

import pytest
from rich.console import Console

from crossframe.experiments.command.chat import Conversation, converse
from crossframe.experiments.command.cli import main
from crossframe.experiments.command.opening import Opening
from crossframe.experiments.command.questions import Answering
from crossframe.experiments.command.terminal import Lines, StatusLine
from crossframe.experiments.reports.text import printable
from crossframe.experiments.streaming.frames import VideoFrames
from crossframe.experiments.streaming.options import StreamOptions
from crossframe.framework import VideoModel, VideoSession
from crossframe.framework.video import stream_video
from crossframe.methods import StateKVMemory
from crossframe.models import load_model

from ...framework.video.serving import serving

MEMORY = StateKVMemory(16)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> VideoModel:
    return load_model(checkpoint)


@pytest.fixture
def typed() -> Iterator[Callable[[str], Lines]]:
    """Lines as somebody typed them, without an end where the text has none (a tilde)."""
    ends: list[int] = []

    def type_in(text: str) -> Lines:
        read, write = os.pipe()
        os.write(write, text.rstrip("~").encode())
        ends.append(read)
        ends.append(write) if text.endswith("~") else os.close(write)
        return Lines(read)

    yield type_in
    for end in reversed(ends):
        os.close(end)


def after(model: VideoModel, video: Path, count: int) -> VideoSession:
    session = VideoSession(model, MEMORY)
    for image, when in list(stream_video(video))[:count]:
        session.push(image, when)
    return session


def talk(
    model: VideoModel, video: Path | None, lines: Lines, **options: object
) -> tuple[Conversation, str, str]:
    """A whole conversation, its answers, and what is told beside them."""
    stream, out, told = StreamOptions(), StringIO(), StringIO()
    media = None if video is None else VideoFrames(video, stream)
    given = {"answering": Answering(5), "console": Console(file=told, width=300), "out": out}
    opening = Opening(stream, MEMORY, load=options.pop("load", None))  # type: ignore[arg-type]
    done = converse(model, opening, media, lines, **given, **options)  # type: ignore[arg-type]
    return done, out.getvalue(), told.getvalue()


def test_what_is_typed_is_answered_between_frames_with_the_turns_before_it(
    model: VideoModel, video: Path, typed: Callable[[str], Lines]
) -> None:
    lines = typed("What?\n\n Who? \n")
    while lines._lines.qsize() < 4:  # three lines and their end
        time.sleep(0.01)
    done, out, told = talk(model, video, lines)
    expected = after(model, video, 1).chat()
    answers = [expected.ask(text, max_new_tokens=5).text for text in ("What?", "Who?")]
    assert out == "".join(f"{printable(text)}\n" for text in answers)
    assert done.chat.messages == expected.messages
    assert done.session.cursor == after(model, video, 6).cursor
    assert "6 frames," in told


def test_an_empty_line_is_followed_by_another_to_type_in(
    model: VideoModel, typed: Callable[[str], Lines]
) -> None:
    told, session = StringIO(), VideoSession(model, MEMORY)
    console = Console(file=told, force_terminal=True)
    given = {"answering": Answering(5), "console": console, "out": StringIO()}
    Conversation(session, typed("\n"), **given).answer_until(None)
    assert told.getvalue().count("\n> ") == 1


def test_a_question_that_cannot_be_asked_ends_nothing(
    model: VideoModel, video: Path, typed: Callable[[str], Lines]
) -> None:
    done, out, told = talk(model, video, typed("<IMG_CONTEXT>\nWhat?\n"))
    assert "error: the question contains <IMG_CONTEXT>, which stands for pictures" in told
    assert out.count("\n") >= 1
    assert len(done.chat.messages) == 2


def test_an_interrupt_ends_it_cleanly_and_saves(
    model: VideoModel,
    video: Path,
    typed: Callable[[str], Lines],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push, file = VideoSession.push, tmp_path / "kept"

    def interrupted(self: VideoSession, *given: object, **options: object) -> object:
        if self.cursor.frames == 3:
            raise KeyboardInterrupt
        return push(self, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(VideoSession, "push", interrupted)
    talk(model, video, typed("~"), save=str(file))
    monkeypatch.undo()
    assert VideoSession.load(file, model).cursor == after(model, video, 3).cursor
    _, out, _ = talk(model, None, typed("What?\n"), load=str(file))
    assert out == printable(after(model, video, 3).ask("What?", max_new_tokens=5).text) + "\n"


def test_real_time_lets_no_frame_pass_before_its_time(
    model: VideoModel, make_video: Callable[..., Path], typed: Callable[[str], Lines]
) -> None:
    began = time.monotonic()
    done, _, _ = talk(model, make_video("short.mp4", 3), typed(""), realtime=True)
    assert time.monotonic() - began >= 2.0
    assert done.frames == 3


def test_the_status_is_rewritten_above_what_is_typed() -> None:
    out = StringIO()
    line = StatusLine(Console(file=out, force_terminal=True))
    line.open("one")
    line.show("two")
    line.close()
    assert out.getvalue() == "one\n> \x1b7\x1b[1A\r\x1b[2Ktwo\x1b8\n"
    quiet = StringIO()
    StatusLine(Console(file=quiet)).open("one")
    assert quiet.getvalue() == ""


def test_lines_come_when_they_are_whole() -> None:
    read, write = os.pipe()
    lines = Lines(read)
    os.write(write, b"one\ntw")
    assert lines.next(5) == "one"
    assert (lines.next(0.05), lines.over) == (None, False)
    os.write(write, b"o\nthr\xffee")
    os.close(write)
    assert [lines.next(5) for _ in range(3)] == ["two", "thr\ufffdee", None]
    assert (lines.over, lines.next(None)) == (True, None)
    os.close(read)


def test_no_video_and_no_session_is_told(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "-", "--model", str(checkpoint)]) == 2
    assert "- stands for no video: load a session" in capsys.readouterr().err


def test_an_archive_that_will_not_fit_is_refused_before_the_first_frame(
    model: VideoModel,
    video: Path,
    typed: Callable[[str], Lines],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[object] = []
    monkeypatch.setattr(VideoSession, "push", lambda *given: passed.append(given))
    monkeypatch.setattr("crossframe.framework.archives.room.free_bytes", lambda place: 0)
    with pytest.raises(ValueError, match="GB are free: keep it packed"):
        talk(model, video, typed("What moves?\n"))
    assert not passed


@pytest.mark.parametrize("streamed", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_a_real_terminal(streamed: bool, video: Path, checkpoint: Path, tmp_path: Path) -> None:
    """What is typed is answered, the status is shown, Ctrl-C saves and ends with status 0; of a
    file and of a stream of this machine."""
    with serving(video.parent) as address:
        source = f"{address}/{video.name}" if streamed else str(video)
        _talk_on_a_terminal(source, checkpoint, tmp_path / "kept")


def _talk_on_a_terminal(source: str, checkpoint: Path, file: Path) -> None:
    words = ["chat", source, "--model", str(checkpoint), "--max-new-tokens", "3"]
    child, screen = pty.fork()
    if child == 0:
        # A shell lets what it starts in the background ignore interrupts.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        environment = {**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "crossframe", *words, "--save", str(file)]
        os.execve(sys.executable, command, environment)
    seen = _until(screen, "6 frames; state")
    os.write(screen, b"What?\n")
    seen += _until(screen, "\n> ")
    os.write(screen, b"\x03")
    seen += _until(screen, "(medians)")
    _, status = os.waitpid(child, 0)
    os.close(screen)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert "Traceback" not in seen
    assert "ms per frame" in seen
    assert f"Saved: {file}" in seen
    assert file.is_file()


def _until(screen: int, text: str, seconds: float = 120.0) -> str:
    """What a terminal shows until a text has come."""
    seen, end = b"", time.monotonic() + seconds
    while text.encode() not in seen.replace(b"\r", b""):
        assert time.monotonic() < end, seen
        if select([screen], [], [], 1.0)[0]:
            try:
                seen += os.read(screen, 4096)
            except OSError:  # the command has ended
                break
    return seen.decode("utf-8", "replace")
