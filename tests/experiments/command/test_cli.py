import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.experiments.command.cli import main
from crossframe.experiments.demo.run import run_demo
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.experiments.reports.text import printable
from crossframe.framework import Int8Archive, VideoSession
from crossframe.framework.video import stream_video
from crossframe.methods import ReadCarried, StateKVMemory
from crossframe.models import load_model
from crossframe.models.chat import ChatDecoder

from ...models.eagle2_5.layout import save_official_eagle2_5

QUESTION = "What moves?"
OWN = """
from dataclasses import dataclass
from crossframe.framework import ScoringMemory

@dataclass(frozen=True)
class OldestMemory(ScoringMemory):
    def score(self, slots):
        return -slots.index
"""

Output = pytest.CaptureFixture[str]


def run(command: str, video: Path, checkpoint: Path, *options: str) -> int:
    model = ["--model", str(checkpoint), "--max-new-tokens", "8"]
    return main([command, str(video), QUESTION, *model, *options])


def test_ask_streams_the_sessions_answer_and_tells_costs(
    video: Path, checkpoint: Path, capsys: Output
) -> None:
    assert run("ask", video, checkpoint, "--memory", "statekv", "--capacity", "16") == 0
    session = VideoSession(load_model(checkpoint), StateKVMemory(16))
    for image, time in stream_video(video):
        session.push(image, time)
    expected = session.ask(QUESTION, max_new_tokens=8).text
    told = capsys.readouterr()
    assert told.out == printable(expected) + "\n"
    costs = " ".join(told.err.split())
    assert f"6 frames, {session.cursor.tokens} tokens" in costs
    assert all(word in costs for word in ("ms decoder", "ms vision", "state", "archive"))


def test_ask_passes_its_options_on(video: Path, checkpoint: Path, capsys: Output) -> None:
    options = ["--fps", "null", "--max-frames", "4", "--frames-per-step", "3", "--dtype", "float64"]
    options += ["--layout", "video_first", "--attention", "plain", "--max-tokens", "2000"]
    assert run("ask", video, checkpoint, "--memory", "window(frames=1)", *options) == 0
    assert "4 frames, 28 tokens" in capsys.readouterr().err


def test_ask_takes_reader_archive_system_turn_and_sampling(
    video: Path, checkpoint: Path, capsys: Output
) -> None:
    options = ["--memory", "statekv(16)", "--reader", "carried", "--archive", "int8"]
    options += ["--system", "Be brief.", "--temperature", "5", "--generation", '{"top_k": 20}']
    told = []
    for seed in ("3", "3", "4"):
        assert run("ask", video, checkpoint, *options, "--seed", seed) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] != told[2]
    model = load_model(checkpoint).for_stream(6, system="Be brief.")
    parts = {"reader": ReadCarried(), "archive": Int8Archive()}
    session = VideoSession(model, StateKVMemory(16), **parts)
    for image, time in stream_video(video):
        session.push(image, time)
    torch.manual_seed(3)
    sampled = {"do_sample": True, "temperature": 5.0, "top_k": 20}
    expected = session.ask(QUESTION, max_new_tokens=8, **sampled).text
    assert told[0] == printable(expected) + "\n"


def test_compare_shares_frames_without_changing_anything(
    video: Path, checkpoint: Path, tmp_path: Path, capsys: Output
) -> None:
    memories = ["statekv(capacity=16)", "window(frames=2)", "drop(ratio=0.5)", "full"]
    folder = tmp_path / "report"
    options = ["--memories", *memories, "--report", str(folder), "--frames-per-step", "2"]
    assert run("compare", video, checkpoint, *options) == 0
    told = capsys.readouterr().out
    assert [name for name in memories if name not in told] == []
    rows = {row["memory"]: row for row in json.loads((folder / "rows.json").read_text())["rows"]}
    assert list(rows) == memories

    alone = VideoSession(load_model(checkpoint), StateKVMemory(16), frames_per_step=2)
    frames = list(stream_video(video))
    alone.push([image for image, _ in frames], [time for _, time in frames])
    ours = rows["statekv(capacity=16)"]
    assert ours["answer"] == alone.ask(QUESTION, max_new_tokens=8).text
    assert ours["decoder_flops"] == sum(cost.flops for cost in alone.costs)
    assert (ours["state_bytes"], ours["archive_bytes"]) == (
        alone.state_bytes,
        alone.archive.bytes_held,
    )


def test_compare_measures_against_full_attention_even_if_not_listed(
    video: Path, checkpoint: Path, tmp_path: Path, capsys: Output
) -> None:
    memories = ["statekv(capacity=None)", "isolated"]
    report = ["--report", str(tmp_path)]
    assert run("compare", video, checkpoint, "--memories", *memories, *report) == 0
    exact, isolated = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert exact["agreement"] == 1.0
    assert exact["kl_to_full"] < 1e-6
    assert exact["archive_error"] < 1e-5 < isolated["archive_error"]
    # Not 0: the previous frame is kept for memories that compare frames.
    assert isolated["state_bytes"] < exact["state_bytes"] / 5
    assert "reference" not in capsys.readouterr().out


def test_demo_shows_on_the_bundled_video_what_memories_answer(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # All hundred further clips, which tell what these do, take three times as long.
    few = partial(run_demo, further=30)
    monkeypatch.setattr("crossframe.experiments.demo.run.run_demo", few)
    assert main(["demo"]) == 0
    told = capsys.readouterr().out
    assert "what colour was the ring last ?" in told
    assert "30 further clips" in told
    assert "Report: runs/demo/report.html" in told
    result = json.loads((tmp_path / "runs" / "demo" / "rows.json").read_text())
    rows = {row["memory"]: row for row in result["rows"]}
    assert list(rows) == ["full", "statekv", "window", "recency", "sinks", "drop"]

    def right(name: str, task: str) -> float:
        tally = rows[name]["further"]["archive"][task]
        return tally["right"] / tally["asked"]

    assert min(right("full", task) for task in ("now", "needle", "recall", "first")) >= 0.9
    assert min(right("full", task) for task in rows["full"]["further"]["archive"]) >= 0.75
    assert right("window", "needle") < right("statekv", "needle") - 0.1


def test_demo_takes_the_users_video(video: Path, tmp_path: Path, capsys: Output) -> None:
    assert main(["demo", str(video), "--report", str(tmp_path), "--question", "Who?"]) == 0
    result = json.loads((tmp_path / "rows.json").read_text())
    assert (result["config"]["video"], result["config"]["question"]) == (str(video), "Who?")
    told = capsys.readouterr().out
    assert "statekv" in told
    assert "drawn shapes and 56 words only" in " ".join(told.split())
    assert "56 words only" in (tmp_path / "report.html").read_text()


def test_demo_asks_the_bundled_video_a_question_of_ones_own(tmp_path: Path, capsys: Output) -> None:
    asked = ["--question", "what colour came first ?", "--report", str(tmp_path)]
    assert main(["demo", *asked]) == 0
    result = json.loads((tmp_path / "rows.json").read_text())
    assert result["rows"][0]["answer"].strip() == "orange"
    assert Path(result["config"]["video"]).name == "demo.mp4"


def test_a_class_in_the_current_folder_is_found_by_the_real_command(
    video: Path, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "my_memories.py").write_text(OWN)
    # As the console script starts, which does not put the current folder on the path.
    program = "import sys; from crossframe.experiments.command.cli import main; sys.exit(main())"
    own = "my_memories.OldestMemory(capacity=8)"
    command = [sys.executable, "-P", "-c", program, "ask", str(video), QUESTION]
    command += ["--model", str(checkpoint), "--memory", own, "--max-new-tokens", "4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "6 frames" in done.stderr


def test_a_truncated_video_is_answered_from_its_good_frames(
    make_video: Callable[..., Path],
    blank_out: Callable[..., Path],
    checkpoint: Path,
    tmp_path: Path,
    capsys: Output,
) -> None:
    cut = blank_out(make_video("whole.mp4", frames=40), tmp_path / "cut.mp4", 0.55, 0.8)
    assert run("ask", cut, checkpoint, "--memory", "full") == 0
    told = capsys.readouterr()
    assert "WARNING" in told.err
    assert "good frames alone" in " ".join(told.err.split())
    assert told.out.strip()
    assert run("compare", cut, checkpoint, "--memories", "full", "window") == 0
    assert "WARNING" in capsys.readouterr().err


def test_frames_that_ffmpeg_flags_are_counted_or_with_strict_refused(
    flagged_video: Path, checkpoint: Path, tmp_path: Path, capsys: Output
) -> None:
    told = f"WARNING: {flagged_video}: FFmpeg flags 1 of the decoded frames as damaged"
    assert run("ask", flagged_video, checkpoint, "--memory", "window") == 0
    error = " ".join(capsys.readouterr().err.split())
    assert told in error
    assert "8 frames," in error
    report = ["--memories", "full", "--simple-stream", "2", "--report", str(tmp_path)]
    assert run("compare", flagged_video, checkpoint, *report) == 0
    assert told in " ".join(capsys.readouterr().err.split())
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["flagged_frames"] for row in rows] == [1, 1]
    for command in ("ask", "compare"):
        assert run(command, flagged_video, checkpoint, "--strict", "true") == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert "flagged.avi: FFmpeg flags a frame as damaged (strict stops there) 3.00 s" in last


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            ["--memory", "statkv"],
            ["no memory, reader or archive is called 'statkv'; did you mean statekv?"],
        ),
        (["--capacity", "-4"], ["capacity", "-4"]),
        (["--memory", "statekv(size=3)"], ["size", "capacity"]),
        (["--fps", "0"], ["fps", "0"]),
        (["--temperature", "-1"], ["--temperature must be at least 0, got -1"]),
        (["--generation", '{"topp": 0.9}'], ["'topp' is no option of generate", "top_p"]),
        (["--reader", "carred"], ["carred", "did you mean carried"]),
        (["--archive", "statekv"], ["not an Archive"]),
        (["--memory", "isolated", "--reader", "carried"], ["carries nothing"]),
        (["--max-frames", "0"], ["max_frames", "0"]),
        (["--max-tokens", "20"], ["max_tokens"]),
        (["--layout", "sideways"], ["layout", "sideways", "video_first"]),
        (["--dtype", "float3"], ["dtype", "float3"]),
        (["--attention", "magic"], ["magic"]),
        (["--frames-per-step", "0"], ["frames_per_step", "0"]),
        (["--max-new-tokens", "0"], ["max_new_tokens", "0"]),
    ],
)
def test_user_errors_are_one_line_with_status_2(
    options: list[str], named: list[str], video: Path, checkpoint: Path, capsys: Output
) -> None:
    assert run("ask", video, checkpoint, *options) == 2
    told = capsys.readouterr()
    assert told.out == ""
    last = told.err.splitlines()[-1]
    assert last.startswith("crossframe ask: error: ")
    assert [text for text in named if text not in last] == []
    assert "Traceback" not in told.err


def test_wrong_files_are_told(
    checkpoint: Path, tmp_path: Path, video: Path, capsys: Output
) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path, word in ((tmp_path / "missing.mp4", "no such file"), (empty, "empty")):
        assert run("compare", path, checkpoint) == 2
        error = capsys.readouterr().err
        assert str(path) in error
        assert word in error
    assert run("ask", video, tmp_path) == 2
    assert "config.json" in capsys.readouterr().err
    assert run("compare", video, checkpoint, "--report", str(empty)) == 2
    assert "give another folder" in capsys.readouterr().err


def test_debug_shows_where_an_error_comes_from(video: Path, checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="no memory, reader or archive is called"):
        run("ask", video, checkpoint, "--memory", "statkv", "--debug")


def test_wrong_arguments_end_with_status_2(video: Path, capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ask", str(video)])
    assert caught.value.code == 2
    assert "required: --model" in capsys.readouterr().err


def test_the_other_families_run_with_options_of_their_own(
    video: Path, tmp_path: Path, capsys: Output
) -> None:
    qwen, eagle = (
        save_tiny_checkpoint(tmp_path / "qwen", "qwen3_vl"),
        save_official_eagle2_5(tmp_path / "eagle"),
    )
    options = ["--dtype", "float32", "--memory", "statekv(16)", "--adapter"]
    assert run("ask", video, qwen, *options, '{"planned_frames": 6}') == 0
    assert "Qwen3VL" in capsys.readouterr().err
    report = ["--memories", "statekv(16)", "window(frames=2)", "--report", str(tmp_path / "report")]
    for folder in (qwen, eagle):
        assert run("compare", video, folder, "--dtype", "float32", *report) == 0
        assert (tmp_path / "report" / "report.html").is_file()


def test_models_are_told_length_and_rate_of_the_stream(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, float | None]] = []
    for_stream = ChatDecoder.for_stream

    def noted(self: Any, frames: int, system: str | None = None, fps: float | None = None) -> Any:
        told.append((frames, fps))
        return for_stream(self, frames, system, fps)

    monkeypatch.setattr(ChatDecoder, "for_stream", noted)
    qwen = save_tiny_checkpoint(tmp_path / "qwen", "qwen3_vl")
    options = ["--dtype", "float32", "--memory", "recency(16)", "--max-new-tokens", "2"]
    assert run("ask", video, qwen, *options, "--fps", "2") == 0
    assert run("ask", video, qwen, *options, "--max-frames", "4") == 0
    assert told == [(12, 2.0), (4, pytest.approx(4 / 6))]


def test_an_option_the_family_does_not_have_is_one_line(
    video: Path, checkpoint: Path, capsys: Output
) -> None:
    assert run("ask", video, checkpoint, "--adapter", '{"planned_frames": 6}') == 2
    assert "InternVL3 has no option ['planned_frames']" in " ".join(capsys.readouterr().err.split())


def test_path_of_imports_is_left_as_it_was(video: Path, checkpoint: Path) -> None:
    before, folder = list(sys.path), os.getcwd()
    run("ask", video, checkpoint, "--memory", "nowhere.Memory")
    assert (sys.path, os.getcwd()) == (before, folder)
