"""The public kit over transformers models: memories keep the laws on them too."""

import pytest
import torch
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from crossframe.framework import CrossFrameMemory, FullMemory, VideoModel
from crossframe.framework.testing import LAWS, check_law
from crossframe.methods import StateKVMemory
from crossframe.models import DecoderModel, InternVL3
from crossframe.models.tiny import tiny_internvl, tiny_qwen2

FLOAT64 = torch.float64
DECODERS: dict[str, VideoModel] = {
    "two groups": DecoderModel(tiny_qwen2(dtype=FLOAT64, layers=2, hidden=32)),
    "one group of seven": DecoderModel(
        tiny_qwen2(dtype=FLOAT64, layers=1, hidden=56, heads=7, kv_heads=1)
    ),
    "dynamic rope": DecoderModel(tiny_qwen2(dtype=FLOAT64, layers=1, hidden=32, rope_factor=2.0)),
}
INTERNVL = InternVL3(*tiny_internvl(dtype=FLOAT64, layers=1, hidden=32, image_size=28))
MEMORIES: dict[str, tuple[CrossFrameMemory, CrossFrameMemory]] = {
    "statekv": (StateKVMemory(5), StateKVMemory(None)),
    "full": (FullMemory(), FullMemory()),
}
# Without a vision side a decoder cannot push the raw frames of this law.
NEED_IMAGES = {"9 asking"}
COST = "13 cost"


def rotary_products(model: VideoModel) -> int:
    """FLOPs that a rotary embedding spends; transformers 5.17 multiplies matrices there."""
    assert isinstance(model, DecoderModel | InternVL3)
    with FlopCounterMode(display=False) as counter:
        model.decoder.rotary_emb(torch.zeros(1, 3, 4), torch.arange(3)[None])
    return counter.get_total_flops()


def hold(law: str, name: str, models: list[VideoModel], examples: int) -> None:
    if law == COST and any(rotary_products(model) for model in models):
        pytest.skip("this transformers' rotary embedding multiplies matrices, which law 13 leaves")
    memory, unbounded = MEMORIES[name]
    chosen = st.sampled_from(models)
    check_law(law, memory, unbounded=unbounded, models=chosen, max_examples=examples)


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("law", [law for law in LAWS if law not in NEED_IMAGES])
def test_memories_keep_the_laws_on_qwen2(law, name):
    hold(law, name, list(DECODERS.values()), examples=8)


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("law", LAWS)
def test_memories_keep_the_laws_on_internvl3(law, name):
    hold(law, name, [INTERNVL], examples=4)
