"""Tables of docs/speed.md, from rows that benches write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossframe.experiments.publishing.publish import main
from crossframe.experiments.publishing.speed_tables import (
    NOT_MEASURED,
    ask_part,
    attention_part,
    frame_part,
    video_part,
)

STAMP = {
    "cpu": "a CPU",
    "threads": 1,
    "cores": 2,
    "torch": "2",
    "transformers": "5",
    "dtype": "float32",
    "commit": "abc",
    "gpu": "a GPU",
    "load": 1.5,
}


def step(frame: int, variant: str, ms: float, **changed: Any) -> dict[str, Any]:
    about = {"of": "InternVL3-1B", "layers": 2, "frame": frame, "step_frames": 1, "tokens": 259}
    row = {"variant": variant, "slots": 1036, "backend": "chunked", "turns": 5, "ms": ms}
    ratios = {"limit_ms": 10.0, "to_limit": ms / 10, "peak_share": 0.9, "to_stock": 0.25}
    return {**about, **row, **ratios, "to_full": 0.3, "to_window": None, **changed}


STEPS = {
    "repeats": 5,
    "patience_seconds": 20.0,
    "environment": STAMP,
    "rows": [
        step(1, "stock", 12.345),
        step(3600, "stock", 1234.5),
        step(3600, "statekv(1036)", 13.0, to_window=1.02),
        step(1, "stock", 50.0, of="Qwen3-VL-8B", step_frames=2),
    ],
    "left_out": [step(3600, "full", 0, reason="needs 30 GB")],
}


def lines(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_steps_are_told_by_frame_and_at_the_last_frame_of_all() -> None:
    text, about = frame_part(STEPS)
    table = lines(text)
    assert ["InternVL3-1B, 2 layer(s)", "stock", "12.3", "1,234"] in table
    assert ["InternVL3-1B, 2 layer(s)", "statekv(1036)", "", "13"] in table
    assert ["InternVL3-1B, 2 layer(s)", "stock", "1.23", "123.45"] in table
    assert ["Qwen3-VL-8B, 2 layer(s), 2 frames a step", "stock", "50", ""] in table
    assert "At frame 1:" in text
    assert "- InternVL3-1B at frame 3,600, full: needs 30 GB" in text
    assert "at most 5 turns" in about
    assert "after 20 seconds" in about


def test_attention_is_told_by_slots() -> None:
    row = {"of": "tiny", "variant": "eager", "backend": "torch", "ms": 2.5, "to_plain": 1.5}
    rows = [{**row, "slots": slots} for slots in (256, 1036)]
    text, about = attention_part({"tokens": 259, "repeats": 9, "rows": rows})
    assert lines(text)[0] == ["model", "variant", "what ran", "256 slots", "1,036 slots"]
    assert lines(text)[-1] == ["tiny", "eager", "torch", "2.5 (1.50)", "2.5 (1.50)"]
    assert "259 queries" in about


def test_videos_and_questions_tell_what_was_left_out() -> None:
    numbers = ("decode_ms", "encode_ms", "step_ms", "whole_ms", "frames_per_second")
    row = {"of": "tiny", "weights": "random", "capacity": 54, "backend": "flex", "frames": 59}
    row |= {"tokens": 259, "hour_seconds": 60.0, **dict.fromkeys(numbers, 1.5)}
    left_out = [{"of": "large", "frames": 3600, "reason": "no room"}]
    seen = {"video": "demo.mp4", "fps": 1.0, "rows": [row], "left_out": left_out}
    text, about = video_part(seen)
    assert lines(text)[-1][:4] == ["tiny", "random", "54", "flex"]
    assert lines(text)[-1][-1] == "60"
    assert "- large: no room" in text
    assert "`demo.mp4` at 1 frames" in about
    asked = {"archive": "int8", "frames": 3600, "tokens": 932400, "archive_bytes": 5.8e9}
    asked |= {"backend": "chunked", "dtype": "float32", "peak_mib": 100.0}
    asked |= {"seconds_to_first_token": 12.0, "seconds_per_new_token": 11.5}
    left_out = [{"archive": "plain", "frames": 3600, "reason": "no room"}]
    text, _ = ask_part({"model": "InternVL3-1B", "rows": [asked], "left_out": left_out})
    assert lines(text)[-1][:5] == ["int8", "3,600", "932,400", "5.80", "chunked"]
    assert "- plain of 3,600 frames: no room" in text


def test_the_page_is_renewed_from_a_file_and_says_where_there_is_none(tmp_path: Path) -> None:
    names = ("frame_time_cpu", "frame_time_cuda")
    page = tmp_path / "docs" / "speed.md"
    (tmp_path / "docs" / "results").mkdir(parents=True)
    marks = [f"<!-- generated: {n} -->\n<!-- end of generated: {n} -->\n" for n in names]
    page.write_text("".join(marks), "utf-8")
    main(["--root", str(tmp_path), "--only", *names])
    assert page.read_text("utf-8").count(NOT_MEASURED) == 2
    (tmp_path / "docs" / "results" / "frame_time_cpu.json").write_text(json.dumps(STEPS), "utf-8")
    main(["--root", str(tmp_path), "--only", *names])
    text = page.read_text("utf-8")
    assert text.count(NOT_MEASURED) == 1
    assert (
        "Measured on a GPU beside a CPU, 1 thread(s) on 2 cores (load average 1.5), torch 2" in text
    )
