"""Trained models side by side, from what their folders say."""

import json
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.publishing.trainings import main, trainings_part


def save(folder: Path, seed: int, right: float, kind: str = "inside", trained: int = 32) -> Path:
    """What `crossframe pretrain` leaves beside a checkpoint."""
    folder.mkdir()
    written: dict[str, Any] = {
        "pretrain.json": {"family": "internvl3", "seed": seed, "kind": kind, "steps": 9},
        "minutes.json": {"vision": 2.0, "decoder": 3.4},
        "scores.json": {
            "by_frames": {
                "16": {"now": 1.0, "first": 1.0},
                "32": {"now": 1.0, "first": right},
                "64": {"now": 0.5, "first": right},
            },
            "asked": {"now": 10, "first": 20},
            "trained_frames": trained,
        },
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def test_models_are_added_and_taken_anew(tmp_path: Path) -> None:
    main([save(tmp_path / "b", 1, 0.9), save(tmp_path / "q", 0, 0.7, "questions")], tmp_path)
    main([save(tmp_path / "long", 0, 0.5, trained=64)], tmp_path)
    main([save(tmp_path / "a", 0, 0.8), save(tmp_path / "again", 1, 0.6)], tmp_path)
    result = json.loads((tmp_path / "trainings.json").read_text())
    table, about = trainings_part(result)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0] == ["model", "first", "now", "all at 64 frames", "minutes", "on"]
    assert [line[:-1] for line in lines[2:]] == [
        ["internvl3, inside, seed 0", "80", "100", "65", "5"],
        ["internvl3, inside, seed 1", "60", "100", "55", "5"],
        ["internvl3, inside, seed 0, 64 frames", "50", "100", "50", "5"],
        ["internvl3, questions, seed 0", "70", "100", "60", "5"],
    ]
    assert {line[-1] for line in lines[2:]} == {result["environment"]["cpu"]}
    assert "30 questions at 32 frames" in about
    assert {"cpu", "threads", "torch", "dtype", "commit"} <= result["environment"].keys()


def test_columns_are_the_lengths_that_all_were_asked_at(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", 0, 0.8, trained=64)
    scores = json.loads((folder / "scores.json").read_text())
    scores["by_frames"] |= {"128": {"now": 1.0, "first": 1.0}}
    scores["asked"] = {"now": 11, "first": 20}
    (folder / "scores.json").write_text(json.dumps(scores))
    settings = json.loads((folder / "pretrain.json").read_text())
    (folder / "pretrain.json").write_text(json.dumps(settings | {"family": "eagle2_5"}))
    other, third = save(tmp_path / "b", 1, 0.6), save(tmp_path / "c", 2, 0.6)
    scores |= {"trained_frames": 32}
    (third / "scores.json").write_text(json.dumps(scores))
    main([folder, other, third], tmp_path)
    table, about = trainings_part(json.loads((tmp_path / "trainings.json").read_text()))
    assert "all at 64 frames | minutes" in table
    assert "30 to 31 questions at 32 frames" in about


def test_a_folder_that_was_not_scored_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", 0, 0.8)
    (folder / "scores.json").unlink()
    with pytest.raises(
        ValueError, match=r"a holds no scores\.json: run crossframe pretrain to its"
    ):
        main([folder], tmp_path)
