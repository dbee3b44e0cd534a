"""The public kit over Qwen3-VL: M-RoPE, DeepStack and temporal patches keep the laws."""

import pytest
import torch
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from crossframe.framework import CrossFrameMemory, FullMemory
from crossframe.framework.testing import LAWS, check_law
from crossframe.methods import (
    RecencyMemory,
    SlidingWindowMemory,
    StateKVMemory,
    TokenDroppingMemory,
)
from crossframe.models.qwen3_vl import Qwen3VL
from crossframe.models.tiny_qwen3_vl import tiny_qwen3_vl

MODEL = Qwen3VL(*tiny_qwen3_vl(dtype=torch.float64, layers=2, hidden=32), planned_frames=4)
MEMORIES: list[tuple[CrossFrameMemory, CrossFrameMemory]] = [
    (FullMemory(), FullMemory()),
    (StateKVMemory(5), StateKVMemory(None)),
    (RecencyMemory(6), RecencyMemory(None)),
    (SlidingWindowMemory(2), SlidingWindowMemory(None)),
    (TokenDroppingMemory(ratio=0.5), TokenDroppingMemory(ratio=0.0)),
]


def rotary_products() -> int:
    """FLOPs of the rotary embedding, which multiplies matrices in transformers 5.17."""
    with FlopCounterMode(display=False) as counter:
        MODEL.decoder.rotary_emb(torch.zeros(1, 3, 4), torch.arange(3).expand(3, 1, -1))
    return counter.get_total_flops()


@pytest.mark.parametrize("memories", MEMORIES, ids=lambda pair: type(pair[0]).__name__)
@pytest.mark.parametrize("law", LAWS)
def test_memories_keep_the_laws_on_qwen3_vl(law, memories):
    if law == "13 cost" and rotary_products():
        pytest.skip("this transformers' rotary embedding multiplies matrices, which law 13 leaves")
    memory, unbounded = memories
    models = st.just(MODEL)
    check_law(law, memory, unbounded=unbounded, models=models, max_examples=2)
