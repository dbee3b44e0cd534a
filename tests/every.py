"""Every family of models and every memory, once: the tables that tests go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.framework import CrossFrameMemory, FullMemory, WrappedArchive
from crossframe.methods import (
    AdaptiveHeadBudgets,
    CausalityCorrected,
    ContiguousPositions,
    CoverageMemory,
    H2OMemory,
    InfiniPotVMemory,
    IsolatedFramesMemory,
    KeyDiffMemory,
    KnormMemory,
    LagKVMemory,
    LayerBudgets,
    MergedEvictions,
    PredictedChangeMemory,
    ProtectedRecent,
    ProtectedSinks,
    PyramidBudgets,
    QueryRows,
    RandomMemory,
    RecencyMemory,
    ReservoirMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    SmoothedScore,
    SnapKVMemory,
    StateKVMemory,
    StreamMemMemory,
    TokenDroppingMemory,
    TOVAMemory,
    UniformMemory,
    ValueNormMemory,
    ValueWeighted,
    WeightStatisticMemory,
)
from crossframe.models import DecoderModel, tiny

from .family import Family
from .models.eagle2_5.layout import save_official_eagle2_5
from .watched import (
    WatchedEagle2_5,
    WatchedGLM4V,
    WatchedInternVL3,
    WatchedLlavaOnevision,
    WatchedPerceptionLM,
    WatchedQwen2_5VL,
    WatchedQwen3_5,
    WatchedQwen3VL,
    WatchedSmolVLM,
)

# Families


def save_tiny_perception_lm(folder: Path, **sizes: Any) -> Path:
    config: Any = transformers.PerceptionLMConfig(vision_config={"model_type": "clip_vision_model"})
    timm_alone = isinstance(config.vision_config, transformers.TimmWrapperConfig)
    if timm_alone and sizes.get("tower") != "timm":
        pytest.skip("this transformers reads no other tower than timm's")
    return save_tiny_checkpoint(folder, family="perception_lm", **sizes)


ONE_GROUP_OF_SEVEN = {"tie_word_embeddings": True, "heads": 7, "kv_heads": 1}
ONE_LAYER = {"layers": 1, "hidden": 32}
NATIVE = {
    "glm4v": Family(
        WatchedGLM4V,
        tiny.tiny_glm4v,
        partial(save_tiny_checkpoint, family="glm4v"),
        (
            transformers.Glm4vForConditionalGeneration,
            transformers.Glm4vProcessor,
            transformers.Glm4vVideoProcessor,
        ),
        small=ONE_LAYER | {"heads": 2, "kv_heads": 1, "max_tokens": 4},
        kinds={
            "4.5": {"experts": 4},
            "4.6": {"release": "4.6"},
            "4.6 experts": {"release": "4.6", "experts": 4},
            "tied": ONE_GROUP_OF_SEVEN | {"hidden": 112},
        },
        brief=("", "4.5", "4.6", "4.6 experts", "tied"),
        tokens=("image",),
        fps=2.0,
    ),
    "internvl3": Family(
        WatchedInternVL3,
        tiny.tiny_internvl,
        save_tiny_checkpoint,
        (
            transformers.InternVLForConditionalGeneration,
            transformers.InternVLProcessor,
            transformers.InternVLVideoProcessor,
        ),
        small=ONE_LAYER | {"image_size": 28},
        kinds={
            "3.5": {"decoder": "qwen3"},
            "3.5 experts": {"decoder": "qwen3_moe", "tie_word_embeddings": True, "layers": 3},
        },
        brief=("3.5", "3.5 experts"),
        tokens=("image",),
    ),
    "llava_onevision": Family(
        WatchedLlavaOnevision,
        tiny.tiny_llava_onevision,
        partial(save_tiny_checkpoint, family="llava_onevision"),
        (
            transformers.LlavaOnevisionForConditionalGeneration,
            transformers.LlavaOnevisionProcessor,
            transformers.LlavaOnevisionVideoProcessor,
        ),
        small=ONE_LAYER | {"image_size": 28},
        kinds={
            "even side": {"image_size": 56},
            "tied": ONE_GROUP_OF_SEVEN | {"hidden": 56, "layers": 3},
        },
    ),
    "perception_lm": Family(
        WatchedPerceptionLM,
        tiny.tiny_perception_lm,
        save_tiny_perception_lm,
        (
            transformers.PerceptionLMForConditionalGeneration,
            transformers.PerceptionLMProcessor,
            transformers.PerceptionLMVideoProcessor,
        ),
        small=ONE_LAYER | {"image_size": 14},
        kinds={"timm": {"tower": "timm"}, "tied": ONE_GROUP_OF_SEVEN | {"hidden": 56, "layers": 3}},
        brief=("", "timm", "tied"),
    ),
    "qwen2_5_vl": Family(
        WatchedQwen2_5VL,
        tiny.tiny_qwen2_5_vl,
        partial(save_tiny_checkpoint, family="qwen2_5_vl"),
        (
            transformers.Qwen2_5_VLForConditionalGeneration,
            transformers.Qwen2_5_VLProcessor,
            transformers.Qwen2VLVideoProcessor,
        ),
        small=ONE_LAYER | {"heads": 2, "kv_heads": 1, "max_tokens": 2},
        kinds={"tied": ONE_GROUP_OF_SEVEN | {"hidden": 112, "layers": 3}},
        fps=2.0,
    ),
    "qwen3_5": Family(
        WatchedQwen3_5,
        tiny.tiny_qwen3_5,
        partial(save_tiny_checkpoint, family="qwen3_5"),
        (
            transformers.Qwen3_5ForConditionalGeneration,
            transformers.Qwen3VLProcessor,
            transformers.Qwen3VLVideoProcessor,
        ),
        small={"layers": 2, "hidden": 32},
        kinds={
            "tied": {"tie_word_embeddings": True, "heads": 7, "kv_heads": 1, "layers": 3},
            "experts": {"experts": 4},
        },
        tokens=("video", "vision_start", "vision_end"),
        fps=2.0,
    ),
    "qwen3_vl": Family(
        WatchedQwen3VL,
        tiny.tiny_qwen3_vl,
        partial(save_tiny_checkpoint, family="qwen3_vl"),
        (
            transformers.Qwen3VLForConditionalGeneration,
            transformers.Qwen3VLProcessor,
            transformers.Qwen3VLVideoProcessor,
        ),
        small={"layers": 2, "hidden": 32},
        kinds={
            "tied": ONE_GROUP_OF_SEVEN | {"hidden": 56, "layers": 2},
            "experts": {"experts": 4},
        },
        tokens=("video", "vision_start", "vision_end"),
        fps=2.0,
    ),
    "smolvlm": Family(
        WatchedSmolVLM,
        tiny.tiny_smolvlm,
        partial(save_tiny_checkpoint, family="smolvlm"),
        (
            transformers.SmolVLMForConditionalGeneration,
            transformers.SmolVLMProcessor,
            transformers.SmolVLMVideoProcessor,
        ),
        small=ONE_LAYER | {"image_size": 14},
        kinds={"tied": ONE_GROUP_OF_SEVEN | {"hidden": 56, "layers": 3}},
        brief=("", "tied"),
        tokens=("image",),
        fps=2.0,
        own_template=False,
    ),
}
FAMILIES = NATIVE | {
    "eagle2_5": Family(WatchedEagle2_5, tiny.tiny_eagle2_5, save_official_eagle2_5),
}


def decoder(dtype: torch.dtype = torch.float64, **sizes: Any) -> DecoderModel:
    """A text decoder without a vision side."""
    return DecoderModel(tiny.tiny_qwen2(dtype=dtype, **sizes))


# Memories, each with the same rule unbounded, where it has one

Pair = tuple[CrossFrameMemory, CrossFrameMemory | None]
MEMORIES: list[Pair] = [
    (FullMemory(), FullMemory()),
    (IsolatedFramesMemory(), None),
    (CoverageMemory(5), CoverageMemory(None)),
    (CoverageMemory(0), CoverageMemory(1000)),
    (InfiniPotVMemory(5), InfiniPotVMemory(None)),
    (InfiniPotVMemory(7, 0.5, 0.8, pooling=True), InfiniPotVMemory(1000)),
    (H2OMemory(6), H2OMemory(None)),
    (H2OMemory(5, recent=1, normalise="age"), H2OMemory(1000, normalise="age")),
    (KeyDiffMemory(5), KeyDiffMemory(None)),
    (KnormMemory(5), KnormMemory(None)),
    (LagKVMemory(8, lag=2, num_sinks=2), LagKVMemory(None)),
    (LagKVMemory(7, lag=3, num_sinks=0, cross_scoring=True), LagKVMemory(1000, lag=2)),
    (MergedEvictions(StateKVMemory(5), 0.2), MergedEvictions(StateKVMemory(None), 0.2)),
    (MergedEvictions(SlidingWindowMemory(2), -1.0), MergedEvictions(FullMemory(), -1.0)),
    (PredictedChangeMemory(6), PredictedChangeMemory(None)),
    (RandomMemory(4), RandomMemory(None)),
    (RecencyMemory(3), RecencyMemory(None)),
    (RecencyMemory(1000), RecencyMemory(1000)),
    (ReservoirMemory(4), ReservoirMemory(None)),
    (SinksAndRecentMemory(6), SinksAndRecentMemory(None)),
    (SlidingWindowMemory(2), SlidingWindowMemory(None)),
    (SlidingWindowMemory(0), SlidingWindowMemory(1000)),
    (SnapKVMemory(5, observation_window=2, kernel=3), SnapKVMemory(None)),
    (SnapKVMemory(5, 2, 3, pooling="avg"), SnapKVMemory(None, pooling="avg")),
    (StateKVMemory(5), StateKVMemory(None)),
    (StateKVMemory(0), StateKVMemory(1000)),
    (StreamMemMemory(5, (3, 0, 7)), StreamMemMemory(None, (3, 0, 7))),
    (StreamMemMemory(2, (1,)), StreamMemMemory(1000, (1,))),
    (TOVAMemory(5), TOVAMemory(None)),
    (TOVAMemory(0, rows=3), TOVAMemory(1000, rows=3)),
    (TokenDroppingMemory(ratio=0.5), TokenDroppingMemory(ratio=0.0)),
    (TokenDroppingMemory(StateKVMemory(4), ratio=0.3, rule="uniform"), None),
    (TokenDroppingMemory(ratio=0.3, rule="random"), None),
    (UniformMemory(5), UniformMemory(None)),
    (UniformMemory(5, unit="token"), UniformMemory(1000, unit="token")),
    (ValueNormMemory(5), ValueNormMemory(None)),
    (WeightStatisticMemory(5), WeightStatisticMemory(None)),
]

STATEKV, ALL = StateKVMemory(5), StateKVMemory(None)
WRAPPERS: list[Pair] = [
    (ProtectedSinks(STATEKV, tokens=2), ProtectedSinks(ALL, tokens=2, frames=1, prompt=True)),
    (ProtectedSinks(RecencyMemory(8), tokens=2), ProtectedSinks(RecencyMemory(None), frames=1)),
    (
        ProtectedSinks(SlidingWindowMemory(1), tokens=2, frames=1, prompt=True),
        ProtectedSinks(SlidingWindowMemory(None), tokens=2),
    ),
    (ProtectedRecent(STATEKV, tokens=2), ProtectedRecent(ALL, tokens=2, frames=1)),
    (ProtectedRecent(KnormMemory(6), tokens=3), ProtectedRecent(KnormMemory(None), frames=1)),
    (ProtectedRecent(IsolatedFramesMemory(), tokens=1, frames=2), None),
    (LayerBudgets(STATEKV, (3, 1)), LayerBudgets(ALL, (3, 1))),
    (LayerBudgets(RecencyMemory(4), (1, 2, 1)), LayerBudgets(RecencyMemory(1000), (1,))),
    (LayerBudgets(SinksAndRecentMemory(9), (2, 1)), None),
    (PyramidBudgets(STATEKV, beta=3), PyramidBudgets(ALL)),
    (PyramidBudgets(KnormMemory(6), beta=4, reserved=2), PyramidBudgets(KnormMemory(1000))),
    (PyramidBudgets(RecencyMemory(5), beta=2, reserved=5), None),
    (PyramidBudgets(STATEKV, beta=3, rule="released"), PyramidBudgets(ALL, rule="released")),
    (AdaptiveHeadBudgets(STATEKV), AdaptiveHeadBudgets(ALL)),
    (AdaptiveHeadBudgets(KnormMemory(4), 0.0), AdaptiveHeadBudgets(KnormMemory(1000), 0.0)),
    (AdaptiveHeadBudgets(RecencyMemory(3), 0.5), None),
    (AdaptiveHeadBudgets(STATEKV, rule="kvpress"), AdaptiveHeadBudgets(ALL, rule="kvpress")),
    (SmoothedScore(STATEKV, "sum"), SmoothedScore(ALL, "sum")),
    (SmoothedScore(RecencyMemory(4), "mean"), SmoothedScore(RecencyMemory(None), "mean")),
    (SmoothedScore(STATEKV, "peak"), SmoothedScore(ALL, "peak")),
    (SmoothedScore(KnormMemory(5), "ema"), SmoothedScore(KnormMemory(1000), "ema", 0.5)),
    (CausalityCorrected(STATEKV), CausalityCorrected(ALL)),
    (CausalityCorrected(QueryRows(STATEKV, "all")), None),
    (QueryRows(STATEKV, "last"), QueryRows(ALL, "last")),
    (QueryRows(STATEKV, 2), QueryRows(ALL, "all")),
    (QueryRows(STATEKV, "text"), QueryRows(ALL, "text")),
    (ValueWeighted(STATEKV), ValueWeighted(ALL)),
    (ValueWeighted(ValueNormMemory(4)), ValueWeighted(RecencyMemory(None))),
    (ContiguousPositions(STATEKV), ContiguousPositions(ALL)),
    (ContiguousPositions(STATEKV, 9), ContiguousPositions(ALL, 9)),
    (ContiguousPositions(SlidingWindowMemory(1)), ContiguousPositions(SlidingWindowMemory(None))),
    (ContiguousPositions(KnormMemory(4), 30), ContiguousPositions(KnormMemory(None), 1)),
]

NESTED: list[Pair] = [
    (
        AdaptiveHeadBudgets(ProtectedSinks(SmoothedScore(STATEKV, "sum"), tokens=2)),
        AdaptiveHeadBudgets(ProtectedSinks(SmoothedScore(ALL, "sum"), tokens=2)),
    ),
    (
        ContiguousPositions(ProtectedRecent(LayerBudgets(AdaptiveHeadBudgets(STATEKV), (2, 1)), 1)),
        None,
    ),
    (SmoothedScore(ValueWeighted(QueryRows(ProtectedSinks(STATEKV, 1), 2)), "ema"), None),
    (TokenDroppingMemory(ContiguousPositions(ProtectedSinks(STATEKV, 2)), ratio=0.5), None),
    (ProtectedSinks(TokenDroppingMemory(STATEKV, ratio=0.5), 2), None),
    (
        PyramidBudgets(CausalityCorrected(ProtectedRecent(ProtectedSinks(STATEKV, 1), 1)), beta=3),
        None,
    ),
    (SinksAndRecentMemory(6, positions="contiguous"), None),
]
UNBOUNDED: list[CrossFrameMemory] = [
    FullMemory(),
    StateKVMemory(None),
    RecencyMemory(None),
    SlidingWindowMemory(None),
    TokenDroppingMemory(ratio=0.0),
    SinksAndRecentMemory(None),
    RandomMemory(None),
    StateKVMemory(10_000),
]
FEW_UNBOUNDED: list[CrossFrameMemory] = [
    FullMemory(),
    StateKVMemory(None),
    TokenDroppingMemory(ratio=0.0),
]


def named(memory: CrossFrameMemory) -> str:
    """How a test is called after a memory."""
    return repr(memory).replace(" ", "")


@dataclass(frozen=True)
class Counting(WrappedArchive):
    """Notes how many tokens are unpacked at a time."""

    unpacked: list[int] = field(default_factory=list)

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        keys, values = self.inner.unpack(packed)
        self.unpacked.append(keys.shape[2])
        return keys, values
