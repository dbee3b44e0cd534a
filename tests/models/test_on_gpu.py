"""Adapters, memories and laws on an NVIDIA GPU, which `make test-gpu` runs: what they give there is
what they give on the CPU, and nothing waits that need not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import CrossFrameMemory, FullMemory, VideoSession
from crossframe.framework.testing import check_memory
from crossframe.methods import AdaptiveHeadBudgets, SlidingWindowMemory, StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2

from ..every import FAMILIES, MEMORIES, NATIVE, WRAPPERS, named
from ..family import Family
from .stock import processed, stock_logits, worst
from .streams import asked, video

CUDA = torch.device("cuda")
NINE = StateKVMemory(9)
SOME = [FullMemory(), NINE, SlidingWindowMemory(2), AdaptiveHeadBudgets(NINE)]
# The first of every class: every setting of it is held to the laws on the CPU.
FIRST = {type(memory): (memory, whole) for memory, whole in reversed([*MEMORIES, *WRAPPERS])}
FRAMES = video(5)
# A tensor on the GPU is summed in another order.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def model_on(device: torch.device, family: Family, dtype: torch.dtype) -> Any:
    """An adapter of a copy of the family's tiny model."""
    model, processor = family.loaded(dtype)
    return family.adapter(copy.deepcopy(model).to(device), processor).for_stream(len(FRAMES))


def answered(model: Any, memory: CrossFrameMemory, family: Family) -> Tensor:
    """Logits of a question about five frames, on the CPU."""
    session = VideoSession(model, memory)
    for number, frame in enumerate(FRAMES):
        session.push(frame, family.fps and number / family.fps)
    return asked(session).cpu()


@pytest.fixture
def strict_waits() -> Iterator[None]:
    """Any wait of the host for the GPU is an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("memory", SOME, ids=named)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_answers_as_on_the_cpu(
    name: str, dtype: torch.dtype, memory: CrossFrameMemory
) -> None:
    family = FAMILIES[name]
    here = answered(model_on(torch.device("cpu"), family, dtype), memory, family)
    there = answered(model_on(CUDA, family, dtype), memory, family)
    assert worst(there, here) <= TOLERANCES[dtype]


@pytest.mark.parametrize("name", NATIVE)
def test_in_bfloat16_full_attention_strays_no_further_than_the_stock_model(name: str) -> None:
    family, half = NATIVE[name], torch.bfloat16
    model = model_on(CUDA, family, half)
    inputs = {key: part.to(CUDA) for key, part in processed(model, FRAMES, fps=family.fps).items()}
    stock = stock_logits(model.hf_model, **inputs).cpu().double()
    got = answered(model, FullMemory(), family).double()
    model.hf_model.double()
    wide = {key: part.double() if part.dtype == half else part for key, part in inputs.items()}
    exact = stock_logits(model.hf_model, **wide).cpu()
    asked_about = slice(-got.shape[1], None)
    allowed = 2 * worst(stock[:, asked_about], exact[:, asked_about])
    assert worst(got, exact[:, asked_about]) <= allowed


@pytest.mark.parametrize("name", FAMILIES)
def test_a_bounded_memory_runs_in_bfloat16(name: str) -> None:
    family = FAMILIES[name]
    model = model_on(CUDA, family, torch.bfloat16)
    session = VideoSession(model, NINE)
    for number, frame in enumerate(FRAMES):
        session.push(frame, family.fps and number / family.fps)
    assert session.slots(0).num_slots == 9
    assert session.slots(0).keys.device.type == CUDA.type
    assert asked(session).isfinite().all()


@pytest.mark.parametrize(("memory", "unbounded"), FIRST.values(), ids=named)
def test_laws_hold(memory: CrossFrameMemory, unbounded: CrossFrameMemory | None) -> None:
    family = NATIVE["internvl3"]
    model, processor = family.loaded(**family.small)
    there = family.adapter(copy.deepcopy(model).to(CUDA), processor).for_stream(4)
    check_memory(memory, unbounded=unbounded, models=st.just(there), max_examples=2)


@pytest.mark.usefixtures("strict_waits")
@pytest.mark.parametrize("attention", ["auto", "sdpa", "chunked"])
def test_a_push_waits_for_nothing(attention: str) -> None:
    decoder: Any = tiny_qwen2(dtype=torch.bfloat16)
    model = DecoderModel(decoder.to(CUDA))
    ids = torch.arange(12)[None].to(CUDA, non_blocking=True)
    session = VideoSession(model, StateKVMemory(4), attention=attention)
    for part in ids.split(4, 1):
        session.push(model.frame(part, session.cursor))
    assert session.cursor.tokens == 12
