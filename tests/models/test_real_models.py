"""Decoders that people use, whole, on the meta device: their sizes, and the cost of a step."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModel

from crossframe.framework.flops import step_flops
from crossframe.models.real_models import REAL_MODELS

# Weights of the decoder without embeddings and norms, counted by hand from public configurations.
LINEAR = {
    "InternVL3-8B": 28 * (3584 * (2 * 28 + 2 * 4) * 128 + 3 * 3584 * 18944),
    "Qwen3-VL-8B": 36 * (4096 * (2 * 32 + 2 * 8) * 128 + 3 * 4096 * 12288),
    "Qwen3.5-9B": 8 * 4096 * (3 * 16 + 2 * 4) * 256
    + 24 * 4096 * ((16 + 16 + 32) * 128 + 2 * 32 * 128 + 2 * 32)
    + 32 * 3 * 4096 * 12288,
    "GLM-4.1V-9B": 40 * (4096 * (2 * 32 + 2 * 2) * 128 + 3 * 4096 * 13696),
    "SmolVLM2-2.2B": 24 * (2048 * 4 * 32 * 64 + 3 * 2048 * 8192),
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


def test_only_the_hybrid_carries_other_states() -> None:
    assert [name for name, model in REAL_MODELS.items() if model.spec.recurrent] == ["Qwen3.5-9B"]
    assert REAL_MODELS["Qwen3.5-9B"].spec.attention_layers == tuple(range(3, 32, 4))
