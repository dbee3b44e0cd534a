"""ReKV against loops over the keys and queries as the decoder made them, before RoPE."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CPUArchive,
    Cursor,
    DecoderSpec,
    FrameTokens,
    FullMemory,
    Int8Archive,
    PlainArchive,
    ReadAll,
    Slots,
    VideoSession,
)
from crossframe.framework.reference import TINY, ReferenceDecoder
from crossframe.framework.testing.reader_laws import WatchedReader
from crossframe.methods import ReKVReader, StateKVMemory
from crossframe.methods.readers import rekv
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

from ...every import Counting

SIZES = replace(TINY, num_layers=3, num_query_heads=6)
Vector = list[float]


@dataclass(eq=False)
class Recording(ReferenceDecoder):
    """Notes every projected query and key before the decoder's own rotation."""

    sizes: DecoderSpec = SIZES
    raw: list[Tensor] = field(default_factory=list)

    def rotate(self, keys: Tensor, delta: Tensor, max_tokens: int) -> Tensor:
        if max_tokens == 0:  # as the decoder itself calls it, query then key of each layer
            self.raw.append(keys)
        return super().rotate(keys, delta, max_tokens)

    def take(self) -> tuple[list[Tensor], list[Tensor]]:
        """Queries and keys [B, heads, tokens, D] of every layer since the last call."""
        made, self.raw = self.raw, []
        return made[::2], made[1::2]


class LoopReKV:
    """Frames' keys as lists; which blocks a question retrieves, one layer and row at a time."""

    def __init__(self, blocks: int, block_frames: int) -> None:
        self.blocks, self.block_frames = blocks, block_frames
        # Per layer and row: block -> the keys of its tokens, each of all KV heads in a row.
        self.keys: dict[tuple[int, int], dict[int, list[list[Vector]]]] = {}
        self.tokens: dict[int, list[int]] = {}
        self.prompt: list[int] = []
        self.seen = 0

    def push(self, frame: int, keys: list[Tensor]) -> None:
        numbers = list(range(self.seen, self.seen + keys[0].shape[2]))
        self.seen += len(numbers)
        if frame < 0:
            self.prompt = numbers
            return
        block = frame // self.block_frames
        self.tokens.setdefault(block, []).extend(numbers)
        for layer, made in enumerate(keys):
            for row, heads in enumerate(made.tolist()):
                stored = self.keys.setdefault((layer, row), {}).setdefault(block, [])
                stored.extend([head[t] for head in heads] for t in range(len(numbers)))

    def picked(self, layer: int, row: int, queries: list[list[Vector]]) -> list[int]:
        """Token numbers that a question with queries [H][tokens][D] reads."""
        scores = {
            block: self._score(queries, tokens)
            for block, tokens in self.keys.get((layer, row), {}).items()
        }
        ranked = sorted(scores, key=lambda block: (scores[block], block), reverse=True)
        chosen = sorted(ranked[: self.blocks])
        return self.prompt + [number for block in chosen for number in self.tokens[block]]

    def _score(self, queries: list[list[Vector]], tokens: list[list[Vector]]) -> float:
        total, group = 0.0, len(queries) // len(tokens[0])
        for head, asked in enumerate(queries):
            for place in range(len(asked[0])):
                query = sum(token[place] for token in asked) / len(asked)
                key = sum(token[head // group][place] for token in tokens) / len(tokens)
                total += query * key
        return total


def stream(count: int, axes: int, batch: int, seed: int) -> list[FrameTokens]:
    """A prompt and frames of 1 to 6 tokens; under M-RoPE in a grid two tokens wide."""
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    made, cursor = [], 0
    for number in range(count + 1):
        size = 3 if number == 0 else rng.randint(1, 6)
        place = torch.arange(size)
        positions = place.expand(axes, batch, -1)
        if axes == 3 and number:
            grid = torch.stack([torch.zeros(size).long(), place // 2, place % 2])
            positions = grid[:, None].expand(-1, batch, -1)
        embeds = torch.randn(batch, size, SIZES.hidden, generator=generator, dtype=torch.float64)
        visual = torch.full((batch, size), number > 0)
        made.append(FrameTokens(embeds, positions + cursor, visual))
        cursor = int(made[-1].positions.max()) + 1
    return made


def reading(
    session: VideoSession, reader: ReKVReader, question: Tensor
) -> tuple[list[Slots], list[Tensor]]:
    """What every layer reads, and the queries before RoPE it was chosen by."""
    watched = WatchedReader(reader)
    assert isinstance(session.model, Recording)
    session.model.take()
    session.fork(reader=watched).question_logits(question)
    return [pick.slots for pick in watched.picks], session.model.take()[0]


def row_of(slots: Slots, row: int, head: int) -> list[int]:
    numbers = slots.index[row, head]
    return (numbers if slots.valid is None else numbers[slots.valid[row, head]]).tolist()


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize(("blocks", "block_frames"), [(4, 1), (2, 3)])
def test_every_layer_and_row_reads_what_the_loops_retrieve(
    axes: int, blocks: int, block_frames: int
) -> None:
    model, reader = Recording(axes=axes), ReKVReader(blocks, block_frames)
    session = VideoSession(model, StateKVMemory(9))
    loops = LoopReKV(blocks, block_frames)
    generator = torch.Generator().manual_seed(axes)
    different_rows = different_layers = 0
    for number, frame in enumerate(stream(60, axes, batch=2, seed=blocks)):
        model.take()
        session.push(frame)
        loops.push(number - 1, model.take()[1])
        question = torch.randint(0, SIZES.vocab, (2, 1 + number % 4), generator=generator)
        slots, queries = reading(session, reader, question)
        expected = [
            [loops.picked(layer, row, queries[layer][row].tolist()) for row in range(2)]
            for layer in range(SIZES.num_layers)
        ]
        for layer, rows in enumerate(expected):
            for row, numbers in enumerate(rows):
                for head in range(SIZES.num_kv_heads):
                    assert row_of(slots[layer], row, head) == numbers
            different_rows += rows[0] != rows[1]
        different_layers += expected[0] != expected[2]
    assert different_rows > 10 and different_layers > 10


def test_contiguous_slots_stand_right_before_the_question_without_gaps() -> None:
    session = VideoSession(Recording(), FullMemory())
    session.push(stream(20, 1, batch=2, seed=5))
    end = session.cursor.position
    for slots in reading(session, ReKVReader(3), torch.tensor([[1, 2], [5, 4]]))[0]:
        for row in range(2):
            valid = slots.valid[row, 0] if slots.valid is not None else slice(None)
            places = slots.positions[0, row, 0][valid].tolist()
            assert places == list(range(end - len(places), end))


def test_frames_keep_their_grid_when_they_are_moved_under_m_rope() -> None:
    session = VideoSession(Recording(axes=3), FullMemory())
    session.push(stream(20, 3, batch=1, seed=5))
    end = session.cursor.position
    for slots in reading(session, ReKVReader(3), torch.tensor([[1, 2]]))[0]:
        assert slots.rotated is not None
        behind = end
        for frame in reversed(slots.frame[0, 0].unique().tolist()):
            own = slots.frame[0, 0] == frame
            new, old = (p[:, 0, 0][:, own] for p in (slots.positions, slots.rotated))
            assert torch.equal(new - new.min(), old - old.min())
            assert int(new.max()) == behind - 1
            behind = int(new.min())


def test_kept_positions_are_those_of_the_stream() -> None:
    session = VideoSession(Recording(), FullMemory())
    session.push(stream(20, 1, batch=1, seed=2))
    reader = ReKVReader(3, positions="kept")
    for slots in reading(session, reader, torch.tensor([[1, 2]]))[0]:
        assert not slots.moved
        assert torch.equal(slots.positions[0], slots.index)  # of a stream without gaps


@pytest.mark.parametrize("axes", [1, 3])
def test_with_as_many_blocks_as_frames_all_is_read(axes: int) -> None:
    session = VideoSession(Recording(axes=axes), StateKVMemory(7))
    session.push(stream(12, axes, batch=2, seed=3))
    question = torch.tensor([[3, 1, 4], [1, 5, 9]])
    expected = session.question_logits(question)
    kept, closed, fewer = (
        session.fork(reader=reader).question_logits(question)
        for reader in (ReKVReader(12, positions="kept"), ReKVReader(12), ReKVReader(11))
    )
    assert torch.equal(kept, expected)
    # This stream has no gaps to close: every key is turned by 0.
    torch.testing.assert_close(closed, expected, atol=1e-12, rtol=0)
    assert not torch.allclose(fewer, expected)


def test_rows_of_a_batch_read_as_they_would_alone() -> None:
    frames, question = stream(20, 1, batch=2, seed=4), torch.tensor([[3, 1], [5, 9]])
    together = VideoSession(Recording(), FullMemory(), reader=ReKVReader(2))
    together.push(frames)
    logits = together.question_logits(question)
    for row in range(2):
        alone = VideoSession(Recording(), FullMemory(), reader=ReKVReader(2))
        alone.push([_row(frame, row) for frame in frames])
        got = alone.question_logits(question[row])
        torch.testing.assert_close(got[0], logits[row], atol=1e-12, rtol=0)


def _row(frame: FrameTokens, row: int) -> FrameTokens:
    own = slice(row, row + 1)
    return replace(
        frame,
        embeds=frame.embeds[own],
        positions=frame.positions[:, own],
        visual=frame.visual_mask()[own],
    )


def test_equal_frames_retrieve_the_newer_one() -> None:
    # Four copies at one position are one and the same key; the mean over each is the same too.
    session = VideoSession(Recording(), StateKVMemory(0))
    frame = FrameTokens(torch.ones(1, 2, SIZES.hidden).double(), torch.arange(2)[None, None])
    session.push([frame] * 4)
    slots, _ = reading(session, ReKVReader(2), torch.tensor([[1]]))
    assert slots[0].frame[0, 0].tolist() == [2, 2, 3, 3]


@pytest.mark.parametrize("inner", [PlainArchive(), CPUArchive(), Int8Archive()], ids=repr)
def test_an_archive_is_unpacked_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch, inner: PlainArchive
) -> None:
    frames, question = stream(40, 1, batch=1, seed=6), torch.tensor([[3, 1]])
    archive = Counting(inner=inner)
    session = VideoSession(Recording(), FullMemory(), archive=archive, reader=ReKVReader(2))
    session.push(frames)
    whole = session.question_logits(question)
    assert max(archive.unpacked) == session.archive.num_tokens > 64
    archive.unpacked.clear()
    monkeypatch.setattr(rekv, "RUN_TOKENS", 16)
    in_runs = session.question_logits(question)
    torch.testing.assert_close(in_runs, whole, atol=1e-12, rtol=0)
    assert max(archive.unpacked) <= 16
    assert not torch.allclose(in_runs, session.fork(reader=ReadAll()).question_logits(question))


def test_keys_of_a_transformers_model_are_turned_back_to_before_rope() -> None:
    model = DecoderModel(tiny_qwen2(dtype=torch.float64, layers=1, rope_factor=2.0))
    made: list[Tensor] = []
    projection = model.decoder.layers[0].self_attn.k_proj
    hook = projection.register_forward_hook(lambda *call: made.append(call[2]))
    session = VideoSession(model, FullMemory(), max_tokens=model.trained_tokens * 3)
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn(1, 9, model.spec.hidden, generator=generator, dtype=torch.float64)
    session.push(FrameTokens(embeds, model.text_positions(Cursor(), 1, 9)))
    hook.remove()
    watched = WatchedReader(ReadAll())
    session.fork(reader=watched).question_logits([1, 2])
    pick = watched.picks[0]
    assert pick.archive.rotate is not None
    back = pick.archive.rotate(pick.slots.keys, -pick.slots.positions)
    raw = made[0].unflatten(-1, (-1, model.spec.head_dim)).transpose(1, 2)
    # transformers takes sine and cosine in float32, whatever the model's dtype.
    torch.testing.assert_close(back, raw, atol=1e-6, rtol=0)
    assert not torch.allclose(pick.slots.keys, raw)


def test_long_questions_find_room_in_the_planned_range() -> None:
    frames = stream(12, 1, batch=1, seed=0)
    session = VideoSession(Recording(), FullMemory(), reader=ReKVReader(2), max_tokens=60)
    session.push(frames)
    largest = max(frame.num_tokens for frame in frames)
    assert ReKVReader(2).reach(None, largest) == 3 * largest
    assert ReKVReader(2, 4).reach(None, largest) == 9 * largest
    assert ReKVReader(2, positions="kept").reach(None, largest) is None
    question = torch.ones(session.max_tokens - 3 * largest, dtype=torch.int64)
    assert session.question_logits(question).isfinite().all()
    with pytest.raises(ValueError, match="question and answer would reach"):
        session.fork(reader=ReadAll()).question_logits(question)
