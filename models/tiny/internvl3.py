"""A tiny untrained InternVL3 that needs no download: for tests and examples.

The native InternVL processor with InternVL3's prompt and pixel values, random weights. Never
trained: answers mean nothing, only shapes, arithmetic and sensitivity to the input are real.
"""

from typing import Unpack

import torch
import transformers

from ..internvl3.original import CHAT_TEMPLATE, PIXELS
from .qwen2 import TextOptions, random_model, text_config, tiny_tokenizer


def tiny_processor(*, image_size: int = 56) -> transformers.InternVLProcessor:
    """InternVL3's processor with its prompt and bicubic ImageNet pixel values, smaller pictures.

    A frame becomes [3, image_size, image_size] pixels and (image_size / 28)² tokens.
    """
    if image_size < 28 or image_size % 28:
        raise ValueError(f"image_size={image_size} is not a multiple of 28; take 28, 56 or 112")
    size = {"height": image_size, "width": image_size}
    return transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size=size, **PIXELS),
        tokenizer=tiny_tokenizer(),
        video_processor=transformers.InternVLVideoProcessor(size=size, **PIXELS),
        image_seq_length=(image_size // 28) ** 2,
        chat_template=CHAT_TEMPLATE,
    )


def tiny_internvl(
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    image_size: int = 56,
    **options: Unpack[TextOptions],
) -> tuple[transformers.InternVLForConditionalGeneration, transformers.InternVLProcessor]:
    """An untrained InternVL3 in eval mode and its processor, (image_size / 28)² tokens a frame.

    Takes ``pixel_values`` [frames, 3, image_size, image_size]; gives logits [B, tokens, vocab].
    """
    processor = tiny_processor(image_size=image_size)
    text = text_config(**{"rope_factor": 2.0, **options})
    config = transformers.InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "attention_bias": True,
            "image_size": [image_size, image_size],
        },
        text_config=text,
        image_token_id=processor.image_token_id,
        image_seq_length=processor.image_seq_length,
        tie_word_embeddings=text.tie_word_embeddings,
    )
    return random_model(transformers.AutoModelForImageTextToText, config, seed, dtype), processor
