"""A built stream costs and holds what one does whose frames were all pushed."""

from __future__ import annotations

import pytest

from crossframe.experiments.publishing.built_streams import (
    ARCHIVED,
    Past,
    built_cache,
    built_session,
    filled_archive,
    next_frame,
    stock_push,
)
from crossframe.framework import CrossFrameMemory, FullMemory, Int8Archive, VideoSession
from crossframe.methods import SlidingWindowMemory, StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.tiny.qwen2 import tiny_qwen2

TOKENS = 6
MODEL = DecoderModel(tiny_qwen2())


def pushed(memory: CrossFrameMemory, frames: int) -> VideoSession:
    session = VideoSession(MODEL, memory)
    for number in range(frames):
        session.push(next_frame(MODEL, Past(number, TOKENS)))
    return session


@pytest.mark.parametrize(
    ("memory", "carried"),
    [
        (FullMemory(), {0: 0, 1: 6, 5: 30}),
        (StateKVMemory(12), {0: 0, 1: 6, 5: 12}),
        (SlidingWindowMemory(2), {0: 0, 1: 6, 5: 12}),
    ],
    ids=("full", "statekv", "window"),
)
@pytest.mark.parametrize("frames", (0, 1, 5))
def test_a_step_behind_a_built_past_is_one_behind_pushed_frames(
    memory: CrossFrameMemory, carried: dict[int, int], frames: int
) -> None:
    past = Past(frames, TOKENS)
    built = built_session(MODEL, memory, past, carried[frames])
    assert built.slots(0).num_slots == carried[frames]
    built.push(next_frame(MODEL, past))
    real = pushed(memory, frames + 1)
    assert built.cursor == real.cursor
    assert built.costs[-1].flops == real.costs[-1].flops
    assert built.costs[-1].attention == real.costs[-1].attention
    assert (built.state_bytes, built.shared_bytes) == (real.state_bytes, real.shared_bytes)
    for layer in range(MODEL.spec.num_layers):
        ours, theirs = built.slots(layer), real.slots(layer)
        assert ours.keys.shape == theirs.keys.shape
        assert int(ours.index.max()) < past.tokens + TOKENS
        assert bool((ours.index.diff(dim=-1) > 0).all())


def test_a_memory_that_let_tokens_go_archives_no_more_than_its_page_needs() -> None:
    past = Past(10_000, TOKENS)
    built = built_session(MODEL, StateKVMemory(12), past, 12)
    assert built.archive.num_tokens == ARCHIVED
    held = built.archive.bytes_held
    built.push(next_frame(MODEL, past))
    assert built.archive.bytes_held == held


def test_the_stock_cache_holds_the_past_and_grows_by_a_frame() -> None:
    assert built_cache(MODEL, Past(0, TOKENS)).get_seq_length() == 0
    cache = built_cache(MODEL, Past(5, TOKENS))
    assert cache.get_seq_length() == 30
    assert len(cache.layers) == MODEL.spec.num_layers
    stock_push(MODEL, Past(5, TOKENS))()


def test_an_archive_is_filled_in_any_codec() -> None:
    past = Past(600, TOKENS)
    archive = filled_archive(MODEL, Int8Archive(), past, past.tokens)
    assert archive.num_tokens == 3600
    assert {len(layer) for layer in archive.layers} == {4}  # codes and ranges of keys and values
    assert all(paged.length == 3600 for layer in archive.layers for paged in layer.values())
    assert archive.column("frame")[0, -1] == 599
