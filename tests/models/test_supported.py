"""Which decoders the seam takes, which it refuses in words, and how it turns keys."""

from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import FullMemory, VideoSession
from crossframe.models import DecoderModel
from crossframe.models.hf import spec_of
from crossframe.models.tiny import tiny_qwen2

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def rope(rope_type: str, **settings: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": 1e4, **settings}}


YARN = rope("yarn", factor=8.0, original_max_position_embeddings=64)
LLAMA3 = rope(
    "llama3",
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
LONG = rope("longrope", factor=4.0, original_max_position_embeddings=64)
LONG["rope_parameters"] |= {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}


def decoder_of(family: str, **options: Any) -> Any:
    config = getattr(transformers, family + "Config")(**{**SIZES, **options})
    model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return model.eval()


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("Llama", {}),
        ("Llama", LLAMA3),
        ("Llama", YARN),
        ("Llama", rope("linear", factor=4.0)),
        ("Qwen3", {"head_dim": 16}),
        ("Mistral", {"sliding_window": None}),
        ("Olmo2", {}),
        ("Glm", {"head_dim": 8}),
        ("Ernie4_5", {}),
    ],
    ids=[
        "llama",
        "llama3 rope",
        "yarn",
        "linear rope",
        "qwen3",
        "mistral",
        "olmo2",
        "glm",
        "ernie",
    ],
)
def test_other_decoders_equal_their_one_shot_forward_too(family, options):
    stock = decoder_of(family, **options)
    ids = torch.randint(0, 97, (2, 45))
    with torch.no_grad():
        expected = stock(input_ids=ids).logits[:, 40:]
    model = DecoderModel(stock)
    session = VideoSession(model, FullMemory())
    for part in ids[:, :40].split([10, 3, 20, 7], 1):
        session.push(model.frame(part, session.cursor))
    assert (session.question_logits(ids[:, 40:]) - expected).abs().max() <= 1e-9


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        (
            "Qwen2",
            {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
            "qwen2 has layers of type .*sliding_attention",
        ),
        ("Gemma3Text", {"head_dim": 8}, "gemma3_text has layers of type .*sliding_attention"),
        ("Llama", LONG, "llama uses longrope scaling"),
        ("Cohere", {}, "cohere changes its logits by logit_scale=0.0625"),
        ("GPT2", {}, "gpt2 is not a decoder like Qwen2 .*rotary_emb"),
        ("Mamba", {"state_size": 4}, "mamba is not a decoder like Qwen2"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_unsupported_decoder_is_refused_when_it_is_wrapped(family, options, words):
    stock = decoder_of(family, **options)
    with pytest.raises(ValueError, match=words):
        DecoderModel(stock)


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        ("Mistral", {"sliding_window": 8}, "MistralAttention asks for sliding_window=8"),
        ("Starcoder2", {"sliding_window": 8}, "asks for sliding_window=8"),
        (
            "Gemma2",
            {
                "head_dim": 8,
                "layer_types": ["full_attention"] * 2,
                "final_logit_softcapping": None,
            },
            "Gemma2Attention asks for softcap=50.0",
        ),
    ],
)
def test_attention_that_is_not_plain_is_refused_at_the_first_push(family, options, words):
    model = DecoderModel(decoder_of(family, **options))
    session = VideoSession(model, FullMemory())
    with pytest.raises(ValueError, match=words):
        session.push(model.frame(torch.tensor([[3, 4, 5]])))
    assert session.cursor.tokens == 0


def test_sizes_come_from_the_config():
    spec = spec_of(transformers.Qwen3Config(**{**SIZES, "head_dim": 24}))
    assert (spec.num_layers, spec.hidden, spec.intermediate, spec.vocab) == (2, 32, 48, 97)
    assert (spec.num_query_heads, spec.num_kv_heads, spec.head_dim) == (4, 2, 24)
    assert spec_of(transformers.Qwen2Config(**SIZES)).head_dim == 8


# Turning keys


ROTARY = {
    "plain": tiny_qwen2(dtype=torch.float64),
    "yarn": decoder_of("Llama", **YARN),
    "dynamic": tiny_qwen2(dtype=torch.float64, max_position_embeddings=64, rope_factor=2.0),
    "halves in part": decoder_of("Phi3", **rope("default", partial_rotary_factor=0.5)),
    "neighbours in part": decoder_of("Glm", head_dim=8),
    "neighbours": decoder_of("Ernie4_5"),
}


def keys_at(model: DecoderModel, ids: Tensor, positions: Tensor, max_tokens: int) -> Tensor:
    """First-layer keys of tokens standing at `positions` [B, tokens], by the decoder itself."""
    found: list[Tensor] = []

    def note(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        if layer == 0:
            found.append(key)
        return torch.zeros_like(query)

    frame = model.frame(ids)
    moved = type(frame)(frame.embeds, positions[None])
    model.step(moved, note, max_tokens)
    return found[0]


@given(data=st.data())
@settings(max_examples=40)
def test_turned_keys_equal_keys_computed_at_the_new_position(data):
    model = DecoderModel(ROTARY[data.draw(st.sampled_from(list(ROTARY)))])
    max_tokens = data.draw(st.sampled_from([64, 100, 500]))
    batch = data.draw(st.integers(1, 2))
    places = st.lists(st.integers(0, 60), min_size=5 * batch, max_size=5 * batch)
    old, new = (torch.tensor(data.draw(places)).view(batch, 5) for _ in range(2))
    ids = torch.randint(0, 97, (batch, 5), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = keys_at(model, ids, old, max_tokens)
        after = keys_at(model, ids, new, max_tokens)
        delta = (new - old)[None, :, None].expand(1, batch, before.shape[1], 5)
        turned = model.rotate(before, delta, max_tokens)
    # The angles themselves are float32, as in transformers.
    assert (turned - after).abs().max() <= 1e-4


def test_every_head_is_turned_by_its_own_delta():
    model = DecoderModel(ROTARY["plain"])
    keys = torch.randn(2, 2, 3, 16, dtype=torch.float64)
    delta = torch.tensor([[[1, -2, 3], [40, 0, -6]], [[0, 0, 0], [5, 5, -5]]])[None]
    turned = model.rotate(keys, delta, 500)
    for row in range(2):
        for head in range(2):
            alone = keys[row : row + 1, head : head + 1]
            own = delta[:, row : row + 1, head : head + 1]
            assert torch.equal(turned[row, head], model.rotate(alone, own, 500)[0, 0])
    assert torch.equal(turned[1, 0], keys[1, 0])
    back = model.rotate(turned, -delta, 500)
    assert (back - keys).abs().max() <= 1e-6


def test_keys_of_narrow_dtypes_are_turned_in_float32():
    model = DecoderModel(ROTARY["plain"])
    keys = torch.randn(1, 2, 3, 16, dtype=torch.bfloat16)
    delta = torch.full((1, 1, 2, 3), -7)
    turned = model.rotate(keys, delta, 500)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, model.rotate(keys.float(), delta, 500).bfloat16())


def test_a_decoder_that_shows_no_rotation_is_told(monkeypatch):
    model = DecoderModel(decoder_of("Llama"))
    monkeypatch.delattr(transformers.models.llama.modeling_llama, "apply_rotary_pos_emb")
    with pytest.raises(ValueError, match=r"cannot rotate stored keys of LlamaModel: .* override"):
        model.rotate(torch.randn(1, 2, 3, 8), torch.ones(1, 1, 2, 3, dtype=torch.int64), 500)
