"""The closed forms against torch's own counter, and against the paper's numbers."""

import json
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    DynamicCache,
    InternVLConfig,
    InternVLModel,
    Qwen2Config,
    Qwen2Model,
    Qwen3VLTextConfig,
    Qwen3VLTextModel,
    Qwen3VLVisionConfig,
    Qwen3VLVisionModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from crossframe.experiments.publishing import paper_cost
from crossframe.experiments.publishing.pages import section
from crossframe.framework.flops import (
    DecoderSpec,
    VisionSpec,
    break_even,
    step_flops,
    stream_flops,
)
from crossframe.framework.testing.flop_counting import flop_counter
from crossframe.models.cache_layers import cache_argument
from crossframe.models.paper_models import PAPER_MODELS, paper_specs

TINY = DecoderSpec(3, 24, 40, num_query_heads=6, num_kv_heads=2, head_dim=8, vocab=32)
DOCS = Path(__file__).parents[2] / "docs"
SMALL = st.integers(1, 40)


def config_of(spec: DecoderSpec, kind: type = Qwen2Config, **options: object):
    return kind(
        num_hidden_layers=spec.num_layers,
        hidden_size=spec.hidden,
        intermediate_size=spec.intermediate,
        num_attention_heads=spec.num_query_heads,
        num_key_value_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        vocab_size=spec.vocab,
        **options,
    )


def counted(counter: FlopCounterMode) -> int:
    """All but the rotary tables: older transformers build them with a matrix product."""
    counts = counter.get_flop_counts()
    rotary = (ops for name, ops in counts.items() if name.endswith("rotary_emb"))
    return counter.get_total_flops() - sum(sum(ops.values()) for ops in rotary)


def measure(model: nn.Module, batch: int, tokens: int, cache: DynamicCache | None = None) -> int:
    embeds = torch.zeros(batch, tokens, TINY.hidden)
    with flop_counter() as counter, torch.no_grad():
        model(inputs_embeds=embeds, use_cache=cache is not None, **{cache_argument(): cache})
    return counted(counter)


# What torch counts


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("batch", [1, 2])
def test_step_equals_counter(implementation: str, batch: int) -> None:
    model = Qwen2Model(config_of(TINY, attn_implementation=implementation)).eval()
    one_shot = step_flops(TINY, batch=batch, new_tokens=9, context_tokens=0)
    assert measure(model, batch, 9) == one_shot
    cache, seen = DynamicCache(), 0
    for tokens in (5, 7, 1, 4):
        expected = step_flops(TINY, batch=batch, new_tokens=tokens, context_tokens=seen)
        assert measure(model, batch, tokens, cache) == expected
        seen += tokens


def test_context_may_differ_by_layer() -> None:
    model = Qwen2Model(config_of(TINY, attn_implementation="eager")).eval()
    cache, contexts = DynamicCache(), [0, 3, 11]
    for layer, carried in enumerate(contexts):
        empty = torch.zeros(1, TINY.num_kv_heads, carried, TINY.head_dim)
        cache.update(empty, empty, layer)
    embeds, mask = torch.zeros(1, 4, TINY.hidden), {"full_attention": None}
    with flop_counter() as counter, torch.no_grad():
        model(inputs_embeds=embeds, attention_mask=mask, **{cache_argument(): cache})
    assert counted(counter) == step_flops(TINY, new_tokens=4, context_tokens=contexts)


def test_an_extra_product_is_one_of_queries_and_keys() -> None:
    query, key = torch.zeros(2, 6, 5, 8), torch.zeros(2, 6, 17, 8)
    with flop_counter() as counter:
        _ = query @ key.mT
    step = partial(step_flops, TINY, batch=2, new_tokens=5, context_tokens=12)
    assert step(extra_products=1) - step() == TINY.num_layers * counter.get_total_flops()


def test_internvl_tower_equals_counter() -> None:
    text = config_of(paper_specs("InternVL3-1B")[0])
    text.num_hidden_layers = 1
    with torch.device("meta"):
        model = InternVLModel(InternVLConfig(text_config=text))
        pixels = torch.zeros(1, 3, 448, 448)
    with flop_counter() as counter, torch.no_grad():
        model.get_image_features(pixel_values=pixels)
    assert counter.get_total_flops() == paper_specs("InternVL3-1B")[1].flops_per_frame


def test_eagle_tower_equals_counter() -> None:
    config = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=27,
        num_attention_heads=16,
        image_size=448,
        patch_size=14,
        vision_use_head=False,
    )
    with torch.device("meta"):
        tower, pixels = SiglipVisionModel(config), torch.zeros(1, 3, 448, 448)
        projector = nn.Sequential(nn.Linear(4608, 3584), nn.Linear(3584, 3584))
    with flop_counter() as counter, torch.no_grad():
        projector(tower(pixels).last_hidden_state.reshape(256, 4608))
    assert counter.get_total_flops() == paper_specs("Eagle2.5-8B")[1].flops_per_frame


def test_qwen_tower_equals_counter() -> None:
    config = Qwen3VLVisionConfig(
        depth=3,
        hidden_size=32,
        intermediate_size=48,
        num_heads=2,
        out_hidden_size=24,
        num_position_embeddings=16,
        deepstack_visual_indexes=[0, 1, 2],
    )
    spec = VisionSpec(3, 32, 48, 24, 1536, 128, 24, num_projectors=4)
    tower = Qwen3VLVisionModel(config).eval()
    with flop_counter() as counter, torch.no_grad():
        tower(torch.zeros(24, 1536), grid_thw=torch.tensor([[1, 4, 6]]))
    assert counted(counter) == spec.flops_per_frame


# The paper's models


@pytest.mark.parametrize("name", PAPER_MODELS)
def test_linear_parameters_are_the_models_matrices(name: str) -> None:
    spec = paper_specs(name)[0]
    qwen3 = name.startswith("Qwen3")
    config = config_of(spec, Qwen3VLTextConfig if qwen3 else Qwen2Config)
    with torch.device("meta"):
        model = (Qwen3VLTextModel if qwen3 else Qwen2Model)(config)
    assert spec.linear_parameters == sum(p.numel() for p in model.layers.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("name", "millions", "ratio"),
    [
        ("InternVL3-1B", 357.8, 5.93),
        ("InternVL3-2B", 1310.2, 4.18),
        ("InternVL3-8B", 6525.3, 2.69),
    ],
)
def test_paper_parameters_and_ratios(name: str, millions: float, ratio: float) -> None:
    spec = paper_specs(name)[0]
    assert spec.linear_parameters / 1e6 == pytest.approx(millions, abs=0.05)
    full = stream_flops(spec, frames=512, tokens_per_frame=259)
    bounded = stream_flops(spec, frames=512, tokens_per_frame=259, capacity=4096)
    assert sum(full) / sum(bounded) == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(
    ("name", "gflops"),
    [
        ("InternVL3-1B", [197, 214, 282, 556, 3140, 20957]),
        ("InternVL3-2B", [702, 736, 873, 1420, 6587, 42223]),
        ("InternVL3-8B", [3434, 3513, 3833, 5110, 17167, 100317]),
    ],
)
def test_paper_gflops_per_frame(name: str, gflops: list[int]) -> None:
    spec = paper_specs(name)[0]
    contexts = [256, 1024, 4096, 16384, 511 * 259, 3599 * 259]
    steps = [step_flops(spec, new_tokens=259, context_tokens=context) for context in contexts]
    assert [round(flops / 1e9) for flops in steps] == gflops


@pytest.mark.parametrize(
    ("large", "capacity", "small", "exact", "estimate"),
    [
        ("InternVL3-2B", 4096, "InternVL3-1B", (120, 235), (119, 237)),
        ("InternVL3-8B", 4096, "InternVL3-2B", (274, 545), (273, 546)),
        ("InternVL3-8B", 4096, "InternVL3-1B", (633, 1263), (632, 1263)),
        ("InternVL3-8B", 16384, "InternVL3-1B", (854, 1695), (854, 1706)),
    ],
)
def test_paper_break_evens(
    large: str, capacity: int, small: str, exact: tuple[int, int], estimate: tuple[int, int]
) -> None:
    """Ours is the first cheaper frame; the estimates cross straight lines, as if always full."""
    ours, reference = paper_specs(large)[0], paper_specs(small)[0]
    curve = stream_flops(ours, frames=2000, tokens_per_frame=259, capacity=capacity)
    full = stream_flops(reference, frames=2000, tokens_per_frame=259)
    assert (break_even(curve, full), break_even(curve, full, cumulative=True)) == exact
    slope = full[1] - full[0]
    crossing = 1 + (curve[-1] - full[0]) / slope
    assert crossing == pytest.approx(estimate[0], abs=1)
    assert 2 * crossing - 1 == pytest.approx(estimate[1], abs=1)


def test_kv_bytes_per_token() -> None:
    table = [12_288, 28_672, 57_344, 57_344, 114_688, 147_456, 147_456]
    assert [spec.kv_bytes_per_token(2) for spec, _ in map(paper_specs, PAPER_MODELS)] == table


def test_frozen_data() -> None:
    with pytest.raises(TypeError):
        PAPER_MODELS["mine"] = PAPER_MODELS["InternVL3-1B"]  # pyright: ignore[reportIndexIssue]


# Laws of a stream


@given(frames=SMALL, tokens=SMALL, capacity=st.integers(0, 300))
def test_bounded_stream_is_constant_once_full(frames: int, tokens: int, capacity: int) -> None:
    curve = stream_flops(TINY, frames=frames, tokens_per_frame=tokens, capacity=capacity)
    assert len(curve) == frames
    assert curve == sorted(curve)
    full_since = -(-capacity // tokens)
    assert len(set(curve[full_since:])) <= 1


@given(frames=st.integers(2, 40), tokens=SMALL)
def test_full_attention_grows_by_a_constant(frames: int, tokens: int) -> None:
    curve = stream_flops(TINY, frames=frames, tokens_per_frame=tokens)
    unit = 4 * tokens**2 * TINY.num_query_heads * TINY.head_dim * TINY.num_layers
    assert {later - earlier for earlier, later in pairwise(curve)} == {unit}


@given(frames=SMALL, tokens=SMALL, window=st.integers(0, 50))
def test_window_is_a_capacity_of_whole_frames(frames: int, tokens: int, window: int) -> None:
    stream = partial(stream_flops, TINY, frames=frames, tokens_per_frame=tokens)
    curve = stream(window=window)
    assert curve == stream(capacity=window * tokens)
    if window >= frames:
        assert curve == stream()


@given(tokens=SMALL, small=st.integers(0, 200), more=st.integers(1, 200))
def test_cost_grows_with_capacity_mass_and_vision(tokens: int, small: int, more: int) -> None:
    stream = partial(stream_flops, TINY, frames=30, tokens_per_frame=tokens)
    curve = stream(capacity=small)
    larger = stream(capacity=small + more)
    assert all(a <= b for a, b in zip(curve, larger, strict=True))
    with_mass = stream(capacity=small, extra_products=1)
    assert all(a < b for a, b in zip(curve, with_mass, strict=True))
    tower = paper_specs("InternVL3-1B")[1]
    with_vision = stream(capacity=small, vision=tower)
    assert [a + tower.flops_per_frame for a in curve] == with_vision


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.booleans())
def test_break_even_oracle(pairs: list[tuple[int, int]], cumulative: bool) -> None:
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    found = break_even(ours, theirs, cumulative=cumulative)
    if cumulative:
        ours, theirs = list(accumulate(ours)), list(accumulate(theirs))
    cheaper = [a < b for a, b in zip(ours, theirs, strict=True)]
    assert found == next((n + 1 for n in range(len(pairs)) if all(cheaper[n:])), None)


def test_own_model_breaks_even_when_the_state_is_full() -> None:
    spec = paper_specs("InternVL3-8B")[0]
    full = stream_flops(spec, frames=100, tokens_per_frame=259)
    for capacity in (4096, 16384):
        curve = stream_flops(spec, frames=100, tokens_per_frame=259, capacity=capacity)
        assert break_even(curve, full) == capacity // 259 + 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"new_tokens": -1, "context_tokens": 0},
        {"new_tokens": 1, "context_tokens": -2},
        {"new_tokens": 1, "context_tokens": [1, 2]},
        {"new_tokens": 1, "context_tokens": [1, 2, -3]},
    ],
)
def test_bad_counts_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"context_tokens=.*each of 3 layers"):
        step_flops(TINY, **wrong)
    with pytest.raises(ValueError, match=r"context_tokens=-5"):
        stream_flops(TINY, frames=3, tokens_per_frame=4, capacity=-5)


# The published tables


def test_committed_tables_are_current(tmp_path: Path) -> None:
    committed = (DOCS / "cost.md").read_text()
    expected = section(paper_cost.NAME, paper_cost.body())
    assert expected in committed, (
        "run python -m crossframe.experiments.publishing.paper_cost --write docs"
    )
    (tmp_path / "cost.md").write_text(committed)
    paper_cost.main(tmp_path)
    assert (tmp_path / "cost.md").read_text() == committed
    old, new = (
        json.loads((folder / "results" / "paper_cost.json").read_text())
        for folder in (DOCS, tmp_path)
    )
    assert (old["config"], old["tables"]) == (new["config"], new["tables"])


def test_tables_need_a_place(tmp_path: Path) -> None:
    (tmp_path / "cost.md").write_text("nothing here")
    with pytest.raises(ValueError, match="add the lines"):
        paper_cost.main(tmp_path)
    assert not (tmp_path / "results").exists()
