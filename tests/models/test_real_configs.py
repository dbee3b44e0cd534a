"""All seven models of the paper, whole, on the meta device: sizes, tokens and cost of a push."""

from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from crossframe.framework import Cursor, DecoderSpec, FullMemory, VideoSession
from crossframe.framework.flops import VisionSpec
from crossframe.methods import StateKVMemory
from crossframe.models.eagle2_5.adapter import Eagle2_5
from crossframe.models.eagle2_5.modules import Eagle2_5ForConditionalGeneration
from crossframe.models.eagle2_5.processing import Eagle2_5Processor
from crossframe.models.hf import HFDecoder
from crossframe.models.internvl3 import original
from crossframe.models.internvl3.adapter import InternVL3
from crossframe.models.paper_models import PAPER_MODELS, paper_config, paper_specs
from crossframe.models.qwen_vl.qwen3_vl import Qwen3VL
from crossframe.models.tiny import qwen2
from crossframe.models.tiny import qwen3_vl as tiny_qwen3_vl

# models.md §6.3: parameters (InternVL3 untied, Eagle2.5 without pooling head), bf16 bytes a token
TABLE = {
    "InternVL3-1B": (938_193_024, 12_288),
    "InternVL3-2B": (2_088_957_440, 28_672),
    "InternVL3-8B": (7_944_373_760, 57_344),
    "Eagle2.5-8B": (8_055_524_592, 57_344),
    "Qwen3-VL-2B": (2_127_532_032, 114_688),
    "Qwen3-VL-4B": (4_437_815_808, 147_456),
    "Qwen3-VL-8B": (8_767_123_696, 147_456),
}
# The same models' decoders and towers, written down apart from their configurations.
INTERNVIT = (24, 1024, 4096, 1024, 588)  # 300M at 448 pixels: patches of 14 x 14 and a class token
SMALL, LARGE = (24, 1024, 4096, 784, 1536), (27, 1152, 4304, 784, 1536)  # a pair of frames
SPECS = {
    "InternVL3-1B": ((24, 896, 4864, 14, 2, 64, 151674), (*INTERNVIT, 896, 896)),
    "InternVL3-2B": ((28, 1536, 8960, 12, 2, 128, 151674), (*INTERNVIT, 1536, 1536)),
    "InternVL3-8B": ((28, 3584, 18944, 28, 4, 128, 151674), (*INTERNVIT, 3584, 3584)),
    "Eagle2.5-8B": ((28, 3584, 18944, 28, 4, 128, 151674), (27, 1152, 4304, 1024, 588, 3584, 3584)),
    "Qwen3-VL-2B": ((28, 2048, 6144, 16, 8, 128, 151936), (*SMALL, 4096, 2048)),
    "Qwen3-VL-4B": ((36, 2560, 9728, 32, 8, 128, 151936), (*SMALL, 4096, 2560)),
    "Qwen3-VL-8B": ((36, 4096, 12288, 32, 8, 128, 151936), (*LARGE, 4608, 4096)),
}
MEMORIES = [FullMemory(), StateKVMemory(300)]
PIXELS: dict[str, Any] = {"size": {"height": 448, "width": 448}, **original.PIXELS}
REAL_IDS = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|vision_start|>": 151652,
    "<|vision_end|>": 151653,
    "<|image_pad|>": 151655,
    "<|video_pad|>": 151656,
    "<img>": 151665,
    "</img>": 151666,
    "<IMG_CONTEXT>": 151667,
    "<video>": 151674,  # unknown to the model: the processor replaces it
}


def tokenizer(template: str, names: dict[str, str]) -> transformers.Qwen2Tokenizer:
    """The tiny pieces, with special tokens at the numbers that the checkpoints give them."""
    vocab, merges = qwen2.learnt_pieces()
    return transformers.Qwen2Tokenizer(
        vocab=vocab | REAL_IDS,
        merges=list(merges),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_specific_special_tokens=names,
        extra_special_tokens=["<|im_start|>", *tiny_qwen3_vl.VISION_TOKENS],
        chat_template=template,
    )


def internvl3(model: Any) -> InternVL3:
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(**PIXELS),
        tokenizer=tokenizer(original.CHAT_TEMPLATE, original.IMAGE_TOKENS),
        video_processor=transformers.InternVLVideoProcessor(**PIXELS),
        image_seq_length=model.config.image_seq_length,
        chat_template=original.CHAT_TEMPLATE,
    )
    return InternVL3(model, processor)


def eagle2_5(model: Any) -> Eagle2_5:
    return Eagle2_5(
        model, Eagle2_5Processor(tokenizer(original.CHAT_TEMPLATE, original.IMAGE_TOKENS))
    )


class Qwen3VLWithoutTower(Qwen3VL):
    """The vision tower reads the values of its grid, and meta tensors have none."""

    def see(self, frames: Tensor) -> tuple[Any, Tensor]:
        _, grid = self.pixels(frames.permute(0, 3, 1, 2))
        features = torch.empty(int(grid.prod()) // 4, self.spec.hidden, device="meta")
        return SimpleNamespace(pooler_output=features, deepstack_features=3 * [features]), grid


def qwen3_vl(model: Any) -> Qwen3VL:
    processor = transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(patch_size=16),
        tokenizer=tokenizer(tiny_qwen3_vl.CHAT_TEMPLATE, {}),
        video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=tiny_qwen3_vl.CHAT_TEMPLATE,
    )
    return Qwen3VLWithoutTower(model, processor, planned_frames=2)


FAMILIES: dict[str, tuple[Any, Any]] = {
    "InternVL3": (transformers.InternVLForConditionalGeneration, internvl3),
    "Eagle2.5": (Eagle2_5ForConditionalGeneration, eagle2_5),
    "Qwen3": (transformers.Qwen3VLForConditionalGeneration, qwen3_vl),
}


@cache
def adapter(name: str) -> HFDecoder:
    family, wrap = FAMILIES[name.partition("-")[0]]
    with torch.device("meta"):
        model = family(paper_config(name)).bfloat16().eval()
    return wrap(model)


def test_the_table_covers_the_papers_models():
    assert TABLE.keys() == PAPER_MODELS.keys()
    with pytest.raises(ValueError, match="no model 'InternVL3-3B'; choose one of"):
        paper_config("InternVL3-3B")


@pytest.mark.parametrize("name", TABLE)
def test_sizes_equal_the_table_and_the_cost_model(name):
    model, (parameters, kv_bytes) = adapter(name), TABLE[name]
    assert sum(weight.numel() for weight in model.hf_model.parameters()) == parameters
    assert all(weight.is_meta for weight in model.hf_model.parameters())
    decoder, vision = SPECS[name]
    more = {"class_tokens": 1} if name.startswith("InternVL3") else {}
    more = {"num_projectors": 4} if name.startswith("Qwen3") else more
    assert model.spec == DecoderSpec(*decoder)
    assert paper_specs(name) == (DecoderSpec(*decoder), VisionSpec(*vision, **more))
    assert model.spec.kv_bytes_per_token(2) == kv_bytes


def decoder_flops(counter: FlopCounterMode, model: HFDecoder) -> tuple[int, int]:
    """Of the text decoder without its rotary frequencies (5.17 multiplies matrices); of the rest
    of the model."""
    counts, root = counter.get_flop_counts(), type(model.decoder).__name__
    decoder = sum(counts[root].values())
    rotary = sum(counts.get(f"{root}.rotary_emb", {}).values())
    return decoder - rotary, counter.get_total_flops() - decoder


@pytest.mark.parametrize("name", TABLE)
def test_a_frame_has_the_tables_visual_tokens_between_its_markers(name):
    model = adapter(name)
    frames = torch.zeros(model.frames_per_patch, 448, 448, 3, dtype=torch.uint8)
    patch = model.encode(frames, [None] * len(frames), Cursor(tokens=900, frames=3, position=900))
    mask = patch.visual_mask()[0].long()
    assert int(mask.sum()) == (448 * 448 // 1024 if name.startswith("Qwen3") else 256)
    assert int(mask.diff().abs().sum()) == 2  # text, visual tokens, text
    assert patch.embeds.is_meta and patch.embeds.shape[-1] == model.spec.hidden
    assert not patch.positions.is_meta and not patch.visual_mask().is_meta  # the session reads them


@pytest.mark.parametrize("memory", MEMORIES, ids=["full", "statekv"])
@pytest.mark.parametrize("name", TABLE)
def test_a_push_costs_what_the_cost_model_says(name, memory):
    model, session = adapter(name), VideoSession(adapter(name), memory)
    frames = torch.zeros(model.frames_per_patch, 448, 448, 3, dtype=torch.uint8)
    session.push(frames)
    with FlopCounterMode(display=False) as counter:
        session.push(frames)
    decoder, vision = decoder_flops(counter, model)
    assert decoder == session.costs[-1].flops
    assert vision == (0 if name.startswith("Qwen3") else paper_specs(name)[1].flops_per_frame)
    held = session.slots(0)
    assert held.keys.is_meta
    assert held.num_slots == (300 if memory is MEMORIES[1] else session.cursor.tokens)
