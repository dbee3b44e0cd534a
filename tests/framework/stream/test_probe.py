"""The probe text: what its queries attend to by plain loops, and that it leaves nothing behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    FrameTokens,
    FullMemory,
    ScoringMemory,
    Slots,
    VideoModel,
    VideoSession,
    WrappedMemory,
    close_gaps,
    next_position,
)
from crossframe.framework.flops import step_flops
from crossframe.framework.frame_tokens import Cursor
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.testing import check_memory, memory_machine
from crossframe.methods import RecencyMemory, SlidingWindowMemory, StateKVMemory

from ..streams import frames

IDS = (3, 0, 7)
FLOAT64 = torch.float64
stream = partial(frames, batch=2, seed=5)


@dataclass(frozen=True)
class Looking(WrappedMemory):
    """Adds a probe text to an inner memory and notes what each step showed it."""

    ids: tuple[int, ...] = IDS
    seen: list[list[Slots]] = field(default_factory=list)

    def probe(self, model: VideoModel) -> Tensor | None:
        return torch.tensor([self.ids])

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        self.seen.append([replace(slots) for slots in layers])
        return self.inner.update_layers(layers)


@dataclass(frozen=True)
class Salient(ScoringMemory):
    """Ranks by what the probe attends to."""

    ids: tuple[int, ...] = IDS

    def probe(self, model: VideoModel) -> Tensor | None:
        return torch.tensor([self.ids])

    def score(self, slots: Slots) -> Tensor:
        assert slots.probe_mass is not None
        slots.stats["salience"] = slots.probe_mass
        return slots.probe_mass


class Ragged(CrossFrameMemory):
    """Every other slot in the first head, two of three in the others."""

    def update(self, slots: Slots) -> Slots:
        heads = torch.arange(slots.index.shape[1])[:, None]
        return slots.keep(slots.index % (heads + 2).clamp(max=3) > 0)


class Shifted(Ragged):
    """The same, placed anew without gaps."""

    def update(self, slots: Slots) -> Slots:
        return close_gaps(super().update(slots), next_position(slots))


class LoopProbe:
    """The probe one row, one head and one token at a time, in lists and floats."""

    def __init__(self, model: VideoModel, layers: Sequence[Slots]) -> None:
        self.model, self.layers = model, layers
        self.mass: dict[int, list[list[list[float]]]] = {}

    def run(self, cursor: Cursor, ids: Sequence[int]) -> None:
        batch = self.layers[0].keys.shape[0]
        positions = torch.arange(len(ids)) + cursor.position
        embeds = self.model.embed(torch.tensor([list(ids)] * batch))
        spread = positions.expand(self.model.position_axes, batch, -1)
        self.model.step(FrameTokens(embeds, spread), self, 4096)

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        slots, output = self.layers[layer], torch.zeros_like(query)
        assert slots.rotated is not None
        held = self.model.rotate(slots.keys, slots.positions - slots.rotated, 4096)
        batch, num_heads, tokens, _ = query.shape
        self.mass[layer] = [
            [[0.0] * slots.num_slots for _ in range(key.shape[1])] for _ in range(batch)
        ]
        for row in range(batch):
            for head in range(num_heads):
                kv_head = head * key.shape[1] // num_heads
                real = [
                    place
                    for place in range(slots.num_slots)
                    if slots.valid is None or slots.valid[row, kv_head, place]
                ]
                for token in range(tokens):
                    keys = [*held[row, kv_head][real], *key[row, kv_head, : token + 1]]
                    values = [*slots.values[row, kv_head][real], *value[row, kv_head, : token + 1]]
                    powers = [math.exp(float(query[row, head, token] @ k) * scale) for k in keys]
                    for place, power in zip(real, powers, strict=False):
                        self.mass[layer][row][kv_head][place] += power / sum(powers)
                    for power, one in zip(powers, values, strict=True):
                        output[row, head, token] += power / sum(powers) * one
        return output


INNER: list[CrossFrameMemory] = [
    FullMemory(),
    StateKVMemory(5),
    SlidingWindowMemory(0),
    Ragged(),
    Shifted(),
]


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("inner", INNER, ids=lambda inner: type(inner).__name__)
def test_probe_mass_is_that_of_plain_loops(inner: CrossFrameMemory, axes: int) -> None:
    model, memory = ReferenceDecoder(axes=axes), Looking(inner)
    session = VideoSession(model, memory)
    moved = ragged = False
    for frame in stream(4, 1, 5, 3, axes=axes):
        session.push(frame)
        loops = LoopProbe(model, memory.seen[-1])
        loops.run(session.cursor, IDS)
        for slots in memory.seen[-1]:
            assert slots.probe_mass is not None
            assert slots.probe_mass.shape == slots.index.shape
            expected = torch.tensor(loops.mass[slots.layer], dtype=FLOAT64)
            torch.testing.assert_close(slots.probe_mass, expected, rtol=0, atol=1e-12)
            moved, ragged = moved or slots.moved, ragged or slots.valid is not None
    assert (moved, ragged) == (isinstance(inner, Shifted), isinstance(inner, Ragged))


def test_the_probe_sees_all_of_a_frame_that_is_causal_itself() -> None:
    # Every slot gets a share of every query, the newest and the oldest alike.
    memory = Looking(FullMemory())
    model = ReferenceDecoder()
    VideoSession(model, memory, frames_per_step=2).push(stream(4, 3))
    for slots in memory.seen[-1]:
        assert slots.probe_mass is not None
        assert slots.probe_mass.min() > 0
        total = len(IDS) * model.spec.num_query_heads / model.spec.num_kv_heads
        assert slots.probe_mass.sum(-1).max() < total, "the text's own tokens take the rest"


@pytest.mark.parametrize("in_frame", ["causal", "bidirectional"])
@pytest.mark.parametrize("inner", INNER, ids=lambda inner: type(inner).__name__)
def test_a_probe_changes_nothing_that_a_session_holds(
    inner: CrossFrameMemory, in_frame: str
) -> None:
    model = ReferenceDecoder()
    plain = VideoSession(model, inner, in_frame=in_frame)
    probed = VideoSession(model, Looking(inner), in_frame=in_frame)
    for session in (plain, probed):
        session.push(stream(4, 1, 5, 3))
    assert probed.cursor == plain.cursor
    assert probed.state_bytes == plain.state_bytes
    assert probed.archive.num_tokens == plain.archive.num_tokens == 13
    for layer in range(2):
        got, expected = probed.slots(layer), plain.slots(layer)
        assert got.probe_mass is None
        for name in ("keys", "values", "index", "frame", "visual", "positions"):
            assert torch.equal(getattr(got, name), getattr(expected, name)), name
        archived = zip(
            probed.archive.layers[layer].values(),
            plain.archive.layers[layer].values(),
            strict=True,
        )
        assert all(torch.equal(one.joined(), other.joined()) for one, other in archived)
    question = torch.tensor([1, 2])
    assert torch.equal(probed.question_logits(question), plain.question_logits(question))


def test_the_text_is_paid_for() -> None:
    model = ReferenceDecoder()
    plain, probed = (VideoSession(model, m) for m in (RecencyMemory(5), Looking(RecencyMemory(5))))
    for frame in stream(4, 3, 3):
        plain.push(frame)
        probed.push(frame)
    slots = [4, 7, 8]
    for step, (before, after) in enumerate(zip(plain.costs, probed.costs, strict=True)):
        text = step_flops(model.spec, batch=2, new_tokens=3, context_tokens=slots[step])
        assert after.flops - before.flops == text
        assert (after.tokens, after.state_bytes) == (before.tokens, before.state_bytes)


def test_a_memory_that_ranks_by_its_probe_keeps_all_laws() -> None:
    # Saving, forks, failed pushes, batches, M-RoPE and the closed form of the cost among them.
    check_memory(Salient(4), unbounded=Salient(None), max_examples=8)


TestSalient = memory_machine(Salient(4), max_examples=8).TestCase


def test_a_wrapper_passes_the_probe_on_and_rows_do_not_touch_each_other() -> None:
    model = ReferenceDecoder()
    given = stream(4, 5, 5)
    both = VideoSession(model, WrappedMemory(Salient(3)))
    both.push(given)
    for row in range(2):
        alone = VideoSession(model, Salient(3))
        alone.push(
            [FrameTokens(f.embeds[row : row + 1], f.positions[:, row : row + 1]) for f in given]
        )
        for layer in range(2):
            assert torch.equal(both.slots(layer).index[row], alone.slots(layer).index[0])


def test_padding_of_ragged_heads_has_no_probe_mass() -> None:
    index = torch.arange(4).expand(1, 2, -1)
    rows = torch.zeros(1, 2, 4, 2)
    slots = Slots(rows, rows, index, index, index >= 0, index[None], probe_mass=torch.ones(1, 2, 4))
    kept = slots.keep(torch.tensor([[[True, True, True, False], [False, False, True, False]]]))
    assert kept.probe_mass is not None
    assert kept.probe_mass.tolist() == [[[1, 1, 1], [0, 0, 1]]]


@dataclass(frozen=True)
class Speaking(CrossFrameMemory):
    """Probes with whatever it is given."""

    ids: Tensor

    def probe(self, model: VideoModel) -> Tensor | None:
        return self.ids

    def update(self, slots: Slots) -> Slots:
        return slots


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            torch.tensor([1, 2]),
            r"integer ids \[1, tokens\] of at least one token, got shape \(2,\)",
        ),
        (torch.tensor([[1], [2]]), r"got shape \(2, 1\) of torch.int64"),
        (torch.zeros(1, 0, dtype=torch.int64), r"got shape \(1, 0\)"),
        (torch.tensor([[1.0]]), r"got shape \(1, 1\) of torch.float32"),
        (torch.tensor([[True]]), r"of torch.bool"),
        (torch.tensor([[30, 31]]), r"Speaking: the probe has ids 30..31, the model knows 0..30: "),
        (torch.tensor([[-1, 4]]), r"the probe has ids -1..4, .* model's own tokenizer"),
    ],
)
def test_a_text_that_is_none_is_refused_and_leaves_no_trace(ids: Tensor, message: str) -> None:
    model = ReferenceDecoder()
    session = VideoSession(model, Speaking(ids))
    with pytest.raises(ValueError, match=message):
        session.push(stream(3))
    assert (session.cursor, session.archive.num_tokens, len(session.costs)) == (Cursor(), 0, 0)


def test_a_text_that_the_planned_range_has_no_room_for_is_refused() -> None:
    model = ReferenceDecoder()
    given = stream(4, 4)
    VideoSession(model, Salient(3), max_tokens=11).push(given)
    session = VideoSession(model, Salient(3), max_tokens=10)
    session.push(given[0])
    with pytest.raises(ValueError, match=r"the stream and Salient's probe would reach 11 tokens"):
        session.push(given[1])
    assert session.cursor.tokens == session.archive.num_tokens == 4


def test_a_bounded_reach_bounds_the_room_a_text_needs() -> None:
    @dataclass(frozen=True)
    class Near(Salient):
        def reach(self, frame_tokens: int) -> int | None:
            return 5

        def select(self, slots: Slots, score: Tensor) -> Slots:
            return close_gaps(super().select(slots, score), next_position(slots))

    model = ReferenceDecoder()
    given = stream(*[4] * 20)
    VideoSession(model, Near(5), max_tokens=12).push(given)
    with pytest.raises(ValueError, match=r"would reach 12 tokens, .* planned for 11"):
        VideoSession(model, Near(5), max_tokens=11).push(given)
