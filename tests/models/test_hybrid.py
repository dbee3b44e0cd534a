"""Hybrid decoders: what layers without KV carry belongs to the session, like its slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache, Qwen3_5ForCausalLM
from transformers.models.qwen3_5 import modeling_qwen3_5

from crossframe.framework import (
    CrossFrameMemory,
    FullMemory,
    RecurrentSpec,
    Slots,
    VideoModel,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.flops import step_flops
from crossframe.framework.model import RECURRENT
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.methods import IsolatedFramesMemory, SlidingWindowMemory, StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.cache_layers import cache_argument
from crossframe.models.tiny import tiny_qwen3_5

from ..every import FAMILIES
from .delta_rule import delta_rule, delta_rule_at_once, widen_delta_rules
from .stock import stock_logits, worst
from .streams import DTYPES, TOLERANCES, cuts, token_ids

COUNT = 70  # more than a chunk of 64
SIZES: Any = {"layers": 4, "every": 2, "hidden": 32}


@cache
def decoder(dtype: torch.dtype = torch.float64) -> DecoderModel:
    """Qwen3.5's text side alone, with two layers of each kind."""
    widen_delta_rules()
    vlm, _ = tiny_qwen3_5(dtype=dtype, **SIZES)
    model: Any = Qwen3_5ForCausalLM(vlm.config.text_config).eval()
    model = model.to(dtype)
    model.model, model.lm_head = vlm.model.language_model, vlm.lm_head
    return DecoderModel(model)


def pushed(
    model: DecoderModel, ids: Tensor, sizes: list[int], memory: CrossFrameMemory | None = None
) -> VideoSession:
    session = VideoSession(model, memory or FullMemory())
    for part in ids.split(sizes, 1):
        session.push(model.frame(part, session.cursor))
    return session


def recurrent_of(model: VideoModel) -> RecurrentSpec:
    spec = model.spec.recurrent
    assert spec is not None
    return spec


def carried(session: VideoSession) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in session.state.recurrent.items()}


def require_same(got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


# As the stock model


@DTYPES
@settings(max_examples=6)
@given(sizes=cuts(COUNT), question=st.integers(1, 5))
def test_however_it_is_cut_a_stream_ends_in_the_stock_models_states(dtype, sizes, question):
    model, ids = decoder(dtype), token_ids(COUNT + question, batch=2)
    session = pushed(model, ids[:, :COUNT], sizes)
    got = session.question_logits(ids[:, COUNT:])
    assert (
        worst(got, stock_logits(model.hf_model, input_ids=ids)[:, COUNT:])
        <= TOLERANCES[model.dtype]
    )
    stock = DynamicCache(config=model.config)
    with torch.no_grad():
        model.decoder(input_ids=ids[:, :COUNT], **{cache_argument(): stock})
    for number in recurrent_of(model).layers:
        layer: Any = stock.layers[number]
        for name, expected in zip(
            RECURRENT, (layer.conv_states[0], layer.recurrent_states[0]), strict=True
        ):
            got = session.state.recurrent[f"{number}.{name}"]
            assert worst(got, expected) <= TOLERANCES[model.dtype]


def test_the_rule_of_these_tests_is_the_stock_rule():
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 2, 70, 2, 8, generator=generator)
    value = torch.randn(2, 70, 4, 6, generator=generator)
    decay, rate = -torch.rand(2, 70, 4, generator=generator), torch.rand(2, 70, 4)
    first = torch.randn(2, 4, 8, 6, generator=generator)
    # As older transformers take them: a head of queries and keys for each of values.
    stock = modeling_qwen3_5.torch_chunk_gated_delta_rule(
        *(query.repeat_interleave(2, 2), key.repeat_interleave(2, 2), value),
        g=decay,
        beta=rate,
        initial_state=first,
        output_final_state=True,
        use_qk_l2norm_in_kernel=True,
    )
    loops = delta_rule(query, key, value, decay, rate, initial_state=first)
    for got, expected in zip(loops, stock, strict=True):
        assert worst(got, expected) <= 1e-5
    wide = [x.double() for x in (query, key, value, decay, rate, first)]
    for got, expected in zip(delta_rule_at_once(*wide), delta_rule(*wide), strict=True):
        assert worst(got, expected) <= 1e-12


# The session's own


@pytest.mark.parametrize("memory", [FullMemory(), StateKVMemory(3)], ids=lambda m: type(m).__name__)
def test_questions_leave_the_states_as_they_are(memory):
    session = pushed(decoder(), token_ids(20), [8, 12], memory)
    before = carried(session)
    first = session.ask(token_ids(4, seed=1), max_new_tokens=5)
    logits = session.question_logits(token_ids(4, seed=1))
    assert session.ask(token_ids(4, seed=1), max_new_tokens=5).token_ids.equal(first.token_ids)
    assert worst(logits[0, -1], first.first_logits) <= 1e-9
    require_same(carried(session), before)


def test_a_failed_push_leaves_the_states_as_they_are():
    class Failing(WrappedMemory):
        def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
            if layers[0].num_slots > 16:
                raise ArithmeticError("meant to fail")
            return super().update_layers(layers)

    model, ids = decoder(), token_ids(30)
    session = pushed(model, ids[:, :8], [8], Failing(StateKVMemory(4)))
    before = carried(session)
    with pytest.raises(ArithmeticError, match="meant to fail"):
        session.push(model.frame(ids[:, 8:], session.cursor))
    require_same(carried(session), before)
    session.push(model.frame(ids[:, 8:12], session.cursor))
    require_same(
        carried(session), carried(pushed(model, ids[:, :12], [8, 4], Failing(StateKVMemory(4))))
    )


def test_forks_and_sessions_side_by_side_go_their_own_ways():
    model, ids, other = decoder(), token_ids(20), token_ids(20, seed=1)
    session = pushed(model, ids[:, :9], [9])
    twin, before = session.fork(), carried(session)
    twin.push(model.frame(other[:, 9:], twin.cursor))
    require_same(carried(session), before)
    session.push(model.frame(ids[:, 9:], session.cursor))
    require_same(carried(session), carried(pushed(model, ids, [9, 11])))


def test_a_saved_session_goes_on_from_its_states(tmp_path):
    model, ids = decoder(torch.float32), token_ids(20)
    session = pushed(model, ids[:, :9], [9], StateKVMemory(4))
    session.save(tmp_path / "s.session")
    again = VideoSession.load(tmp_path / "s.session", model)
    require_same(carried(again), carried(session))
    for one in (session, again):
        one.push(model.frame(ids[:, 9:], one.cursor))
    require_same(carried(again), carried(session))
    question = token_ids(3, seed=2)
    assert again.question_logits(question).equal(session.question_logits(question))


@pytest.mark.parametrize("change", ["shape", "missing"])
def test_a_saved_session_with_states_that_no_model_has_is_refused(change, tmp_path):
    session = pushed(decoder(torch.float32), token_ids(9), [9])
    damaged = dict(session.state.recurrent)
    value = damaged.pop("0.matrices")
    if change == "shape":
        damaged["0.matrices"] = value[..., :-1]
    session.resume(replace(session.state, recurrent=damaged), session.archive)
    session.save(tmp_path / "s.session")
    with pytest.raises(ValueError, match=r"recurrent\.0\.matrices"):
        VideoSession.load(tmp_path / "s.session", session.model)


def test_a_session_of_another_decoder_is_refused(tmp_path):
    session = pushed(decoder(torch.float32), token_ids(9), [9])
    session.save(tmp_path / "s.session")
    vlm, _ = tiny_qwen3_5(dtype=torch.float32, **(SIZES | {"every": 4}))
    plain = Qwen3_5ForCausalLM(vlm.config.text_config).eval()
    with pytest.raises(ValueError, match="load it with the model it was made with"):
        VideoSession.load(tmp_path / "s.session", DecoderModel(plain))


# What memories see


@pytest.mark.parametrize(
    "memory",
    [StateKVMemory(2), SlidingWindowMemory(0), IsolatedFramesMemory()],
    ids=lambda m: type(m).__name__,
)
def test_layers_before_the_first_of_attention_see_the_whole_stream(memory):
    """However little is carried elsewhere."""
    ids = token_ids(24)
    got, full = (pushed(decoder(), ids, [8, 8, 8], each) for each in (memory, FullMemory()))
    for name in RECURRENT:
        assert torch.equal(got.state.recurrent[f"0.{name}"], full.state.recurrent[f"0.{name}"])
        assert not torch.equal(got.state.recurrent[f"2.{name}"], full.state.recurrent[f"2.{name}"])


def test_only_layers_of_attention_hold_slots():
    session = pushed(decoder(), token_ids(12), [12], StateKVMemory(5))
    spec = session.model.spec
    assert spec.attention_layers == (1, 3) and recurrent_of(session.model).layers == (0, 2)
    assert spec.num_layers == len(session.archive.layers) == len(session.state.layers) == 2
    assert [session.slots(layer).num_slots for layer in range(2)] == [5, 5]


@DTYPES
def test_bytes_of_states_do_not_grow(dtype):
    model, ids = decoder(dtype), token_ids(40)
    sessions = [pushed(model, ids[:, : 8 * n], [8] * n, StateKVMemory(4)) for n in (1, 5)]
    held = [sum(value.nbytes for value in session.state.recurrent.values()) for session in sessions]
    assert held == [session.recurrent_bytes for session in sessions] and held[0] == held[1]
    if dtype == torch.float32:  # in float64 these tests keep matrices of float64
        assert held[0] == recurrent_of(model).state_bytes(4)
    slots = [session.state_bytes - size for session, size in zip(sessions, held, strict=True)]
    assert slots[0] == slots[1] > 0


def test_a_decoder_without_such_layers_still_pays_for_its_gate():
    model, _ = tiny_qwen3_5(layers=1)
    decoder_alone = DecoderModel(Qwen3_5ForCausalLM(model.config.text_config).eval())
    spec = decoder_alone.spec
    assert spec.recurrent is None and spec.attention_layers == (0,)
    weights = [p for name, p in decoder_alone.decoder.layers.named_parameters() if p.dim() == 2]
    assert spec.linear_parameters == sum(p.numel() for p in weights)


@pytest.mark.parametrize("count", [9, 64, 65])
def test_flops_by_closed_form_are_those_torch_counts(count):
    """Beside the convolution, whose stock form works on some columns more than it keeps."""
    model = decoder(torch.float32)
    recurrent = recurrent_of(model)
    with torch.no_grad(), flop_counter() as counter:
        model.decoder(
            input_ids=token_ids(count),
            use_cache=True,
            **{cache_argument(): DynamicCache(config=model.config)},
        )
    counts = counter.get_flop_counts()
    convolution = sum(
        number for operator, number in counts["Global"].items() if "convolution" in str(operator)
    )
    # Angles, which transformers 5.17 computes by a matrix product.
    angles = sum(sum(counts[name].values()) for name in counts if name.endswith("rotary_emb"))
    kept = 2 * len(recurrent.layers) * count * recurrent.channels * recurrent.kernel
    assert convolution == kept * (count + recurrent.kernel - 1) // count
    closed = step_flops(model.spec, new_tokens=count, context_tokens=0)
    beside = convolution + angles
    assert counter.get_total_flops() - beside == closed - kept


# Partial rotation


@pytest.mark.parametrize("name", ["qwen3_5"])
def test_turning_keys_on_is_rotating_them_further(name):
    model = FAMILIES[name].model()
    keys = torch.randn(1, 2, 5, model.spec.head_dim, dtype=torch.float64)
    there = torch.randint(0, 50, (3, 1, 2, 5))
    further = torch.randint(-9, 9, (3, 1, 2, 5))
    twice = model.rotate(model.rotate(keys, there, 99), further, 99)
    assert worst(twice, model.rotate(keys, there + further, 99)) <= 1e-6
    rotated = int(model.spec.head_dim * 0.25)
    assert torch.equal(twice[..., rotated:], keys[..., rotated:])
    assert not torch.equal(twice[..., :rotated], keys[..., :rotated])
