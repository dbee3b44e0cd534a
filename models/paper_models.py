"""The paper's seven models, for work without their weights: configurations, and sizes for costs.

Sizes come from public copies of the checkpoints' config.json; where a checkpoint is at hand, its
own file counts. InternVL3 is taken with an LM head of its own, and Eagle2.5 with the smallest
vocabulary that holds its tokens: the true ones may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from transformers import InternVLConfig, PreTrainedConfig, Qwen3VLConfig

from ..framework.flops import DecoderSpec, VisionSpec
from .eagle2_5.modules import Eagle2_5Config
from .hf import spec_of

VOCAB_INTERNVL3, VOCAB_QWEN3_VL = 151674, 151936
END_OF_TURN, END_OF_TEXT = 151645, 151643
SIDE = 448  # pixels of a frame
# Of a decoder, in the order in which `PAPER_MODELS` gives them.
SIZES = (
    *("num_hidden_layers", "hidden_size", "intermediate_size"),
    *("num_attention_heads", "num_key_value_heads", "head_dim"),
)


def paper_config(name: str) -> PreTrainedConfig:
    """The configuration of one of the paper's models, named as in `PAPER_MODELS`.

    Raises:
        ValueError: for another name.
    """
    if name not in PAPER_MODELS:
        raise ValueError(f"the paper has no model {name!r}; choose one of {sorted(PAPER_MODELS)}")
    return PAPER_MODELS[name]()


def paper_specs(name: str) -> tuple[DecoderSpec, VisionSpec]:
    """Sizes of a model's decoder, and of its tower as it sees one frame of 448 x 448 pixels.

    Qwen3-VL's tower takes any size; it sees a pair of such frames at once.

    Raises:
        ValueError: for a model that the paper has not.
    """
    config: Any = paper_config(name)
    vision, decoder = config.vision_config, spec_of(config.text_config)
    if isinstance(config, Qwen3VLConfig):
        patch, pictures, layers = vision.patch_size, vision.temporal_patch_size, vision.depth
        merge, levels = vision.spatial_merge_size**2, len(vision.deepstack_visual_indexes)
        projector = merge * vision.hidden_size
    else:
        patch = vision.patch_size if isinstance(vision.patch_size, int) else vision.patch_size[0]
        pictures, layers, merge, levels = 1, vision.num_hidden_layers, 4, 0
        projector = decoder.hidden
    return decoder, VisionSpec(
        num_layers=layers,
        hidden=vision.hidden_size,
        intermediate=vision.intermediate_size,
        patches=(SIDE // patch) ** 2,
        patch_dim=3 * pictures * patch**2,
        projector_hidden=projector,
        projector_out=decoder.hidden,
        class_tokens=int(isinstance(config, InternVLConfig)),
        merge=merge,
        num_projectors=1 + levels,
    )


def internvl3_text(**sizes: Any) -> dict[str, Any]:
    """Text configuration of InternVL3: Qwen2.5 with dynamic RoPE scaling."""
    return sizes | {
        "model_type": "qwen2",
        "vocab_size": VOCAB_INTERNVL3,
        "max_position_embeddings": 32768,
        "rope_parameters": {"rope_theta": 1e6, "rope_type": "dynamic", "factor": 2.0},
        "rms_norm_eps": 1e-6,
        "eos_token_id": END_OF_TURN,
        "pad_token_id": END_OF_TEXT,
        "tie_word_embeddings": False,
    }


def _internvl3(*sizes: int) -> PreTrainedConfig:
    vision = {  # InternViT-300M
        "num_hidden_layers": 24,
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "attention_bias": True,
        "image_size": [SIDE, SIDE],
        "patch_size": [14, 14],
    }
    text = internvl3_text(**dict(zip(SIZES, sizes, strict=True)))
    return InternVLConfig(vision_config=vision, text_config=text, tie_word_embeddings=False)


def _qwen3_vl(
    *sizes: int, tower: tuple[int, int, int], levels: tuple[int, ...], tied: bool
) -> PreTrainedConfig:
    layers, hidden, intermediate = tower
    vision = {
        "depth": layers,
        "hidden_size": hidden,
        "num_heads": 16,
        "intermediate_size": intermediate,
        "out_hidden_size": sizes[1],
        "deepstack_visual_indexes": list(levels),
    }
    text = dict(zip(SIZES, sizes, strict=True)) | {
        "vocab_size": VOCAB_QWEN3_VL,
        "max_position_embeddings": 262144,
        "rope_parameters": {
            "rope_theta": 5e6,
            "rope_type": "default",
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
        "tie_word_embeddings": tied,
    }
    return Qwen3VLConfig(vision_config=vision, text_config=text, tie_word_embeddings=tied)


_small: Any = partial(_qwen3_vl, tower=(24, 1024, 4096), levels=(5, 11, 17), tied=True)
_large: Any = partial(_qwen3_vl, tower=(27, 1152, 4304), levels=(8, 16, 24), tied=False)

PAPER_MODELS: Mapping[str, Callable[[], PreTrainedConfig]] = MappingProxyType(
    {
        "InternVL3-1B": partial(_internvl3, 24, 896, 4864, 14, 2, 64),
        "InternVL3-2B": partial(_internvl3, 28, 1536, 8960, 12, 2, 128),
        "InternVL3-8B": partial(_internvl3, 28, 3584, 18944, 28, 4, 128),
        "Eagle2.5-8B": Eagle2_5Config,
        "Qwen3-VL-2B": partial(_small, 28, 2048, 6144, 16, 8, 128),
        "Qwen3-VL-4B": partial(_small, 36, 2560, 9728, 32, 8, 128),
        "Qwen3-VL-8B": partial(_large, 36, 4096, 12288, 32, 8, 128),
    }
)
