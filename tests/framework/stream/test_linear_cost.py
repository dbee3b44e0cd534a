"""Linear prefill, measured: a frame costs the same however long the stream has been."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossframe.framework import CrossFrameMemory, FrameTokens, FullMemory, VideoSession
from crossframe.framework.flops import step_flops, stream_flops
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import (
    IsolatedFramesMemory,
    RandomMemory,
    RecencyMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    StateKVMemory,
)
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

LAYERS, HEADS, HEAD_DIM = 2, 4, 8


@cache
def model() -> DecoderModel:
    return DecoderModel(tiny_qwen2(layers=LAYERS, heads=HEADS, hidden=HEADS * HEAD_DIM))


def bounded(kind: str, capacity: int, tokens: int) -> tuple[CrossFrameMemory, int]:
    """A memory, and the slots it carries once it is full."""
    frames = capacity // tokens
    return {
        "statekv": (StateKVMemory(capacity), capacity),
        "window": (SlidingWindowMemory(frames), frames * tokens),
        "recency": (RecencyMemory(capacity), capacity),
        "sinks": (SinksAndRecentMemory(capacity, num_sinks=min(4, capacity)), capacity),
        "random": (RandomMemory(capacity), capacity),
        "isolated": (IsolatedFramesMemory(), 0),
    }[kind]


KINDS = ["statekv", "window", "recency", "sinks", "random", "isolated"]


def measured(session: VideoSession, tokens: int, pushes: int, batch: int = 1) -> list[int]:
    """FLOPs of each push by torch's counter, without the rotary embedding's own products."""
    generator = torch.Generator().manual_seed(0)
    flops = []
    for _ in range(pushes):
        ids = torch.randint(0, model().spec.vocab, (batch, tokens), generator=generator)
        frame = model().frame(ids, session.cursor)
        with flop_counter() as counter:
            session.push(frame)
        # transformers 5.17 computes the angles by a matrix product: T * head_dim, every push.
        per_module = counter.get_flop_counts()
        rotary = [counts for name, counts in per_module.items() if name.endswith("rotary_emb")]
        flops.append(counter.get_total_flops() - sum(sum(c.values()) for c in rotary))
    return flops


def stated(session: VideoSession) -> list[int]:
    return [cost.flops for cost in session.costs]


def closed_form(carried: Sequence[int], tokens: int, *, batch: int = 1, mass: bool) -> list[int]:
    options: dict[str, Any] = {"batch": batch, "new_tokens": tokens, "extra_products": int(mass)}
    return [step_flops(model().spec, context_tokens=slots, **options) for slots in carried]


@pytest.mark.parametrize("attention", ["auto", "plain", "chunked", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
@given(tokens=st.integers(1, 7), capacity=st.integers(0, 20), batch=st.integers(1, 2))
@settings(max_examples=2)
@example(tokens=3, capacity=10, batch=2)
def test_a_bounded_memory_costs_the_same_at_every_push_once_it_is_full(
    kind, attention, tokens, capacity, batch
):
    memory, full = bounded(kind, capacity, tokens)
    filling = -(-full // tokens)
    session = VideoSession(model(), memory, attention=attention)
    flops = measured(session, tokens, filling + 4, batch)
    assert len(set(flops[filling:])) == 1
    assert sorted(set(flops)) == flops[: filling + 1]  # dearer with each push until then
    carried = [min(push * tokens, full) for push in range(len(flops))]
    mass = memory.needs_mass and attention == "sdpa"
    assert flops == closed_form(carried, tokens, batch=batch, mass=mass)
    assert flops == stated(session)


@given(tokens=st.integers(1, 9), batch=st.integers(1, 2))
@settings(max_examples=8)
def test_full_attention_grows_by_exactly_its_own_products(tokens, batch):
    for attention in ("plain", "chunked", "sdpa"):
        session = VideoSession(model(), FullMemory(), attention=attention)
        flops = measured(session, tokens, 8, batch)
        growth = {after - before for before, after in pairwise(flops)}
        assert growth == {batch * 4 * tokens**2 * HEADS * HEAD_DIM * LAYERS}
        carried = [push * tokens for push in range(8)]
        assert flops == closed_form(carried, tokens, batch=batch, mass=False)
        assert flops == stated(session)


def test_the_closed_form_of_a_whole_stream_is_what_is_measured():
    tokens, pushes = 5, 12
    cases: list[tuple[CrossFrameMemory, dict[str, Any]]] = [
        (FullMemory(), {}),
        (StateKVMemory(12), {"capacity": 12}),
        (SlidingWindowMemory(3), {"window": 3}),
    ]
    for memory, bounds in cases:
        flops = measured(VideoSession(model(), memory), tokens, pushes)
        assert flops == stream_flops(model().spec, frames=pushes, tokens_per_frame=tokens, **bounds)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_stops_growing_and_the_archive_never_copies_much(kind):
    tokens = 4
    memory, full = bounded(kind, 16, tokens)
    session = VideoSession(model(), memory)
    sizes = []
    for push in range(300):
        frame = FrameTokens(
            torch.zeros(1, tokens, model().spec.hidden),
            torch.arange(push * tokens, (push + 1) * tokens)[None, None],
        )
        session.push(frame)
        assert session.archive.bytes_copied <= 1.05 * session.archive.bytes_appended
        sizes.append(session.state_bytes)
    assert len(set(sizes[-(-full // tokens) :])) == 1
    assert session.slots(0).num_slots == full
    archived = session.archive
    assert archived.num_tokens == 300 * tokens
    keys_and_values = model().spec.kv_bytes_per_token(4) * 300 * tokens
    assert keys_and_values <= archived.bytes_held <= 4 * keys_and_values
