"""Planned lengths have room for the stream, and are those of streams that can be shared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.experiments.benchmarks import Question
from crossframe.experiments.publishing.small_benchmarks import write_clip
from crossframe.experiments.streaming.cells import Cell
from crossframe.experiments.streaming.lengths import SLACK_TOKENS, question_ids, stretches
from crossframe.experiments.streaming.plan import Pass, Stop
from crossframe.framework import FullMemory, PlainArchive, VideoModel, VideoSession
from crossframe.framework.archives.room import archive_bytes
from crossframe.framework.video import VideoError, frames_at
from crossframe.models import InternVL3
from crossframe.models.tiny import tiny_internvl

from ...every import FAMILIES

SHORT: Any = {"max_position_embeddings": 48}
# Family, sizes, options of the adapter.
MODELS: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "internvl3": ("internvl3", SHORT, {}),
    "internvl3, video first": ("internvl3", SHORT, {"layout": "video_first"}),
    "eagle2_5": ("eagle2_5", SHORT, {}),
    "llava_onevision": ("llava_onevision", SHORT, {}),
    "qwen2_5_vl": ("qwen2_5_vl", SHORT, {}),
    "qwen3_vl": ("qwen3_vl", SHORT, {"planned_frames": 24}),
}
TIMES = [0.5 * number for number in range(25)]


@cache
def model(name: str) -> VideoModel:
    family, sizes, options = MODELS[name]
    return FAMILIES[family].shipped(*FAMILIES[family].loaded(torch.float32, **sizes), **options)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, ["Red", "Green"], seconds=13)
    return path


def one_pass(path: Path, *stops: tuple[int, str], **more: Any) -> Pass:
    made = [
        Stop(frames, Question(f"{frames} {prompt}", "clip", path, prompt, "A", **more))
        for frames, prompt in stops
    ]
    return Pass("all", path, TIMES, made)


def streamed(adapter: VideoModel, path: Path, count: int) -> list[int]:
    """Tokens of the prompt, if there is one, and of every temporal patch."""
    session = VideoSession(adapter, FullMemory(), max_tokens=9999)
    images, times = zip(*frames_at(path, TIMES[:count]), strict=True)
    size = adapter.frames_per_patch
    session.push(torch.stack(images), list(times))
    if count % size:  # the last frame again, as the processor does
        session.push(images[-1], times[-1])
    return [cost.tokens for cost in session.costs]


# 10 and 20 frames and seconds make the text around later frames longer.
@pytest.mark.parametrize("count", [1, 2, 5, 25])
@pytest.mark.parametrize("name", MODELS)
def test_there_is_room_for_the_whole_stream_and_little_more(
    name: str, count: int, clip: Path
) -> None:
    adapter, short, long = model(name), "Who?", "And what happens after that? " * 9
    passed = streamed(adapter, clip, count)
    (found,) = stretches(adapter, one_pass(clip, (count, short), (count, long)), 40, None)
    after = adapter.question_ids(long).shape[1] + 40 + SLACK_TOKENS
    assert found.patch_tokens == passed[-1]
    before = passed[0] if len(passed) > -(-count // adapter.frames_per_patch) else 0
    patches = -(-count // adapter.frames_per_patch)
    assert found.planned_tokens == before + patches * max(passed[1:] or passed) + after
    assert sum(passed) + after <= found.planned_tokens <= sum(passed) + after + 4 * patches


def test_text_around_later_frames_is_longer_in_these_models(clip: Path) -> None:
    for name in ("internvl3", "eagle2_5", "qwen3_vl"):
        passed = streamed(model(name), clip, 25)
        assert passed[-1] > passed[2]


def test_words_that_a_reply_begins_with_need_room_too(clip: Path) -> None:
    adapter = model("llava_onevision")
    plain, begun = (
        stretches(adapter, one_pass(clip, (3, "Who?"), **more), 4, None)[0].planned_tokens
        for more in ({}, {"reply_start": "Best option: ("})
    )
    assert begun - plain == adapter.reply_ids("Best option: (").shape[1] > 0


def test_within_its_range_a_model_is_planned_for_its_range(clip: Path) -> None:
    adapter = InternVL3(*tiny_internvl())
    (found,) = stretches(adapter, one_pass(clip, (3, "Who?"), (25, "Where?")), 4, None)
    assert found.planned_tokens == adapter.trained_tokens
    assert [stop.frames for stop in found.stops] == [3, 25]


def test_scaling_by_length_parts_streams_of_different_lengths(clip: Path) -> None:
    video = one_pass(clip, (3, "Who?"), (3, "Who else?"), (25, "Where?"))
    found = stretches(model("internvl3"), video, 4, None)
    assert [[stop.frames for stop in one.stops] for one in found] == [[3, 3], [25]]
    alone = [stretches(model("internvl3"), one_pass(clip, *stops), 4, None)[0].planned_tokens
             for stops in ([(3, "Who?"), (3, "Who else?")], [(25, "Where?")])]  # fmt: skip
    assert [one.planned_tokens for one in found] == alone


def test_without_such_scaling_one_stream_serves_all(clip: Path) -> None:
    adapter = model("eagle2_5")
    assert not adapter.scaled_by_length
    (found,) = stretches(adapter, one_pass(clip, (3, "Who? " * 50), (25, "Where?")), 4, None)
    assert found.planned_tokens >= sum(streamed(adapter, clip, 25)) + 100


@pytest.mark.parametrize("max_tokens", [None, 9999])
def test_archives_that_will_not_fit_are_refused_before_any_frame(
    max_tokens: int | None, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stretch,) = stretches(model("eagle2_5"), one_pass(clip, (25, "Which?")), 8, max_tokens)
    seen = sum(streamed(model("eagle2_5"), clip, 25))
    assert seen <= stretch.stream_tokens <= 1.1 * seen
    needed = archive_bytes(PlainArchive(), stretch.model, stretch.stream_tokens)
    room, cell = "crossframe.framework.archives.room.free_bytes", Cell(FullMemory())
    monkeypatch.setattr(room, lambda place: 2 * needed)
    stretch.opened({"one": cell, "other": cell})
    with pytest.raises(ValueError, match=r"3 archive\(s\) of a stream of .* take fewer frames"):
        stretch.opened({"one": cell, "two": cell, "three": cell})


def test_a_given_length_is_everyones(clip: Path) -> None:
    video = one_pass(clip, (3, "Who?"), (25, "Where?"))
    (found,) = stretches(model("internvl3"), video, 4, 777)
    assert (found.planned_tokens, found.patch_tokens) == (777, None)
    assert len(found.stops) == 2


def test_a_file_without_frames_is_told(clip: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(VideoError, match=r"empty.mp4: the file is empty"):
        stretches(model("internvl3"), one_pass(empty, (3, "Who?")), 4, None)


def test_the_reply_s_beginning_follows_the_question() -> None:
    adapter = model("qwen3_vl")
    question = Question("1", "clip", None, "Who?", "A", reply_start="Best: (")
    ids = question_ids(adapter, question)[0].tolist()
    first = adapter.question_ids("Who?")[0].tolist()
    assert ids == first + adapter.reply_ids("Best: (")[0].tolist()
