"""`crossframe observe` end to end: files, pages in a browser, and what users get wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from crossframe.experiments.command.cli import main
from crossframe.experiments.observation.figures import PLANS, WHERE
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.framework import VideoSession
from crossframe.framework.video import stream_video
from crossframe.methods import StateKVMemory
from crossframe.models import load_model

from ..pages import Elements
from .conftest import CAPACITY, Dump, run

Output = pytest.CaptureFixture[str]
MakeVideo = Callable[..., Path]


# Files


def test_rows_are_tidy_and_carry_the_video(folder: Path, checkpoint: Path) -> None:
    rows: Any = pd.read_parquet(folder / "rows.parquet")
    keys = ["video", "layer", "level", "frame", "capacity"]
    assert not rows.duplicated(keys).any()
    assert set(rows["video"]) == {"long one", "short"}
    assert set(rows["layer"]) == set(range(load_model(checkpoint).spec.num_layers))
    assert set(rows["level"]) == {"layer", "head"}
    assert set(rows["frame"][rows["video"] == "long one"]) == set(range(1, 8))
    assert set(rows["frame"][rows["video"] == "short"]) == set(range(1, 5))
    measures = rows.drop(columns=[*keys, "history"])
    assert measures.stack().dropna().between(-1e-12, 1 + 1e-12).all()
    assert rows["captured"].ge(rows["captured_rolled"] - 1e-12).all()


def test_capacities_that_hold_a_whole_video_are_left_out_aloud(folder: Path) -> None:
    rows: Any = pd.read_parquet(folder / "rows.parquet")
    summary = json.loads((folder / "summary.json").read_text())
    history = rows.groupby("video")["history"].max()
    for video, capacities in rows.groupby("video")["capacity"]:
        assert max(capacities) < history[video]
    assert summary["left_out"] == {"long one": [], "short": ["60 slots", "6 frames"]}


def test_means_count_every_video_once(folder: Path) -> None:
    rows: Any = pd.read_parquet(folder / "rows.parquet")
    summary = json.loads((folder / "summary.json").read_text())
    means = {(row["level"], row["capacity"]): row for row in summary["means"]}
    full = {(row["level"], row["capacity"]): row for row in summary["means_when_full"]}
    for level, capacity in ((level, c) for level in ("layer", "head") for c in (1, 4, 16, 60)):
        own = rows[(rows["level"] == level) & (rows["capacity"] == capacity)]
        per_video = [found["captured"].mean() for _, found in own.groupby("video")]
        found = means[level, capacity]
        assert found["captured"] == pytest.approx(sum(per_video) / len(per_video))
        assert found["videos"] == len(per_video) == (1 if capacity == 60 else 2)
        late = own[own["history"] > capacity]
        per_video = [found["captured"].mean() for _, found in late.groupby("video")]
        assert full[level, capacity]["captured"] == pytest.approx(sum(per_video) / len(per_video))
    table = pd.read_csv(folder / "means.csv")
    assert table["captured"].tolist() == pytest.approx(
        [row["captured"] for row in summary["means"]]
    )
    assert sum(part["share"] for part in summary["parts"]) == pytest.approx(1.0)


def test_every_figure_is_there_as_png_and_svg(folder: Path) -> None:
    names = {f"{plan.name}_{level}" for plan in PLANS for level in ("layer", "head")} | {WHERE[0]}
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{ending}" for name in names for ending in ("png", "svg")}
    for path in (folder / "figures").iterdir():
        assert path.stat().st_size > 5000


# Pages in a browser


def test_the_page_of_evidence_opens_with_tables_and_figures(folder: Path, dump: Dump) -> None:
    page = Elements(dump(folder / "observe.html"))
    tables = {table.attributes["id"] for table in page.all("table")}
    levels = ("layer", "head")
    kinds = ("all", "full", "recency")
    assert tables == {"videos", *(f"{kind}-{level}" for kind in kinds for level in levels)}
    figures = [figure.attributes["id"] for figure in page.all("figure")]
    assert len(figures) == len(set(figures)) == 2 * len(PLANS) + 1
    assert len(page.all("svg")) == len(figures)
    assert len(page.all("tr")) > 2 * (2 + 4) + 2 * (2 + 4)
    assert "patches held" in page.by_id("videos").text
    links = [link.attributes["href"] for link in page.all("a")]
    assert links == ["held-long%20one.html", "held-short.html"]


@pytest.mark.parametrize("name", ["observe.html", "held-long one.html", "held-short.html"])
def test_pages_load_nothing_from_elsewhere(folder: Path, name: str) -> None:
    for element in Elements((folder / name).read_text("utf-8")).found:
        for attribute in ("src", "data", "srcset", "xlink:href"):
            link = element.attributes.get(attribute, "")
            assert not link or link.startswith(("data:", "#")), element
        assert element.tag not in ("link", "iframe", "object", "base")


@pytest.mark.parametrize(("frame", "layer"), [(1, None), (3, None), (8, None), (5, 0), (8, 1)])
def test_the_slider_shows_what_the_session_held(
    folder: Path,
    checkpoint: Path,
    make_video: MakeVideo,
    dump: Dump,
    frame: int,
    layer: int | None,
) -> None:
    place = f"#frame={frame}" + ("" if layer is None else f"&layer={layer}")
    page = Elements(dump(folder / "held-long one.html", place))
    assert page.by_id("when").text.startswith(f"after frame {frame} of 8 · ")
    found = [figure.attributes["data-held"].partition(" ")[0] for figure in page.all("figure")]
    expected = held_patches(checkpoint, make_video("long one.mp4", frames=9), frame, layer)
    assert [float(held) for held in found if held] == pytest.approx(expected, abs=1e-3)
    assert [held for held in found if not held] == [""] * (8 - frame)
    held = sum(expected) / (4 * frame)
    assert page.by_id("total").text.endswith(f"of {4 * frame} visual tokens shown")
    shown = float(page.by_id("total").text.split()[1])
    assert shown == pytest.approx(100 * held, abs=0.5 if held >= 0.1 else 0.05)


def held_patches(checkpoint: Path, video: Path, steps: int, layer: int | None) -> list[float]:
    """Visual tokens held of each frame, mean over layers and KV heads."""
    session = VideoSession(load_model(checkpoint), StateKVMemory(CAPACITY))
    for image, seconds in list(stream_video(video, fps=None, max_frames=8))[:steps]:
        session.push(image, seconds)
    layers = range(session.model.spec.num_layers) if layer is None else [layer]
    found = torch.zeros(steps)
    for number in layers:
        slots = session.slots(number)
        held = slots.frame[slots.visual]
        found += torch.bincount(held, minlength=steps) / slots.frame.shape[1]
    return (found / len(layers)).tolist()


def test_a_wrong_place_shows_the_nearest_one(folder: Path, dump: Dump) -> None:
    page = Elements(dump(folder / "held-short.html", "#frame=99&layer=99"))
    assert page.by_id("when").text.startswith("after frame 5 of 5 · ")
    chosen = page.by_id("layer")
    assert chosen.text.startswith("mean over all")


def test_the_pictures_are_drawn(folder: Path, browser: str, tmp_path: Path) -> None:
    import subprocess

    import numpy as np
    from PIL import Image

    drawn = []
    for frame in (1, 8):
        shot = tmp_path / f"{frame}.png"
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", "--hide-scrollbars"]
        command += ["--virtual-time-budget=4000", "--window-size=1100,900", f"--screenshot={shot}"]
        page = (folder / "held-long one.html").resolve().as_uri() + f"#frame={frame}"
        subprocess.run([*command, page], capture_output=True, timeout=120, check=True)
        drawn.append(np.asarray(Image.open(shot).convert("RGB")).astype(int))
    first, last = drawn
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 500  # pictures, not flat boxes
    assert (np.abs(first - last).max(-1) > 30).mean() > 0.02


def test_two_memories_are_pictured_side_by_side(folder: Path, dump: Dump) -> None:
    page = Elements(dump(folder / "held-short.html", "#frame=4"))
    shown = [figure.attributes["data-held"].split() for figure in page.all("figure")]
    assert [pair[1] for pair in shown if pair] == ["0.000", "0.000", "0.000", "4.000"]
    timelines = [canvas for canvas in page.all("canvas") if "timeline" in str(canvas.attributes)]
    assert len(timelines) == 2
    assert "differ most" in page.all("p")[0].text
    assert (folder / "held-short-beside.png").is_file()


def test_a_page_opens_where_its_data_say(folder: Path, dump: Dump, tmp_path: Path) -> None:
    text, moved = (folder / "held-long one.html").read_text("utf-8"), tmp_path / "moved.html"
    moved.write_text(re.sub(r'"opening": \d+', '"opening": 2', text), "utf-8")
    assert Elements(dump(moved)).by_id("when").text.startswith("after frame 3 of 8 · ")


# Other models and settings


def test_pairs_of_frames_share_a_picture(video: Path, tmp_path: Path, dump: Dump) -> None:
    model = save_tiny_checkpoint(tmp_path / "qwen", "qwen3_vl")
    assert run([video], model, tmp_path / "out", "--capacities", "2", "8") == 0
    page = Elements(dump(tmp_path / "out" / "held-square.html"))
    assert len(page.all("figure")) == 3  # of six frames
    assert (
        "2 frames at a time share their tokens" in (tmp_path / "out/held-square.html").read_text()
    )


def test_flagged_frames_are_counted_or_with_strict_refused(
    flagged_video: Path, checkpoint: Path, tmp_path: Path, capsys: Output
) -> None:
    options = ["--capacities", "1", "--recent-frames", "1", "--capacity", "8"]
    assert run([flagged_video], checkpoint, tmp_path, *options) == 0
    told = f"WARNING: {flagged_video}: FFmpeg flags 1 of the decoded frames as damaged"
    assert told in " ".join(capsys.readouterr().err.split())
    (about,) = json.loads((tmp_path / "summary.json").read_text())["videos"]
    assert (about["frames"], about["flagged_frames"]) == (8, 1)
    assert run([flagged_video], checkpoint, tmp_path, *options, "--strict", "true") == 2
    assert "FFmpeg flags a frame as damaged (strict stops" in capsys.readouterr().err


def test_any_memory_is_pictured(video: Path, checkpoint: Path, tmp_path: Path) -> None:
    memory = "drop(inner=statekv(8), ratio=0.5)"
    assert run([video], checkpoint, tmp_path, "--memory", memory, "--capacities", "2") == 0
    assert (tmp_path / "held-square.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "summary.json").read_text())["settings"]["memory"] == memory
    assert "TokenDroppingMemory(inner=StateKVMemory(capacity=8)" in (
        tmp_path / "held-square.html"
    ).read_text("utf-8")


def test_two_frames_are_enough(make_video: MakeVideo, checkpoint: Path, tmp_path: Path) -> None:
    assert run([make_video("two.mp4", frames=2)], checkpoint, tmp_path, "--capacities", "1") == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["recency"] == []
    assert not (tmp_path / "figures" / "recency_gap_layer.png").exists()
    assert summary["left_out"]["two"] == ["1 frames", "4 frames", "16 frames", "64 frames"]


# Bad input


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--capacities", "0"], ["capacities", "at least 1", "0"]),
        (["--capacities", "4", "-1"], ["capacities", "-1"]),
        (["--capacities", "900"], ["every capacity of [900] holds the whole video"]),
        (["--capacities", "80"], ["every capacity of [80] holds the whole video"]),
        (["--recent-frames", "0"], ["recent_frames", "0"]),
        (["--frames", "1"], ["frames must be an integer of at least 2", "1"]),
        (
            ["--memory", "statkv"],
            [
                "no memory, reader or archive is called 'statkv'",
                "did you mean statekv?",
            ],
        ),
        (["--capacity", "-3"], ["capacity", "-3"]),
        (["--max-tokens", "30"], ["the video takes at least", "more than max_tokens=30"]),
        (["--max-tokens", "0"], ["max_tokens", "0"]),
    ],
)
def test_wrong_settings_are_one_line(
    options: list[str],
    named: list[str],
    video: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: Output,
) -> None:
    assert run([video], checkpoint, tmp_path, *options) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("crossframe observe: error: ")
    assert [text for text in named if text not in last] == []


def test_wrong_videos_are_told_before_the_model_is_loaded(
    video: Path, make_video: MakeVideo, tmp_path: Path, capsys: Output
) -> None:
    nowhere = tmp_path / "no model"
    missing = tmp_path / "missing.mp4"
    assert run([video, missing], nowhere, tmp_path) == 2
    assert f"{missing}: no such file" in capsys.readouterr().err
    twin = make_video("square.mp4")
    assert run([video, twin], nowhere, tmp_path) == 2
    assert "more than one video is called square" in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.touch()
    assert run([video], nowhere, blocked) == 2
    assert f"--output {blocked}" in capsys.readouterr().err


def test_one_frame_has_no_past(
    make_video: MakeVideo, checkpoint: Path, tmp_path: Path, capsys: Output
) -> None:
    single = make_video("single.mp4", frames=1)
    assert run([single], checkpoint, tmp_path) == 2
    assert "1 frame(s) make one step, which has no earlier frames" in capsys.readouterr().err
    pair = make_video("pair.mp4", frames=2)
    assert run([pair], save_tiny_checkpoint(tmp_path / "qwen", "qwen3_vl"), tmp_path) == 2
    assert "take at least 3 with --frames" in capsys.readouterr().err


def test_a_command_without_a_video_is_refused(capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["observe", "--model", "somewhere"])
    assert caught.value.code == 2
    assert "the following arguments are required: VIDEOS" in capsys.readouterr().err
