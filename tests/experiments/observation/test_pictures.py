"""A text under observation: its frames are pictures of words, held or not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from crossframe.experiments.command.cli import main
from crossframe.experiments.observation.pictures import (
    COLUMNS,
    PictureTaker,
    grid_of,
    picture_of,
    shown,
)
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2, tiny_tokenizer

TEXT = "Which way does the red square move?\nHow many people are there, and where?\n" * 8


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 30, 31, 32])
def test_a_grid_holds_exactly_a_frames_tokens(count: int) -> None:
    rows, columns = grid_of(count)
    assert rows * columns == count and 1 <= columns <= COLUMNS
    height, width, channels = picture_of(["w"] * count).shape
    assert (height // rows, width // columns, channels) == (16, 62, 3)


def test_every_word_stands_in_its_own_place() -> None:
    words = ["one", "", "three", "averyveryverylongword", "five", "six"]
    ink = (picture_of(words).min(-1) < 128).reshape(2, 16, 3, 62).any((1, 3)).flatten()
    assert ink.tolist() == [bool(word) for word in words]
    assert not np.array_equal(picture_of(["a"]), picture_of(["b"]))


def test_what_cannot_be_printed_becomes_a_sign() -> None:
    assert shown(" word") == "word" and shown("a\nb") == "a⏎b"
    assert shown("\x1b[31m") == "\N{REPLACEMENT CHARACTER}[31m"


def test_pictures_of_a_text_have_no_time_and_a_grid_of_their_own() -> None:
    camera = PictureTaker(1, lambda ids: chr(int(ids)))
    frames = [(torch.arange(65, 73), 0.0), (torch.arange(65, 68), 1.0)]
    assert [number for _, number in camera.watch(frames)] == [0.0, 1.0]
    first, last = camera.pictures
    assert first.seconds is last.seconds is None
    assert (first.grid, last.grid) == ((2, 4), (1, 3)) and first.shows == "words"
    assert first.data_url.startswith("data:image/png;base64,")
    assert np.array_equal(first.pixels, picture_of("ABCDEFGH"))


def test_observe_measures_a_text_and_shows_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = DecoderModel(tiny_qwen2(), tiny_tokenizer(), start="<|endoftext|>", tokens_per_frame=11)
    monkeypatch.setattr(ModelOptions, "load", lambda self: model)
    path, folder = tmp_path / "notes.txt", tmp_path / "observed"
    path.write_text(TEXT, "utf-8")
    words = ["observe", str(path), "--model", "a-reader", "--output", str(folder)]
    words += ["--capacities", "4", "16", "--recent-frames", "1", "--capacity", "24"]
    assert main(words) == 0
    frames = len(model.text_frames(TEXT))
    assert len(model.text_frames(TEXT).ids) % 11, "the last frame is to be shorter"
    rows: Any = pd.read_parquet(folder / "rows.parquet")
    assert set(rows["frame"]) == set(range(1, frames))
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    (about,) = summary["videos"]
    assert (about["steps"], about["tokens"]) == (frames, 1 + len(model.text_frames(TEXT).ids))
    page = (folder / "held-notes.html").read_text("utf-8")
    assert "Words still held: notes" in page and "data:image/png;base64," in page
    assert (folder / "held-notes.png").is_file()


def test_a_text_of_one_frame_has_no_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = DecoderModel(tiny_qwen2(), tiny_tokenizer(), tokens_per_frame=400)
    monkeypatch.setattr(ModelOptions, "load", lambda self: model)
    path = tmp_path / "notes.txt"
    path.write_text(TEXT * 2, "utf-8")
    model.tokens_per_frame = len(model.reply_ids(TEXT * 2)[0])
    assert main(["observe", str(path), "--model", "x", "--output", str(tmp_path / "o")]) == 2
    assert f"{path}: 1 frame(s) make one step, which has no" in capsys.readouterr().err
