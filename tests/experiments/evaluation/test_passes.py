"""Rows of shared passes are those of separate sessions, exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.experiments.benchmarks import MLVU, Question
from crossframe.experiments.evaluation.options import EvaluateOptions
from crossframe.experiments.evaluation.passes import PassRunner
from crossframe.experiments.evaluation.rows import Row, owing
from crossframe.experiments.publishing.small_benchmarks import write_clip
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.streaming.plan import plan_passes, sample_videos
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.framework import Cursor, FrameTokens, Int8Archive, VideoModel
from crossframe.framework.frame_tokens import advance
from crossframe.framework.metrics import answer_agreement, kl_to_full
from crossframe.framework.stream import encoding
from crossframe.framework.video import frames_at
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    FullMemory,
    InfiniPotVMemory,
    MergedEvictions,
    ReadCarried,
    ReKVReader,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)
from crossframe.models import InternVL3
from crossframe.models.tiny import tiny_internvl

from ...every import FAMILIES

SHORT: Any = {"max_position_embeddings": 64}  # streams here go far beyond
# Family, sizes, options of the adapter.
MODELS: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "internvl3": ("internvl3", {}, {}),
    "internvl3, RoPE scaled by length": ("internvl3", SHORT, {}),
    "eagle2_5, beyond its range": ("eagle2_5", SHORT, {}),
    "llava_onevision": ("llava_onevision", {}, {}),
    "qwen2_5_vl": ("qwen2_5_vl", {}, {}),
    "qwen3_vl": ("qwen3_vl", {}, {"planned_frames": 12}),
    "qwen3_vl, sized by length": ("qwen3_vl", {}, {}),
}
CELLS = {
    "full": Cell(FullMemory()),
    "full in threes": Cell(FullMemory(), frames_per_step=3),
    "statekv": Cell(StateKVMemory(9)),
    "statekv in threes": Cell(StateKVMemory(9), frames_per_step=3),
    "statekv, both directions": Cell(StateKVMemory(9), in_frame="bidirectional"),
    "window": Cell(SlidingWindowMemory(2), frames_per_step=2),
    "ragged": Cell(AdaptiveHeadBudgets(StateKVMemory(9)), frames_per_step=3),
    "placed anew": Cell(ContiguousPositions(StateKVMemory(9))),
    "merging": Cell(MergedEvictions(StateKVMemory(9), 0.2), frames_per_step=3),
    "infinipot": Cell(InfiniPotVMemory(9)),
    "dropping": Cell(TokenDroppingMemory(StateKVMemory(9), ratio=0.5), frames_per_step=3),
    "picking reader": Cell(StateKVMemory(9), reader=ReKVReader(2)),
    "carried alone, rounded": Cell(StateKVMemory(9), ReadCarried(), Int8Archive()),
}
SOME = {name: CELLS[name] for name in ("full", "statekv in threes", "window", "ragged")}
WITH_ALL_CELLS = ("internvl3", "qwen3_vl")  # others have some of them
# With two frames a second: 1, 3, 3, 5, 6 and 12 frames, so pairs and threes are cut at odd places.
ENDS = {"first": 0.4, "third": 1.5, "again": 1.5, "fifth": 2.5, "sixth": 3.0, "all": 6.0}
SYSTEM = "You watch closely."


@cache
def model(name: str) -> VideoModel:
    family, sizes, options = MODELS[name]
    return FAMILIES[family].shipped(*FAMILIES[family].loaded(torch.float32, **sizes), **options)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, ["Red", "Green", "Blue"])
    return path


@pytest.fixture
def questions(clip: Path) -> list[Question]:
    asked = [
        Question(name, "clip", clip, f"What is shown {name}?", "A", end=end, choices={"A": "Red"})
        for name, end in ENDS.items()
    ]
    # Another length of text at the same place, and words that the reply begins with.
    asked[2] = replace(asked[2], prompt="Which of them? " * 3, reply_start="Best option: (")
    return asked


def options(**changes: Any) -> EvaluateOptions:
    settings: dict[str, Any] = {
        "model": ModelOptions("not loaded here"),
        "benchmark": MLVU(Path()),
        "cells": CELLS,
        "output": Path(),
        "sampling": FrameSampling(2.0, None, "start"),
        "reference": "full",
        "max_new_tokens": 3,
    }
    return EvaluateOptions(**settings | changes)


def rows_of(
    adapter: VideoModel, questions: Sequence[Question], chosen: EvaluateOptions
) -> list[Row]:
    """Of a whole run over the questions, without Lightning."""
    sampled, refused = sample_videos(questions, chosen.sampling, lambda path: 6.0)
    assert not refused
    passes = plan_passes(sampled, share_prefixes=not adapter.sized_by_length)
    runner = PassRunner(adapter, chosen)
    return [row for work in owing(passes, chosen.cells, set()) for row in runner.rows(work)]


def untimed(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    kept = [{k: v for k, v in row.items() if not k.endswith("_ms")} for row in rows]
    assert len({(row["cell"], row["question"]) for row in rows}) == len(rows)
    return {(row["cell"], row["question"]): row for row in kept}


def taken(question: Question) -> tuple[torch.Tensor, list[float]]:
    """The frames of one question, [frames, height, width, 3], and their times."""
    assert question.path is not None
    times = options().sampling.times(6.0, question.start, question.end)
    images, seconds = zip(*frames_at(question.path, times), strict=True)
    return torch.stack(images), list(seconds)


def ids_of(adapter: VideoModel, question: Question) -> torch.Tensor:
    ids = adapter.question_ids(question.prompt)
    if not question.reply_start:
        return ids
    return torch.cat([ids, adapter.reply_ids(question.reply_start)], 1)


@torch.no_grad()
def patches(
    adapter: VideoModel, question: Question
) -> tuple[FrameTokens | None, list[FrameTokens], FrameTokens | None]:
    """Of a question's frames: the prompt, all full temporal patches, and one that is begun."""
    prompt, found = adapter.prologue(Cursor()), []
    cursor = Cursor() if prompt is None else advance(Cursor(), prompt)
    images, times = taken(question)
    size = adapter.frames_per_patch
    for start in range(0, len(times), size):
        part = slice(start, start + size)
        found.append(adapter.encode(images[part], times[part], cursor))
        cursor = advance(cursor, found[-1])
    begun = found.pop() if len(times) % size else None
    return prompt, found, begun


@pytest.mark.parametrize("name", MODELS)
def test_answers_and_costs_are_those_of_separate_sessions(
    name: str, questions: list[Question]
) -> None:
    cells = CELLS if name in WITH_ALL_CELLS else SOME
    rows = untimed(rows_of(model(name), questions, options(cells=cells)))
    assert len(rows) == len(cells) * len(ENDS)
    for question in questions:
        rate = options().sampling.rate(6.0, question.start, question.end)
        adapter = model(name).for_stream(len(taken(question)[1]), fps=rate)
        prompt, full, begun = patches(adapter, question)
        reference: Any = None
        for cell, settings in cells.items():
            row = rows[cell, question.id]
            session = settings.session(adapter, row["planned_tokens"])
            for part in (prompt, full, begun):
                if part:
                    session.push(part)
            answer = session.ask(ids_of(adapter, question), max_new_tokens=3)
            reference = answer if cell == "full" else reference
            expected = {
                "reply": answer.text,
                "reply_tokens": len(answer.token_ids),
                "agreement": answer_agreement(answer.token_ids, reference.token_ids),
                "kl_to_full": float(kl_to_full(answer.first_logits, reference.first_logits)),
                "tokens": sum(cost.tokens for cost in session.costs),
                "decoder_flops": sum(cost.flops for cost in session.costs),
                "state_bytes": session.state_bytes,
                "archive_bytes": session.archive.bytes_appended,
            }
            assert {field: row[field] for field in expected} == expected


@pytest.mark.parametrize("name", ["internvl3", "qwen3_vl"])
def test_answers_are_those_of_sessions_that_take_raw_frames(
    name: str, questions: list[Question]
) -> None:
    rows = untimed(rows_of(model(name), questions, options(cells=SOME)))
    for question in questions:
        images, times = taken(question)
        for cell, settings in SOME.items():
            session = settings.session(model(name))
            session.push(images, times)
            answer = session.ask(ids_of(model(name), question), max_new_tokens=3)
            assert rows[cell, question.id]["reply"] == answer.text
            assert rows[cell, question.id]["frames"] == len(times)


@pytest.mark.parametrize("name", MODELS)
def test_planned_lengths_are_those_of_separate_runs(name: str, questions: list[Question]) -> None:
    chosen = options(cells={"statekv": CELLS["statekv"]}, reference=None)
    shared = untimed(rows_of(model(name), questions, chosen))
    for question in questions:
        # Questions about the same frames plan together, whatever else is asked.
        alone = [one for one in questions if one.end == question.end]
        separate = untimed(rows_of(model(name), alone, chosen))
        for key, row in separate.items():
            if name == "eagle2_5, beyond its range":  # whose RoPE is not scaled by length
                row["planned_tokens"] = shared[key]["planned_tokens"]
            assert {**row, "pass": ""} == {**shared[key], "pass": ""}


def test_the_streams_here_do_test_scaling_by_length(questions: list[Question]) -> None:
    chosen = options(cells={"full": CELLS["full"]})
    rows = rows_of(model("internvl3, RoPE scaled by length"), questions, chosen)
    lengths = {row["frames"]: row["planned_tokens"] for row in rows}
    assert len(set(lengths.values())) == len(lengths) == 5
    plain = rows_of(model("eagle2_5, beyond its range"), questions, chosen)
    assert len({row["planned_tokens"] for row in plain}) == 1
    assert all(row["planned_tokens"] > 64 for row in plain)


@pytest.mark.parametrize("name", ["internvl3, RoPE scaled by length", "qwen3_vl"])
def test_a_few_cells_at_a_time_give_the_same_rows(name: str, questions: list[Question]) -> None:
    # The reference stands in the middle and is needed by the first.
    chosen = options(cells=SOME, reference="window")
    together = untimed(rows_of(model(name), questions, chosen))
    for at_once in (1, 3, 9):
        rows = rows_of(model(name), questions, replace(chosen, cells_at_once=at_once))
        assert untimed(rows) == together


class CountingTimer:
    """Every measured stretch takes a millisecond."""

    milliseconds = 1.0

    def __init__(self, device: torch.device) -> None:
        del device

    def stop(self) -> CountingTimer:
        return self


@pytest.mark.parametrize(("name", "size"), [("internvl3", 1), ("qwen3_vl", 2)])
@pytest.mark.parametrize("at_once", [None, 1, 3])
def test_vision_costs_what_a_separate_session_would_pay(
    name: str,
    size: int,
    at_once: int | None,
    questions: list[Question],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding, "Timer", CountingTimer)
    rows = rows_of(model(name), questions, options(cells=SOME, cells_at_once=at_once))
    # Every temporal patch up to the question once, the one begun included, earlier ones begun not.
    assert {row["vision_ms"] - -(-row["frames"] // size) for row in rows} == {0}


def test_only_owed_rows_are_given_and_the_reference_helps(questions: list[Question]) -> None:
    chosen = options(cells=SOME)
    sampled, _ = sample_videos(questions, chosen.sampling, lambda path: 6.0)
    (video,) = plan_passes(sampled)
    whole = untimed(rows_of(model("internvl3"), questions, chosen))
    owed = {("ragged", "fifth"), ("window", "first")}
    (work,) = owing([video], chosen.cells, whole.keys() - owed)
    part = untimed(PassRunner(model("internvl3"), chosen).rows(work))
    assert part == {key: whole[key] for key in owed}


def test_a_sampled_reply_does_not_depend_on_what_was_asked_before(
    questions: list[Question],
) -> None:
    sampling = {"do_sample": True, "temperature": 5.0}
    chosen = options(cells={"full": CELLS["full"]}, generation=sampling)
    together = untimed(rows_of(model("internvl3"), questions, chosen))
    alone = untimed(rows_of(model("internvl3"), questions[-1:], chosen))
    assert alone["full", "all"] == together["full", "all"]
    replies = {row["reply"] for row in together.values()}
    other = untimed(rows_of(model("internvl3"), questions, replace(chosen, seed=1)))
    assert replies.isdisjoint(row["reply"] for row in other.values())


def test_greedy_is_the_default_and_generation_is_passed_on(questions: list[Question]) -> None:
    chosen = options(cells={"full": CELLS["full"]})
    greedy = untimed(rows_of(model("internvl3"), questions, chosen))
    again = untimed(rows_of(model("internvl3"), questions, replace(chosen, seed=1)))
    assert greedy == again
    short = rows_of(model("internvl3"), questions, replace(chosen, max_new_tokens=2))
    assert {row["reply_tokens"] for row in short} == {2}
    other = replace(chosen, generation={"suppress_tokens": list(range(200))})
    replies = {row["reply"] for row in rows_of(model("internvl3"), questions, other)}
    assert replies != {row["reply"] for row in greedy.values()}


def test_a_system_turn_reaches_the_prompt(questions: list[Question]) -> None:
    asked = [questions[-1], replace(questions[-1], id="told", system=SYSTEM)]
    rows = untimed(rows_of(model("internvl3"), asked, options(cells={"full": CELLS["full"]})))
    plain, told = rows["full", "all"], rows["full", "told"]
    assert told["tokens"] - plain["tokens"] >= len(SYSTEM) // 4
    assert (plain["pass"], told["pass"]) == ("all", "told")


# Videos that turn out bad


@pytest.mark.parametrize("at_once", [None, 1])
def test_questions_about_frames_before_the_damage_are_answered(
    at_once: int | None,
    questions: list[Question],
    tmp_path: Path,
    blank_out: Callable[..., Path],
) -> None:
    write_clip(tmp_path / "whole.mp4", ["Red", "Green", "Blue"], seconds=20)
    bad = blank_out(tmp_path / "whole.mp4", tmp_path / "bad.mp4", 0.4, 0.7)
    early, late = (replace(questions[0], id=str(end), end=end) for end in (3.0, 20.0))
    chosen = options(cells=SOME, cells_at_once=at_once)
    sampled, _ = sample_videos(
        [replace(one, path=bad) for one in (early, late)], chosen.sampling, lambda path: 20.0
    )
    (work,) = owing(plan_passes(sampled), chosen.cells, set())
    found = untimed(PassRunner(model("internvl3"), chosen).rows(work))
    whole = [replace(early, path=tmp_path / "whole.mp4")]
    good = untimed(rows_of(model("internvl3"), whole, replace(chosen, cells_at_once=None)))
    for cell in SOME:
        assert {**found[cell, "3.0"], "pass": "3.0"} == good[cell, "3.0"]
        row = found[cell, "20.0"]
        assert (row["status"], row["reply"], row["correct"]) == ("unreadable", None, False)
        assert "bad.mp4: the data are cut off or damaged" in row["why"]
    with pytest.raises(ValueError, match=r"clip: .*bad.mp4: FFmpeg flags a frame as damaged"):
        PassRunner(model("internvl3"), replace(chosen, strict=True)).rows(work)


def test_frames_that_the_model_cannot_take_are_told_as_unreadable(
    questions: list[Question],
) -> None:
    class Dazzled(InternVL3):
        def encode(self, frames: Any, timestamps: Any, cursor: Any) -> FrameTokens:
            if frames[..., 1].float().mean() > 100:  # the clip turns green
                raise ValueError("too green")
            return super().encode(frames, timestamps, cursor)

    adapter = Dazzled(*tiny_internvl())
    rows = untimed(rows_of(adapter, questions, options(cells=SOME)))
    status = {key: row["status"] for key, row in rows.items()}
    assert status["full", "first"] == "invalid"
    assert status["full", "all"] == "unreadable"
    assert rows["window", "all"]["why"] == "the model cannot take the frame at 2 s: too green"


def test_an_error_of_the_settings_is_no_matter_of_the_video(questions: list[Question]) -> None:
    with pytest.raises(ValueError, match="planned for 20"):
        rows_of(model("internvl3"), questions, options(cells=SOME, max_tokens=20))


def test_nan_inside_the_model_is_told_and_agrees_with_nothing(questions: list[Question]) -> None:
    adapter = InternVL3(*tiny_internvl())
    with torch.no_grad():
        adapter.decoder.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    # Whatever such a model says would otherwise be the same in all cells.
    for row in rows_of(adapter, questions, options(cells=SOME)):
        assert (row["status"], row["parsed"], row["correct"]) == ("nonfinite", None, False)
        assert "agreement" not in row and "kl_to_full" not in row
