"""A tiny untrained Eagle2.5 that needs no download: for tests and examples."""

from typing import Any, Unpack

import torch

from ..eagle2_5.modules import Eagle2_5Config, Eagle2_5ForConditionalGeneration
from ..eagle2_5.processing import Eagle2_5Processor
from .qwen2 import TextOptions, draw, text_config, tiny_tokenizer


def tiny_eagle2_5(
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    image_size: int = 56,
    **text: Unpack[TextOptions],
) -> tuple[Eagle2_5ForConditionalGeneration, Eagle2_5Processor]:
    """An untrained Eagle2.5 in eval mode and its processor, (image_size / 28)² tokens a frame.

    Takes ``pixel_values`` [frames, 3, image_size, image_size]; gives logits [B, tokens, vocab].
    """
    vision: Any = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": image_size,
        "patch_size": 14,
    }
    tokenizer = tiny_tokenizer()
    config = Eagle2_5Config(
        vision_config=vision,
        text_config=text_config(**text),
        force_image_size=image_size,
        image_token_index=tokenizer.get_vocab()["<IMG_CONTEXT>"],
    )
    config.dtype = dtype
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        model = Eagle2_5ForConditionalGeneration(config)
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        parameter.data = draw(name, parameter, generator).to(dtype)
    processor = Eagle2_5Processor(
        tokenizer, image_size=image_size, tokens_per_frame=config.tokens_per_frame
    )
    return model.eval(), processor
