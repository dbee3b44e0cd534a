"""Decoders that people use, whole, on the meta device: their sizes, and the cost of a step."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

from crossframe.framework import (
    Cursor,
    DecoderSpec,
    FrameTokens,
    VideoSession,
)
from crossframe.framework.flops import step_flops
from crossframe.methods import StateKVMemory
from crossframe.models.hf import HFDecoder
from crossframe.models.real_models import REAL_MODELS

# Weights of the decoder without embeddings and norms, counted by hand from public configurations.
LINEAR = {
    "InternVL3-8B": 28 * (3584 * (2 * 28 + 2 * 4) * 128 + 3 * 3584 * 18944),
    "InternVL3.5-8B": 36 * (4096 * (2 * 32 + 2 * 8) * 128 + 3 * 4096 * 12288),
    "Qwen3-VL-8B": 36 * (4096 * (2 * 32 + 2 * 8) * 128 + 3 * 4096 * 12288),
    "Qwen3.5-9B": 8 * 4096 * (3 * 16 + 2 * 4) * 256
    + 24 * 4096 * ((16 + 16 + 32) * 128 + 2 * 32 * 128 + 2 * 32)
    + 32 * 3 * 4096 * 12288,
    "GLM-4.1V-9B": 40 * (4096 * (2 * 32 + 2 * 2) * 128 + 3 * 4096 * 13696),
    "SmolVLM2-2.2B": 24 * (2048 * 4 * 32 * 64 + 3 * 2048 * 8192),
    "PerceptionLM-8B": 32 * (4096 * (2 * 32 + 2 * 8) * 128 + 3 * 4096 * 14336),
}


@cache
def decoder(name: str) -> Any:
    with torch.device("meta"):
        return AutoModel.from_config(REAL_MODELS[name].text_config())


@pytest.mark.parametrize("name", REAL_MODELS)
def test_the_decoder_has_the_weights_that_are_counted(name: str) -> None:
    spec = REAL_MODELS[name].spec
    counted = sum(one.weight.numel() for one in decoder(name).modules() if type(one) is nn.Linear)
    assert spec.linear_parameters == counted == LINEAR[name]


@pytest.mark.parametrize("name", REAL_MODELS)
def test_a_step_costs_at_least_its_weights(name: str) -> None:
    spec, tokens = REAL_MODELS[name].spec, REAL_MODELS[name].step_tokens
    least = 2 * spec.linear_parameters * tokens
    assert least < step_flops(spec, new_tokens=tokens, context_tokens=0) < 1.1 * least


def first_layers(name: str) -> HFDecoder:
    """Four of them, whole; the others are like these."""
    config: Any = REAL_MODELS[name].text_config()
    config.num_hidden_layers = 4
    if "layer_types" in config.to_dict():
        config.layer_types = config.layer_types[:4]
    with torch.device("meta"):
        made: Any = AutoModel.from_config(config, dtype=torch.bfloat16).eval()
    return HFDecoder(made, made)


def convolved_beside(spec: DecoderSpec) -> int:
    """FLOPs of a step behind another on columns that the stock convolution does not keep."""
    if spec.recurrent is None:
        return 0
    size = len(spec.recurrent.layers) * spec.recurrent.channels * spec.recurrent.kernel
    return 2 * size * (2 * spec.recurrent.kernel - 1)


@pytest.mark.parametrize("name", REAL_MODELS)
def test_a_push_costs_and_holds_what_is_stated(name: str) -> None:
    model = first_layers(name)
    session, tokens = VideoSession(model, StateKVMemory(300)), REAL_MODELS[name].step_tokens
    for first in (0, tokens):
        embeds = torch.empty(1, tokens, model.spec.hidden, dtype=torch.bfloat16, device="meta")
        positions = model.text_positions(Cursor(position=first), 1, tokens)
        with FlopCounterMode(display=False) as counter:
            session.push(FrameTokens(embeds, positions))
    rotary = f"{type(model.decoder).__name__}.rotary_emb"  # 5.17 multiplies matrices there
    beside = sum(counter.get_flop_counts().get(rotary, {}).values())
    beside += convolved_beside(model.spec)
    assert counter.get_total_flops() - beside == session.costs[-1].flops
    kept = sum(paged.bytes_appended for layer in session.archive.layers for paged in layer.values())
    assert kept == 2 * tokens * model.spec.kv_bytes_per_token(2)


def test_only_the_hybrid_carries_other_states() -> None:
    assert [name for name, model in REAL_MODELS.items() if model.spec.recurrent] == ["Qwen3.5-9B"]
    assert REAL_MODELS["Qwen3.5-9B"].spec.attention_layers == tuple(range(3, 32, 4))
