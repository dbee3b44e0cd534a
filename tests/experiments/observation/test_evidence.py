"""The measures of evidence against sets and floats, by hand, and against real sessions."""

import math
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.experiments.observation.evidence import LEVELS, Evidence, WatchedMemory
from crossframe.framework import DecoderSpec, FrameTokens, FullMemory, Slots, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import StateKVMemory

from .evidence_oracle import Step, recency, rows

CAPACITIES = (1, 2, 5, 9, 1000)


def slots_of(steps: Sequence[Step], number: int, layer: int = 0) -> Slots:
    """[everything so far] of one layer, as a step of full attention shows it."""
    seen = steps[: number + 1]
    mass = torch.tensor([seen[-1].mass], dtype=torch.float64)
    frame = torch.tensor([step.frame for step in seen for _ in range(step.new_tokens)])
    shape = mass.shape
    keys = torch.zeros(*shape, 2)
    index = torch.arange(shape[-1]).expand(shape)
    return Slots(
        keys=keys,
        values=keys,
        index=index,
        frame=frame.expand(shape),
        visual=frame.expand(shape) >= 0,
        positions=index[None],
        mass=mass,
        num_new=seen[-1].new_tokens,
        layer=layer,
    )


@st.composite
def streams(draw: st.DrawFn) -> list[Step]:
    """Prompt or none, unequal frames, masses with ties."""
    heads = draw(st.integers(1, 3))
    prompt = [-1] if draw(st.booleans()) else []
    frames = [*prompt, *range(draw(st.integers(2, 7)))]
    counts = [draw(st.integers(1, 4)) for _ in frames]
    few = draw(st.sampled_from([3, 1000]))  # few values give many ties
    random = draw(st.randoms(use_true_random=False))
    return [
        Step(
            frame,
            count,
            [
                [random.randint(1, few) / 8 for _ in range(sum(counts[: n + 1]))]
                for _ in range(heads)
            ],
        )
        for n, (frame, count) in enumerate(zip(frames, counts, strict=True))
    ]


def require_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected.keys() <= found.keys()
    for name, value in expected.items():
        if value is None:
            assert math.isnan(found[name]), name
        else:
            assert found[name] == pytest.approx(value, abs=1e-12), name


@given(stream=streams())
def test_every_measure_equals_that_of_sets_and_floats(stream: list[Step]) -> None:
    evidence = Evidence(CAPACITIES, (1, 2, 4))
    for number in range(len(stream)):
        evidence(slots_of(stream, number))
    for level in LEVELS:
        for capacity in CAPACITIES:
            found = [r for r in evidence.rows if (r["level"], r["capacity"]) == (level, capacity)]
            expected = list(rows(stream, capacity, summed=level == "layer"))
            for ours, theirs in zip(found, expected, strict=True):
                require_equal(ours, theirs)
        for frames in (1, 2, 4):
            own = [
                r for r in evidence.recency if (r["level"], r["recent_frames"]) == (level, frames)
            ]
            beside = list(recency(stream, frames, summed=level == "layer"))
            for ours, theirs in zip(own, beside, strict=True):
                require_equal(ours, theirs)


def test_three_frames_of_one_token_by_hand() -> None:
    stream = [
        Step(0, 1, [[1.0]]),
        Step(1, 1, [[0.4, 0.6]]),
        Step(2, 1, [[0.5, 0.2, 0.3]]),
    ]
    evidence = Evidence([1], [1])
    for number in range(3):
        evidence(slots_of(stream, number))
    second, third = (row for row in evidence.rows if row["level"] == "layer")
    require_equal(
        second,
        {
            "history": 1,
            "captured": 1.0,  # token 0 is all there is
            "recall": 1.0,  # token 1, wanted, is in the pool as the frame's own
            "recall_past": 1.0,
            "retention": 0.0,  # token 1 pushes token 0 out
            "churn": 1.0,
            "retention_past": None,  # nothing was there before the first frame
            "churn_past": 1.0,
            "retention_rolled": 0.0,
            "retention_rolled_past": None,
            "churn_rolled_past": None,  # what is held is the frame's own
        },
    )
    require_equal(
        third,
        {
            "history": 2,
            "captured": 0.5 / 0.7,
            "captured_rolled": 0.2 / 0.7,  # token 1, which frame 1 wanted
            "recall": 0.0,  # token 0 is wanted; the pool is tokens 1 and 2
            "weighted_recall": 0.0,
            "recall_rolled": 0.0,
            "retention": 0.0,
            "churn": 1.0,
            "retention_past": 1.0,  # of earlier frames' tokens, 0 was best twice
            "churn_past": 0.0,
            "retention_rolled": 0.0,  # token 2 (0.3) pushes token 1 (0.2) out
            "retention_rolled_past": None,
        },
    )
    beside = evidence.recency[-1]
    require_equal(beside, {"slots": 1, "captured_recent": 0.2 / 0.7, "captured_best": 0.5 / 0.7})
    require_equal(beside, {"gap": 0.3 / 0.7, "captured_recent_sinks": 1.0})


def test_heads_are_measured_apart_and_averaged() -> None:
    """Two heads that love different tokens are concentrated each, and not together."""
    stream = [Step(0, 2, [[1.0, 0.5], [1.0, 0.5]]), Step(1, 1, [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])]
    evidence = Evidence([1])
    for number in range(2):
        evidence(slots_of(stream, number))
    together, apart = evidence.rows
    assert (together["level"], apart["level"]) == LEVELS
    assert together["captured"] == pytest.approx(0.5)
    assert apart["captured"] == pytest.approx(0.8 / 0.9)


@pytest.mark.parametrize("capacities", [[0], [4, -1], [True], [2.5]])
def test_capacities_below_one_are_refused(capacities: list[Any]) -> None:
    with pytest.raises(ValueError, match="Evidence: capacities must be an integer of at least 1"):
        Evidence(capacities)


# Real sessions


def frames(
    count: int, hidden: int, tokens: Sequence[int] = (3, 5, 4), prompt: int = 0
) -> list[FrameTokens]:
    generator, made, position = torch.Generator().manual_seed(3), list[FrameTokens](), 0
    for number in range(-1 if prompt else 0, count):
        size = prompt if number < 0 else tokens[number % len(tokens)]
        embeds = torch.randn(1, size, hidden, generator=generator, dtype=torch.float64)
        positions = (torch.arange(size) + position).view(1, 1, -1)
        made.append(FrameTokens(embeds, positions, torch.full((1, size), number >= 0)))
        position += size
    return made


def held(session: VideoSession, layer: int) -> Tensor:
    """[heads, tokens] bool."""
    index = session.slots(layer).index[0]
    mask = torch.zeros(len(index), session.cursor.tokens, dtype=torch.bool)
    return mask.scatter(-1, index, True)


def test_watching_changes_nothing_and_lets_the_mass_go() -> None:
    model = ReferenceDecoder()
    evidence, masses = Evidence([4]), list[weakref.ref[Tensor]]()

    def show(slots: Slots) -> None:
        assert slots.mass is not None
        masses.append(weakref.ref(slots.mass))
        evidence(slots)

    watched, full = VideoSession(model, WatchedMemory(show)), VideoSession(model, FullMemory())
    for frame in frames(6, model.spec.hidden, prompt=2):
        watched.push(frame)
        full.push(frame)
    assert len(masses) == 7 * model.spec.num_layers
    assert not any(mass() is not None for mass in masses)
    question = [1, 2, 3]
    difference = watched.question_logits(question) - full.question_logits(question)
    assert difference.abs().max() < 1e-12


def test_what_is_held_does_not_grow_beyond_one_set_per_capacity() -> None:
    """Layers x levels x three sets x capacities x heads x tokens of booleans, and rows."""
    model = ReferenceDecoder()
    evidence = Evidence(CAPACITIES)
    session = VideoSession(model, WatchedMemory(evidence))
    session.push(frames(12, model.spec.hidden))
    heads = 1 + model.spec.num_kv_heads  # level "layer" counts as one
    tokens = session.cursor.tokens
    found = [s for c in evidence.carried.values() for s in (c.oracle, c.past, c.rolled)]
    assert {each.dtype for each in found} == {torch.bool}
    expected = model.spec.num_layers * 3 * len(CAPACITIES) * heads * tokens
    assert sum(each.untyped_storage().nbytes() for each in found) == expected


def test_rolled_out_is_what_statekv_holds_until_its_first_eviction_in_every_layer() -> None:
    """Up to there its mass is full attention's; afterwards it normalises over fewer keys."""
    model, capacity = ReferenceDecoder(), 10
    evidence = Evidence([capacity])
    full, bounded = (
        VideoSession(model, memory) for memory in (WatchedMemory(evidence), StateKVMemory(capacity))
    )
    for frame in frames(3, model.spec.hidden):
        full.push(frame)
        bounded.push(frame)
    assert bounded.cursor.tokens > capacity
    for layer in range(model.spec.num_layers):
        assert torch.equal(evidence.carried[layer, "head"].rolled[0], held(bounded, layer))


def test_rolled_out_is_what_statekv_holds_in_layer_0_where_one_query_decides() -> None:
    """With one query per frame and KV head the normaliser cannot change the ranking; in deeper
    layers StateKV's own hidden states differ."""
    spec = DecoderSpec(3, 24, 32, num_query_heads=2, num_kv_heads=2, head_dim=12, vocab=31)
    model, capacity = ReferenceDecoder(spec), 6
    evidence = Evidence([capacity])
    full, bounded = (
        VideoSession(model, memory) for memory in (WatchedMemory(evidence), StateKVMemory(capacity))
    )
    differs = set[int]()
    for frame in frames(40, spec.hidden, tokens=(1,)):
        full.push(frame)
        bounded.push(frame)
        for layer in range(3):
            if not torch.equal(evidence.carried[layer, "head"].rolled[0], held(bounded, layer)):
                differs.add(layer)
    assert 0 not in differs
    assert differs
