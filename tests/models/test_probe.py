"""The probe text on transformers models: the adapters' own text behind the video, nothing left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import (
    FrameTokens,
    FullMemory,
    Slots,
    VideoModel,
    VideoSession,
    WrappedMemory,
)
from crossframe.framework.frame_tokens import advance, join_frames
from crossframe.framework.testing import LAWS, check_law
from crossframe.methods import StreamMemMemory
from crossframe.models import InternVL3, Qwen3VL
from crossframe.models.hf import HFDecoder

from ..every import FAMILIES

TAIL = "<|im_end|>\n<|im_start|>assistant\n"
# What each chat template writes behind the video.
TEXTS = {
    "internvl3": "\n" + TAIL,
    "internvl3, video first": "<|im_start|>user\n" + TAIL,
    "qwen3_vl": "<|vision_end|>" + TAIL,
    "qwen2_5_vl": "<|vision_end|>" + TAIL,
    # The video token stands for the newline feature behind the last frame.
    "llava_onevision": "<video>\n" + TAIL.replace("\n<|im_start|>", "<|im_start|>"),
    "eagle2_5": TAIL,
}


def small(name: str) -> HFDecoder:
    family, _, first = name.partition(", ")
    if first:
        sizes = FAMILIES[family].small
        return InternVL3(*FAMILIES[family].loaded(**sizes), layout="video_first")
    return FAMILIES[family].small_model()


@dataclass(frozen=True)
class Looking(WrappedMemory):
    """Probes with the model's own text behind an empty question."""

    seen: list[list[Slots]] = field(default_factory=list)

    def probe(self, model: VideoModel) -> Tensor | None:
        return model.question_ids("")

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        self.seen.append([replace(slots) for slots in layers])
        return self.inner.update_layers(layers)


def decoded(model: HFDecoder, ids: Tensor) -> str:
    processor = model.prompt.processor if isinstance(model, Qwen3VL) else model.processor  # pyright: ignore[reportAttributeAccessIssue]
    return processor.tokenizer.decode(ids[0].tolist())


def encoded(session: VideoSession, images: Tensor) -> list[FrameTokens]:
    """The prologue and the temporal patches, as the session would encode them."""
    model, cursor = session.model, session.cursor
    prompt = model.prologue(cursor)
    frames = [] if prompt is None else [prompt]
    for frame in frames:
        cursor = advance(cursor, frame)
    for start in range(0, len(images), model.frames_per_patch):
        patch = images[start : start + model.frames_per_patch]
        frames.append(model.encode(patch, [None] * len(patch), cursor))
        cursor = advance(cursor, frames[-1])
    return frames


@pytest.mark.parametrize("name", TEXTS)
def test_the_probe_equals_one_stock_pass_over_stream_and_text(name, fingerprint) -> None:
    model, memory = small(name), Looking(FullMemory())
    ids = model.question_ids("")
    assert decoded(model, ids) == TEXTS[name]
    session = VideoSession(model, memory)
    frames = encoded(session, torch.randint(0, 256, (4, 28, 28, 3)).to(torch.uint8))
    before = fingerprint(model)
    with torch.no_grad():
        session.push(frames)
        assert fingerprint(model) == before
        positions = model.text_positions(session.cursor, 1, ids.shape[1])
        whole = join_frames([*frames, FrameTokens(model.embed(ids), positions)])
        weights = causal_weights(model, whole)
    for slots in memory.seen[-1]:
        rows = weights[slots.layer][:, :, -ids.shape[1] :, : slots.num_slots].sum(2)
        expected = rows.unflatten(1, (slots.keys.shape[1], -1)).sum(2)
        assert slots.probe_mass is not None
        torch.testing.assert_close(slots.probe_mass, expected, rtol=0, atol=1e-9)


def causal_weights(model: HFDecoder, tokens: FrameTokens) -> dict[int, Tensor]:
    """[B, H, T, T] weights of every layer in one causal pass."""
    weights: dict[int, Tensor] = {}

    def attend(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        group = query.shape[1] // key.shape[1]
        keys, values = (x.repeat_interleave(group, 1) for x in (key, value))
        later = torch.ones(query.shape[2], query.shape[2], dtype=torch.bool).triu(1)
        logits = (query @ keys.transpose(-1, -2) * scale).masked_fill(later, float("-inf"))
        weights[layer] = logits.softmax(-1)
        return weights[layer] @ values

    model.step(tokens, attend, model.trained_tokens)
    return weights


# The cost is checked on the plain-torch decoder: some versions of transformers multiply matrices in
# their rotary embedding, which the closed form leaves out.
@pytest.mark.parametrize("law", [law for law in LAWS if law != "13 cost"])
@pytest.mark.parametrize("name", ["internvl3", "qwen3_vl"])
def test_what_the_models_own_text_looks_at_is_ranked_and_merged_by_the_laws(
    name: str, law: str
) -> None:
    model = FAMILIES[name].small_model()
    memory, unbounded = StreamMemMemory(5), StreamMemMemory(None)
    check_law(law, memory, unbounded=unbounded, models=st.just(model), max_examples=2)
