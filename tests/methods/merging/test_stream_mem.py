"""StreamMem against plain loops that make every prototype anew from the tokens' own keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from crossframe.framework import (
    FrameTokens,
    Slots,
    VideoSession,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing import check_law, memory_machine
from crossframe.methods import StreamMemMemory, TokenDroppingMemory
from crossframe.models import DecoderModel, InternVL3
from crossframe.models.tiny import tiny_internvl, tiny_qwen2

from ..test_ragged_heads import FewerInFirstHead
from .test_merged_evictions import Closed

PROBE = (3, 0, 7)


def loops(capacity: int) -> Callable[[Any, int, int], list[Any]]:
    """The rule for one head, from lists of slots and saliencies."""

    def rule(head: Any, row: int, k: int) -> list[Any]:
        slots, saliency = head.slots, head.probe_mass
        if len(slots) <= capacity:
            return slots
        frames: dict[int, list[int]] = {}
        for place in range(len(slots) - head.num_new, len(slots)):
            if slots[place].visual:
                frames.setdefault(slots[place].frame, []).append(place)
        carriers = [min(places, key=lambda p: (saliency[p], p)) for places in frames.values()]
        first = {*carriers, *(p for p, slot in enumerate(slots) if slot.frame < 0)}
        ranked = sorted(
            range(len(slots)), key=lambda p: (math.inf if p in first else saliency[p], p)
        )
        kept = sorted(ranked[-capacity:])
        for carrier, places in zip(carriers, frames.values(), strict=True):
            if carrier in kept and not set(places) <= set(kept):
                total = sum(saliency[p] for p in places)
                spots = zip(*(slots[p].position for p in places), strict=True)
                slot = slots[carrier]
                slot.position = tuple(math.floor(sum(a) / len(a) + 0.5) for a in spots)
                slot.shares = {slots[p].number: saliency[p] / total for p in places}
        return [slots[p] for p in kept]

    return rule


@pytest.mark.parametrize(
    ("capacity", "axes", "frames_per_step"),
    [(24, 1, 1), (17, 3, 1), (19, 1, 3), (20, 3, 2), (11, 1, 1), (9, 3, 4)],
)
def test_slots_and_prototypes_are_those_of_plain_loops(
    equals_merging_loops, capacity: int, axes: int, frames_per_step: int
) -> None:
    met = equals_merging_loops(
        StreamMemMemory(capacity, PROBE),
        loops(capacity),
        probe=PROBE,
        axes=axes,
        frames_per_step=frames_per_step,
    )
    assert met > 60


@pytest.mark.parametrize("law", ["1 attention", "4 merging", "7 boundedness", "10 saving"])
@pytest.mark.parametrize("wrapper", [FewerInFirstHead, Closed])
def test_laws_hold_where_heads_are_ragged_and_slots_were_moved(wrapper: Any, law: str) -> None:
    check_law(law, wrapper(StreamMemMemory(8, PROBE)), max_examples=2)


def test_the_text_before_the_video_survives_a_hundred_compactions(frames) -> None:
    stream = frames(3, *[5] * 100)
    stream[0] = FrameTokens(
        stream[0].embeds, stream[0].positions, torch.zeros(1, 3, dtype=torch.bool)
    )
    session = VideoSession(ReferenceDecoder(), StreamMemMemory(9, PROBE))
    for frame in stream:
        session.push(frame)
    for layer in range(2):
        assert session.slots(layer).index[..., :3].tolist() == [[[0, 1, 2]] * 2]
        assert session.slots(layer).num_slots == 9


def slots_of(saliency: list[float], frame: list[int], num_new: int) -> Slots:
    """One head; keys and values are the token numbers, and turning leaves keys alone."""
    index = torch.arange(len(saliency))[None, None]
    rows = index[..., None].double().expand(-1, -1, -1, 2)
    return Slots(
        keys=rows,
        values=-rows,
        index=index,
        frame=torch.tensor([[frame]]),
        visual=index >= 0,
        positions=10 * index[None],
        num_new=num_new,
        probe_mass=torch.tensor([[saliency]], dtype=torch.float64),
        turn=lambda keys, delta: keys,
    )


def test_a_thinned_frame_leaves_a_weighted_mean_at_its_middle() -> None:
    kept = StreamMemMemory(3, PROBE).update(slots_of([0.5, 0.1, 0.3, 0.6], [0, 1, 1, 1], 3))
    # Token 1 carries; 2 has to go beside 0 and 3.
    assert kept.index.tolist() == [[[0, 1, 3]]]
    assert kept.keys[0, 0, :, 0].tolist() == pytest.approx([0, (0.1 + 0.6 + 1.8) / 1.0, 3])
    assert kept.values[0, 0, :, 1].tolist() == pytest.approx([0, -2.5, -3])
    assert kept.positions.tolist() == [[[[0, 20, 30]]]]
    assert not kept.moved
    assert kept.stats["merged"].tolist() == [[[0, 2, 0]]]


def test_a_frame_that_is_kept_whole_leaves_none() -> None:
    kept = StreamMemMemory(3, PROBE).update(slots_of([0.5, 0.1, 0.3, 0.6], [0, 0, 1, 1], 2))
    assert kept.index.tolist() == [[[0, 2, 3]]]
    assert kept.keys[0, 0, :, 0].tolist() == [0, 2, 3]
    assert kept.stats["merged"].tolist() == [[[0, 0, 0]]]


def test_a_frame_without_any_saliency_is_averaged_alike() -> None:
    kept = StreamMemMemory(2, PROBE).update(slots_of([0.5, 0, 0, 0], [0, 1, 1, 1], 3))
    assert kept.index.tolist() == [[[0, 1]]]
    assert kept.keys[0, 0, :, 0].tolist() == pytest.approx([0, 2])


def test_more_frames_than_room_keep_the_newest_prototypes() -> None:
    kept = StreamMemMemory(1, PROBE).update(slots_of([0.9, 0.1, 0.2, 0.3], [0, 0, 1, 1], 4))
    assert kept.index.tolist() == [[[2]]]
    assert kept.keys[0, 0, :, 0].tolist() == pytest.approx([(0.2 * 2 + 0.3 * 3) / 0.5])


def test_slots_that_no_step_brought_are_only_ranked() -> None:
    kept = StreamMemMemory(2, PROBE).update(slots_of([0.9, 0.1, 0.2], [0, 0, 1], 0))
    assert kept.index.tolist() == [[[0, 2]]]
    assert kept.keys[0, 0, :, 0].tolist() == [0, 2]


@pytest.mark.parametrize("capacity", [2, 3, 4, 5])
def test_a_padded_head_merges_as_it_does_alone(capacity: int) -> None:
    saliency, frame = [0.5, 0.1, 0.3, 0.6], [0, 1, 1, 1]
    alone = StreamMemMemory(capacity, PROBE).update(slots_of(saliency, frame, 3))
    padded = slots_of([0.0, 0.0, *saliency], [0, 0, *frame], 3)
    padded.valid = torch.tensor([[[False] * 2 + [True] * 4]])
    padded.index = torch.tensor([[[-6, -5, 0, 1, 2, 3]]])
    padded.keys, padded.values = padded.keys - 2, padded.values + 2
    kept = StreamMemMemory(capacity, PROBE).update(padded)
    real = kept.index[0, 0] >= 0
    assert int(real.sum()) == min(capacity, 4)
    for name in ("index", "keys", "values"):
        assert torch.equal(getattr(kept, name)[0, 0][real], getattr(alone, name)[0, 0])


@pytest.mark.parametrize("capacity", [None, 1000])
def test_without_a_bound_nothing_is_merged(capacity: int | None, frames) -> None:
    session = VideoSession(ReferenceDecoder(), StreamMemMemory(capacity, PROBE))
    session.push(frames(*[5] * 6))
    slots = session.slots(1)
    assert (slots.num_slots, slots.moved) == (30, False)
    assert "merged" not in slots.stats
    assert torch.equal(slots.keys, session.archive.layers[1]["keys"].joined())


def test_prototypes_have_the_models_dtype(frames) -> None:
    session = VideoSession(ReferenceDecoder(float_type=torch.bfloat16), StreamMemMemory(9, PROBE))
    for frame in frames(*[5] * 6):
        session.push(FrameTokens(frame.embeds.bfloat16(), frame.positions))
    slots = session.slots(0)
    assert slots.keys.dtype == slots.values.dtype == torch.bfloat16
    assert slots.stats["merged"].max() == 4
    assert slots.keys.isfinite().all()


def test_without_ids_the_models_own_text_looks() -> None:
    model = InternVL3(*tiny_internvl(dtype=torch.float64, layers=2, hidden=32, image_size=28))
    ids = tuple(model.question_ids("")[0].tolist())
    own, given = (VideoSession(model, StreamMemMemory(9, probe)) for probe in (None, ids))
    other = VideoSession(model, StreamMemMemory(9, (1, 2)))
    images = torch.randint(0, 256, (5, 28, 28, 3)).to(torch.uint8)
    for session in (own, given, other):
        session.push(images)
    for name in ("index", "keys"):
        expected = getattr(given.slots(1), name)
        assert torch.equal(getattr(own.slots(1), name), expected)
    assert not torch.equal(other.slots(1).index, given.slots(1).index)


def test_a_model_without_a_tokenizer_needs_ids(frames) -> None:
    model = DecoderModel(tiny_qwen2(dtype=torch.float64, layers=1, hidden=24))
    with pytest.raises(ValueError, match=r"StreamMemMemory: .* give probe_ids \(DecoderModel has"):
        VideoSession(model, StreamMemMemory(9)).push(frames(3))


def test_it_stands_behind_a_filter_of_the_input(frames) -> None:
    first, second = frames(6, 6)
    still = FrameTokens(first.embeds, second.positions)
    memory = TokenDroppingMemory(StreamMemMemory(4, PROBE), threshold=0.95)
    session = VideoSession(ReferenceDecoder(), memory)
    session.push([first, still])
    assert session.archive.num_tokens == 7
    assert session.slots(0).stats["merged"].max() == 5


def test_a_saved_session_gives_the_same_settings_back(frames, tmp_path) -> None:
    session = VideoSession(ReferenceDecoder(), StreamMemMemory(9, PROBE))
    session.push(frames(4, 4, 4))
    session.save(tmp_path / "session")
    again = VideoSession.load(tmp_path / "session", ReferenceDecoder())
    assert again.memory == StreamMemMemory(9, PROBE)
    assert hash(again.memory) == hash(session.memory)


TestStreamMem = memory_machine(StreamMemMemory(4, PROBE), max_examples=8).TestCase
