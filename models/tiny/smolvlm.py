"""A tiny untrained SmolVLM2 that needs no download: for tests and examples.

The native classes with SmolVLM2's video prompt, a small tower and a Llama decoder; small frames and
random weights. Never trained: answers mean nothing. The processor needs the extra `families`.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import transformers
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from .qwen2 import TextOptions, random_model, special_tokenizer, text_fields

TOKENS = (
    *("<image>", "<video>", "<fake_token_around_image>", "<global-img>"),
    "<end_of_utterance>",
)
PATCH, SHUFFLE = 7, 2


class SmolVLMOptions(TextOptions, total=False):
    """Sizes of the tiny SmolVLM2; one left out takes the value in brackets."""

    image_size: int  # [28] pixels of a side; a frame becomes (image_size / 14)² tokens


def tiny_smolvlm_processor(*, image_size: int = 28) -> transformers.SmolVLMProcessor:
    """The native processor; a frame becomes [3, image_size, image_size] pixels.

    Raises:
        ValueError: for a side that is not whole tokens.
    """
    side = PATCH * SHUFFLE
    if image_size < side or image_size % side:
        raise ValueError(f"image_size={image_size} is not a multiple of {side}; take 14, 28 or 42")
    pixels: Any = {
        "size": {"longest_edge": 2 * image_size},
        "max_image_size": {"longest_edge": image_size},
    }
    sampling: Any = {"max_frames": 64, "fps": 2, "video_size": pixels["size"]}
    video = pixels | {"video_sampling": sampling}
    return transformers.SmolVLMProcessor(
        image_processor=transformers.SmolVLMImageProcessor(**pixels),
        tokenizer=special_tokenizer(DEFAULT_CHAT_TEMPLATE, *TOKENS),
        video_processor=transformers.SmolVLMVideoProcessor(**video),
        image_seq_len=(image_size // side) ** 2,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )


def tiny_smolvlm(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **options: Unpack[SmolVLMOptions]
) -> tuple[transformers.SmolVLMForConditionalGeneration, transformers.SmolVLMProcessor]:
    """An untrained SmolVLM2 in eval mode and its processor.

    Takes ``pixel_values`` [videos, frames, 3, image_size, image_size]; gives logits
    [B, tokens, vocab].
    """
    image_size = options.get("image_size", 28)
    processor: Any = tiny_smolvlm_processor(image_size=image_size)
    text = text_fields(processor.tokenizer.get_vocab(), options)
    config = transformers.SmolVLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": PATCH,
            "image_size": image_size,
        },
        text_config={"model_type": "llama", "bos_token_id": None, **text},
        scale_factor=SHUFFLE,
        image_token_id=processor.image_token_id,
        tie_word_embeddings=text["tie_word_embeddings"],
    )
    return random_model(transformers.AutoModelForImageTextToText, config, seed, dtype), processor
