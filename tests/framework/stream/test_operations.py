"""A step's bookkeeping: tensor operations beyond those of the stock model's own streaming step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

from crossframe.framework import CrossFrameMemory, Cursor, FrameTokens, FullMemory, VideoSession
from crossframe.methods import SlidingWindowMemory, StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

FRAME_TOKENS, FRAMES_BEFORE, CAPACITY = 16, 12, 128
FEW, MANY = 1, 4  # layers
ONCE = 45  # operations of a step that do not grow with its layers


class CountOperations(TorchDispatchMode):
    """Counts operations that compute, copy or let the host read; views are free."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not _gives_a_view(func):
            self.names[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


def _gives_a_view(func: Any) -> bool:
    """Whether all it gives shares the memory of an argument, which it does not write."""
    shared = [result.alias_info for result in func._schema.returns]
    views = bool(shared) and all(info is not None and not info.is_write for info in shared)
    return views or func.overloadpacket is torch.ops.aten._unsafe_view


def operations(work: Callable[[], object]) -> Counter[str]:
    with CountOperations() as counted, torch.no_grad():
        work()
    return counted.names


def frames(model: DecoderModel) -> list[FrameTokens]:
    """Enough to fill every memory, and one to count."""
    made = []
    for number in range(FRAMES_BEFORE + 1):
        ids = (torch.arange(FRAME_TOKENS) + 3 * number) % model.spec.vocab
        seen = number * FRAME_TOKENS
        made.append(model.frame(ids[None], Cursor(tokens=seen, frames=number, position=seen)))
    return made


def of_push(memory: CrossFrameMemory, layers: int) -> Counter[str]:
    model = DecoderModel(tiny_qwen2(layers=layers))
    session = VideoSession(model, memory)
    *before, last = frames(model)
    session.push(before)
    return operations(lambda: session.push(last))


@cache
def of_stock(layers: int) -> Counter[str]:
    """The same frame through the stock model, behind its own cache of the frames before."""
    stock: Any = tiny_qwen2(layers=layers)
    stock.set_attn_implementation("sdpa")
    past = transformers.DynamicCache()

    def step(frame: FrameTokens) -> None:
        embeds, positions = frame.embeds, frame.positions[0]
        stock.base_model(inputs_embeds=embeds, position_ids=positions, past_key_values=past)

    *before, last = frames(DecoderModel(stock))
    with torch.no_grad():
        for frame in before:
            step(frame)
    return operations(lambda: step(last))


@pytest.mark.parametrize(
    ("memory", "each_layer"),
    [
        (StateKVMemory(CAPACITY), 24),
        (SlidingWindowMemory(CAPACITY // FRAME_TOKENS), 18),
        (FullMemory(), 10),
    ],
    ids=repr,
)
def test_a_step_does_little_more_than_the_stock_model(
    memory: CrossFrameMemory, each_layer: int
) -> None:
    """StateKV ranks and chooses, and its mass needs a softmax of its own; a window chooses."""
    few, many = (of_push(memory, layers) for layers in (FEW, MANY))
    more = few.total() - of_stock(FEW).total()
    of_layer = (many.total() - of_stock(MANY).total() - more) / (MANY - FEW)
    assert of_layer <= each_layer, many - of_stock(MANY)
    assert more - FEW * of_layer <= ONCE, few - of_stock(FEW)


def test_what_copies_computes_or_is_read_counts_and_views_do_not() -> None:
    numbers = torch.arange(6.0)

    def work() -> None:
        numbers.view(2, 3).transpose(0, 1)[1:].expand(4, 2, 2).detach()
        numbers.add_(1).sum().item()
        torch.cat([numbers, numbers]).split(3)

    assert operations(work) == {
        "aten.add_": 1,
        "aten.sum": 1,
        "aten._local_scalar_dense": 1,
        "aten.cat": 1,
    }
