"""Questions on the terminal: each at its time, about what was saved, and what is said besides."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from crossframe.experiments.command.ask import ask
from crossframe.experiments.command.cli import main
from crossframe.experiments.command.opening import Opening
from crossframe.experiments.command.questions import Answering, Question
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.experiments.reports.text import printable
from crossframe.experiments.streaming.frames import VideoFrames
from crossframe.experiments.streaming.options import StreamOptions
from crossframe.framework import VideoSession
from crossframe.framework.video import stream_video
from crossframe.methods import StateKVMemory
from crossframe.models import load_model

from ...framework.video.serving import serving

Output = pytest.CaptureFixture[str]
OPTIONS = ["--memory", "statekv(16)", "--max-new-tokens", "6", "--model"]


def told(words: list[str], checkpoint: Path, capsys: Output) -> str:
    """What a run that ends well says on standard output."""
    done = main(["ask", *words, *OPTIONS, str(checkpoint)])
    said = capsys.readouterr()
    assert done == 0, said.err
    return said.out


def refused(words: list[str], checkpoint: Path, capsys: Output) -> str:
    """The last line of a run that is refused."""
    assert main(["ask", *words, *OPTIONS, str(checkpoint)]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def answers(told: str) -> list[tuple[str, str]]:
    """Headings and what stands under them."""
    lines = told.splitlines()
    return list(zip(lines[::2], lines[1::2], strict=True))


def test_nan_inside_the_model_is_told_beside_the_answer(video: Path, checkpoint: Path) -> None:
    model, stream = load_model(checkpoint), StreamOptions()
    for weight in (1.0, float("nan")):
        with torch.no_grad():
            model.decoder.layers[1].mlp.down_proj.weight[0, 0] = weight
        told, frames = StringIO(), VideoFrames(video, stream)
        opening, answering = Opening(stream, StateKVMemory(16)), Answering(4)
        out = {"console": Console(file=told, width=500), "out": StringIO()}
        ask(model, opening, frames, [Question("What?")], answering=answering, **out)
        assert ("WARNING: the model computed NaN or Inf" in told.getvalue()) is (weight != 1.0)


@pytest.mark.parametrize("step", ["1", "4"])
def test_each_question_is_answered_as_if_the_video_ended_then(
    step: str, video: Path, checkpoint: Path, capsys: Output
) -> None:
    timed = ["--at", "3.5", "Who?", "--at", "0", "Where?", "--at", "3.5", "Why?"]
    sampled = ["--temperature", "5", "--frames-per-step", step]
    got = answers(told([str(video), *timed, *sampled, "What?", "Who?"], checkpoint, capsys))
    model, expected = load_model(checkpoint), []
    for at, question in ((0, "Where?"), (3.5, "Who?"), (3.5, "Why?"), (9, "What?"), (9, "Who?")):
        session = VideoSession(model, StateKVMemory(16), frames_per_step=int(step))
        seen = [frame for frame in stream_video(video) if frame[1] <= at]
        images, times = zip(*seen, strict=True)
        for first in range(0, len(seen), int(step)):
            last = first + int(step)
            session.push(images[first:last], list(times[first:last]))
        torch.manual_seed(0)
        answer = session.ask(question, max_new_tokens=6, do_sample=True, temperature=5.0)
        when = "end" if at == 9 else f"{at:g} s"
        expected.append((f"[{when}] {question}", printable(answer.text)))
    assert got == expected


def test_a_stream_is_pushed_once_however_many_questions(
    video: Path, checkpoint: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    push, pushed = VideoSession.push, []

    def counted(self: VideoSession, frames: list[object], *rest: object) -> object:
        pushed.append(len(frames))
        return push(self, frames, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(VideoSession, "push", counted)
    told([str(video), "--at", "1", "a", "--at", "2", "b", "c"], checkpoint, capsys)
    assert pushed == [1] * 6


def test_questions_of_a_text_have_numbers_of_frames_as_times(
    reader: object, tmp_path: Path, capsys: Output
) -> None:
    del reader
    text = tmp_path / "notes.txt"
    text.write_text("The river rose to the door. " * 20, "utf-8")
    got = answers(told([str(text), "--at", "0", "Who?", "What?"], tmp_path, capsys))
    assert [heading for heading, _ in got] == ["[0 s] Who?", "[end] What?"]
    assert "seconds; ask then" in refused([str(text), "--at", "999", "Who?"], tmp_path, capsys)


def test_a_saved_session_is_asked_and_goes_on(
    video: Path,
    make_video: Callable[..., Path],
    checkpoint: Path,
    tmp_path: Path,
    capsys: Output,
) -> None:
    file, further = tmp_path / "one.session", make_video("further.mp4", 4)
    both = ["What?", "--at", "2", "Who?"]
    assert told([str(video), "--save", str(file)], checkpoint, capsys) == ""
    asked = told(["-", "What?", "--load", str(file)], checkpoint, capsys)
    assert asked == told([str(video), "What?"], checkpoint, capsys)

    again = tmp_path / "two.session"
    words = [str(further), *both, "--load", str(file), "--save", str(again)]
    got = answers(told(words, checkpoint, capsys))
    model = load_model(checkpoint)
    session, then = VideoSession(model, StateKVMemory(16)), None
    for image, time in stream_video(video):
        session.push(image, time)
    for image, time in stream_video(further):
        session.push(image, time + 6.0)  # one second after the last of six frames
        if time == 2.0:
            then = session.ask("Who?", max_new_tokens=6).text
    assert then is not None
    now = session.ask("What?", max_new_tokens=6).text
    assert got == [("[2 s] Who?", printable(then)), ("[end] What?", printable(now))]
    loaded = VideoSession.load(again, model)
    assert loaded.state.latest == 9.0
    assert loaded.ask("What?", max_new_tokens=6).text == now


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "there is nothing to answer: write a question behind the video"),
        (["--at", "7", "Who?"], "--at 7 'Who?': VIDEO goes from 0 to 6 seconds; ask then, or at"),
        (["--at", "soon", "Who?"], "--at 'soon' 'Who?': write the seconds of the video and then"),
        (["--at", "-1", "Who?"], "--at '-1' 'Who?': write the seconds of the video and then"),
        (["--at", "nan", "Who?"], "--at 'nan' 'Who?': write the seconds of the video and then"),
        (["Who?", "--load", "gone"], "--load gone: no such file; give what --save wrote"),
        (["--save", "no/such/file"], "'no/such/file' cannot be written, there is no such folder"),
        (["Who?", "--load", "VIDEO"], "is not a complete safetensors file"),
        (["Who?", "--load", "VIDEO", "--system", "Hm."], "--system 'Hm.': the system turn of"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(
    words: list[str], named: str, video: Path, checkpoint: Path, capsys: Output
) -> None:
    words = [word.replace("VIDEO", str(video)) for word in words]
    error = refused([str(video), *words], checkpoint, capsys)
    assert named.replace("VIDEO", str(video)) in error


def test_asking_without_a_video_takes_a_session_and_no_times(
    checkpoint: Path, video: Path, capsys: Output
) -> None:
    error = refused(["-", "Who?"], checkpoint, capsys)
    assert error.endswith("- stands for no video: load a session with --load FILE, or name one")
    error = refused(["-", "--at", "3", "Who?", "--load", str(video)], checkpoint, capsys)
    assert error.endswith("--at 3 'Who?': no video passes, so ask without --at")


def test_a_session_of_another_model_or_other_settings_is_refused(
    video: Path, checkpoint: Path, tmp_path: Path, capsys: Output
) -> None:
    file = tmp_path / "saved"
    told([str(video), "--save", str(file), "--frames-per-step", "2"], checkpoint, capsys)
    error = refused(
        ["-", "Who?", "--load", str(file), "--frames-per-step", "3"], checkpoint, capsys
    )
    assert error.endswith(
        f"--frames-per-step 3: {file} was saved with 2, which a session keeps; leave the option out"
    )
    other = save_tiny_checkpoint(tmp_path / "other", "qwen3_vl")
    error = refused(["-", "Who?", "--load", str(file)], other, capsys)
    assert "this model is" in error
    assert error.endswith("load it with the model it was made with")


def test_addresses_folders_and_parts_are_asked_as_the_file_is(
    video: Path, checkpoint: Path, tmp_path: Path, capsys: Output
) -> None:
    part = ["--at", "3", "Who?", "What?", "--start", "2", "--end", "5"]
    expected = told([str(video), *part], checkpoint, capsys)
    with serving(video.parent) as address:
        assert told([f"{address}/{video.name}", *part], checkpoint, capsys) == expected
    for number, (image, _) in enumerate(stream_video(video, fps=None)):
        Image.fromarray(image.numpy()).save(tmp_path / f"{number}.png")
    assert told([str(tmp_path), *part, "--rate", "1"], checkpoint, capsys) == expected

    file = tmp_path / "half.session"
    told([str(video), "--end", "3", "--save", str(file)], checkpoint, capsys)
    rest = told([str(video), "--start", "3", "--load", str(file), "What?"], checkpoint, capsys)
    assert rest == told([str(video), "What?"], checkpoint, capsys)


def test_a_part_is_asked_within_and_an_address_that_is_none_is_told(
    video: Path, checkpoint: Path, capsys: Output
) -> None:
    error = refused([str(video), "--at", "1", "Who?", "--start", "2"], checkpoint, capsys)
    assert "goes from 2 to 6 seconds; ask then" in error
    error = refused(["http://127.0.0.1:9/a.mp4", "Who?"], checkpoint, capsys)
    assert "http://127.0.0.1:9/a.mp4: cannot be opened (" in error


def test_a_text_has_no_part(checkpoint: Path, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "notes.txt").write_text("words", "utf-8")
    error = refused([str(tmp_path / "notes.txt"), "Who?", "--start", "2"], checkpoint, capsys)
    assert error.endswith("notes.txt: start is 2.0; leave it out, a text has no seconds")


def test_an_archive_that_will_not_fit_is_refused_before_the_first_frame(
    video: Path, checkpoint: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[object] = []
    monkeypatch.setattr(VideoSession, "push", lambda *given: passed.append(given))
    monkeypatch.setattr("crossframe.framework.archives.room.free_bytes", lambda place: 1000)
    said = refused([str(video), "What moves?"], checkpoint, capsys)
    assert "GB of cpu, where 0.0 GB are free: keep it packed (Int8Archive" in said
    assert not passed
