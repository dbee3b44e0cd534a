"""InfiniPot-V against a plain-loop oracle, and what becomes of prompt, text and patch numbers."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from crossframe.framework import FrameTokens, Slots, VideoSession
from crossframe.framework.reference import TINY, ReferenceDecoder
from crossframe.methods import InfiniPotVMemory, TokenDroppingMemory

from ..loops import cosine

SPEC = replace(TINY, num_layers=4)
PROMPT = 3


def _frame(start: int, tokens: int, seed: int, visual: list[bool], patch: list[int]) -> FrameTokens:
    generator = torch.Generator().manual_seed(seed)
    embeds = torch.randn(2, tokens, 24, generator=generator, dtype=torch.float64)
    return FrameTokens(
        embeds,
        torch.arange(start, start + tokens).expand(1, 2, -1),
        torch.tensor(visual).expand(2, -1),
        stats={"patch": torch.tensor(patch).expand(2, -1)},
    )


def _stream(count: int, seed: int) -> list[FrameTokens]:
    """A prompt, then frames of some of ten patches each between two text markers."""
    draw = random.Random(seed)
    frames = [_frame(0, PROMPT, seed, [False] * PROMPT, [0] * PROMPT)]
    start = PROMPT
    for number in range(count):
        patch = sorted(draw.sample(range(10), draw.randint(1, 8)))
        visual = [False] + [True] * len(patch) + [False]
        frames.append(
            _frame(start, len(visual), 1000 * seed + number, visual, [0, *patch, 0]),
        )
        start += len(visual)
    return frames


class PlainLoopInfiniPot:
    """The rule for one head at a time, over token numbers, with tables of what each token is."""

    def __init__(self, memory: InfiniPotVMemory) -> None:
        self.memory = memory
        self.frame: list[int] = []
        self.visual: list[bool] = []
        self.patch: list[int] = []
        self.held: dict[tuple[int, int, int], list[int]] = {}

    def see(self, frame: FrameTokens, number: int) -> None:
        self.frame += [number] * frame.num_tokens
        self.visual += frame.visual_mask()[0].tolist()
        self.patch += frame.stats["patch"][0].tolist()

    def keep(self, session: VideoSession, place: tuple[int, int, int], new: list[int]) -> list[int]:
        layer, row, head = place
        archived = session.archive.layers[layer]
        keys, values = (archived[n].joined()[row, head].tolist() for n in ("keys", "values"))
        pool = self.held.get(place, []) + new
        self.held[place] = sorted(self.chosen(pool, keys, values, layer))
        return self.held[place]

    def chosen(self, pool: list[int], keys: list, values: list, layer: int) -> list[int]:
        capacity = self.memory.capacity
        assert capacity is not None
        if len(pool) <= capacity:
            return pool
        prompt = [n for n in pool if self.frame[n] < 0]
        room = max(capacity - len(prompt), 0)
        share = room - round((1 - self.memory.tar_share) * room)
        recent_frames = self.recent_frames(pool)
        recent = [n for n in pool if self.frame[n] in recent_frames]
        older = [n for n in pool if self.visual[n] and n not in recent]
        seen_now = [n for n in recent if self.visual[n]]
        by_tar = sorted(older, key=lambda n: (self.tar(n, seen_now, keys), n), reverse=True)
        taken = (recent[::-1] + by_tar)[:share]
        rest = [n for n in pool if n not in taken and n not in prompt]
        rest.sort(key=lambda n: (self.norm(n, pool, values, layer), n), reverse=True)
        return (prompt[::-1] + taken + rest)[:capacity]

    def recent_frames(self, pool: list[int]) -> set[int]:
        filled, recent = 0, set()
        total = sum(self.visual[n] for n in pool)
        for frame in sorted({self.frame[n] for n in pool if self.frame[n] >= 0}, reverse=True):
            filled += sum(self.visual[n] for n in pool if self.frame[n] == frame)
            if recent and filled > Fraction(str(self.memory.recent_ratio)) * total:
                break
            recent.add(frame)
        return recent

    def tar(self, n: int, seen_now: list[int], keys: list) -> float:
        same = [m for m in seen_now if self.patch[m] == self.patch[n]]
        return -sum(cosine(keys[m], keys[n]) for m in same) / len(same) if same else 0.0

    def norm(self, n: int, pool: list[int], values: list, layer: int) -> float:
        reach = 3 - 4 * layer // SPEC.num_layers if self.memory.pooling else 0
        near = [
            m
            for m in pool
            if self.visual[m]
            and self.frame[m] == self.frame[n]
            and abs(self.patch[m] - self.patch[n]) <= reach
        ]
        near = near if self.visual[n] else [n]
        # fsum rounds once: patches with the same neighbours tie.
        return math.fsum(math.sqrt(sum(x * x for x in values[m])) for m in near) / len(near)


@pytest.mark.parametrize(
    "memory",
    [
        InfiniPotVMemory(24),
        InfiniPotVMemory(23, recent_ratio=0.5, tar_share=0.9, pooling=True),
        InfiniPotVMemory(19, recent_ratio=0.0, tar_share=1.0),
        InfiniPotVMemory(17, recent_ratio=1.0, tar_share=0.3, pooling=True),
        InfiniPotVMemory(11, recent_ratio=0.4, tar_share=0.0),
        InfiniPotVMemory(2),
    ],
    ids=repr,
)
def test_kept_slots_equal_the_oracle_after_every_frame(memory: InfiniPotVMemory) -> None:
    session = VideoSession(ReferenceDecoder(SPEC), memory)
    oracle = PlainLoopInfiniPot(memory)
    for number, frame in enumerate(_stream(60, seed=memory.capacity or 0)):
        session.push(frame)
        oracle.see(frame, number - 1)
        new = list(range(len(oracle.frame) - frame.num_tokens, len(oracle.frame)))
        for layer in range(SPEC.num_layers):
            index = session.slots(layer).index
            for row in range(2):
                for head in range(2):
                    kept = oracle.keep(session, (layer, row, head), new)
                    assert index[row, head].tolist() == kept


def released(keys: list, values: list, patches: int, frames: int, ratio: float, tar: float) -> set:
    """What the released code keeps of one head's block of whole frames, in slots of `frames`."""
    size = frames * patches
    recent_frames = int(len(keys) // patches * ratio)
    older = len(keys) - recent_frames * patches
    change = []
    for slot in range(older):
        same = [older + frame * patches + slot % patches for frame in range(recent_frames)]
        change.append(-sum(cosine(keys[slot], keys[other]) for other in same) / recent_frames)
    room = size - round((1 - tar) * size) - (len(keys) - older)
    first = sorted(range(older), key=lambda slot: -change[slot])[:room]
    chosen = {*range(older, len(keys)), *first}
    rest = [slot for slot in range(len(keys)) if slot not in chosen]
    rest.sort(key=lambda slot: -sum(x * x for x in values[slot]))
    return {*chosen, *rest[: size - len(chosen)]}


@pytest.mark.parametrize(
    ("count", "patches", "frames", "ratio", "tar"),
    [
        (32, 5, 24, 0.25, 0.5),
        (8, 14, 6, 0.25, 0.5),
        (20, 140, 15, 0.35, 0.6),  # 0.35 * 2800 in floats is a little less than 7 frames
        (10, 7, 8, 0.7, 0.95),
    ],
)
def test_a_block_of_whole_frames_is_compressed_as_in_the_release(
    count: int, patches: int, frames: int, ratio: float, tar: float
) -> None:
    generator = torch.Generator().manual_seed(count)
    keys, values = torch.randn(2, 1, 2, count * patches, 6, generator=generator).double()
    numbers = torch.arange(count * patches).expand(1, 2, -1)
    slots = Slots(
        keys=keys,
        values=values,
        index=numbers,
        frame=numbers // patches,
        visual=numbers >= 0,
        positions=numbers[None],
        stats={"patch": numbers % patches},
    )
    kept = InfiniPotVMemory(frames * patches, recent_ratio=ratio, tar_share=tar).update(slots)
    for head in range(2):
        pair = keys[0, head].tolist(), values[0, head].tolist()
        expected = released(*pair, patches, frames, ratio, tar)
        assert kept.index[0, head].tolist() == sorted(expected)


def test_several_frames_in_a_step_are_told_apart() -> None:
    memory = InfiniPotVMemory(40, recent_ratio=0.5, tar_share=1.0)
    session = VideoSession(ReferenceDecoder(SPEC), memory, frames_per_step=2)
    oracle, new = PlainLoopInfiniPot(memory), []
    frames = _stream(60, seed=1)
    for number, frame in enumerate(frames):
        oracle.see(frame, number - 1)
        new += range(len(oracle.frame) - frame.num_tokens, len(oracle.frame))
        if number % 2 == 0:  # the prompt alone, then pairs
            session.push(frames[max(number - 1, 0) : number + 1])
            kept = oracle.keep(session, (0, 0, 0), new)
            assert session.slots(0).index[0, 0].tolist() == kept
            new = []


def test_the_prompt_survives_100_compactions() -> None:
    session = VideoSession(ReferenceDecoder(SPEC), InfiniPotVMemory(PROMPT + 4))
    session.push(_stream(101, seed=3))
    for layer in range(SPEC.num_layers):
        assert (session.slots(layer).index[..., :PROMPT] == torch.arange(PROMPT)).all()


def test_a_changed_patch_outlives_a_still_one_and_the_room_goes_to_large_values() -> None:
    # One head: frames 0 and 1 hold patches 0 to 2 and a text marker each, frame 1 is recent, and
    # only patch 1 has turned round since.
    key = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    later = key * torch.tensor([[1.0], [-1.0], [1.0], [1.0]])
    values = torch.tensor([5.0, 1.0, 2.0, 3.0, 0.5, 0.5, 0.5, 0.5])[:, None].expand(-1, 2)
    numbers = torch.arange(8)[None, None]
    slots = Slots(
        keys=torch.cat([key, later])[None, None],
        values=values[None, None],
        index=numbers,
        frame=numbers // 4,
        visual=numbers % 4 != 3,
        positions=numbers[None],
        stats={"patch": torch.tensor([[[0, 1, 2, 0, 0, 1, 2, 0]]])},
        num_new=4,
    )
    # 5 by change: frame 1 with its marker, then the patch that turned round; 1 by value norm.
    kept = InfiniPotVMemory(6, tar_share=5 / 6).update(slots)
    assert kept.index[0, 0].tolist() == [0, 1, 4, 5, 6, 7]
    # The marker competes by value norm: 3 is more than the 2 of patch 2.
    kept = InfiniPotVMemory(7, tar_share=5 / 7).update(slots)
    assert kept.index[0, 0].tolist() == [0, 1, 3, 4, 5, 6, 7]


def test_whole_frames_without_patch_numbers_get_them(open_session) -> None:
    session = open_session(InfiniPotVMemory(100))
    session.push(torch.zeros(2, 4, 4, 3, dtype=torch.uint8))
    slots = session.slots(0)
    assert slots.stats["patch"][slots.visual].tolist() == [0, 1, 2, 3] * 4


def test_a_models_own_patch_numbers_stay() -> None:
    session = VideoSession(ReferenceDecoder(), InfiniPotVMemory(100))
    session.push(_frame(0, 2, 0, [True, True], [7, 4]))
    assert session.slots(0).stats["patch"][0, 0].tolist() == [7, 4]


def test_a_thinned_frame_without_patch_numbers_is_refused(frames, open_session) -> None:
    session = open_session(TokenDroppingMemory(InfiniPotVMemory(8), ratio=0.5))
    with pytest.raises(ValueError, match=r'3 tokens have no patch numbers; .*stats={"patch"'):
        session.push(frames(6, 6))
    thinned = TokenDroppingMemory(InfiniPotVMemory(8), ratio=0.5)
    stream = [
        replace(frame, stats={"patch": torch.arange(6)[None]}) for frame in frames(6, 6, 6, 6)
    ]
    session = open_session(thinned)
    session.push(stream)
    assert session.slots(0).num_slots == 8
