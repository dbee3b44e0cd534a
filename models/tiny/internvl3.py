"""A tiny untrained InternVL3 that needs no download: for tests and examples.

The native InternVL processor with InternVL3's prompt and pixel values, random weights. Never
trained: answers mean nothing, only shapes, arithmetic and sensitivity to the input are real.
"""

from typing import Any, Unpack

import torch
import transformers

from ..internvl3.original import CHAT_TEMPLATE, PIXELS
from .qwen2 import TextOptions, random_model, text_fields, tiny_tokenizer

DECODERS = ("qwen2", "qwen3", "qwen3_moe")


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
    decoder: str = "qwen2",
    **options: Unpack[TextOptions],
) -> tuple[transformers.InternVLForConditionalGeneration, transformers.InternVLProcessor]:
    """An untrained InternVL3 in eval mode and its processor, (image_size / 28)² tokens a frame.

    With `decoder` "qwen3" or "qwen3_moe" it is an InternVL3.5. Takes ``pixel_values``
    [frames, 3, image_size, image_size]; gives logits [B, tokens, vocab].
    """
    processor = tiny_processor(image_size=image_size)
    config = transformers.InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "attention_bias": True,
            "image_size": [image_size, image_size],
        },
        text_config=_text_config(decoder, options),
        image_token_id=processor.image_token_id,
        image_seq_length=processor.image_seq_length,
        tie_word_embeddings=options.get("tie_word_embeddings", False),
    )
    model = random_model(transformers.AutoModelForImageTextToText, config, seed, dtype)
    if decoder == "qwen3_moe":
        model.set_experts_implementation("eager")  # the grouped product has no float64
    return model, processor


def _text_config(decoder: str, options: TextOptions) -> dict[str, Any]:
    if decoder not in DECODERS:
        raise ValueError(f"decoder must be one of {DECODERS}, got {decoder!r}")
    vocab = tiny_tokenizer().get_vocab()
    if decoder == "qwen2":
        return {"model_type": decoder, **text_fields(vocab, {"rope_factor": 2.0, **options})}
    fields = text_fields(vocab, options)
    # As in Qwen3, heads are wider than their share of the hidden size.
    fields |= {"model_type": decoder, "head_dim": 32}
    mixture = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    return fields | mixture if decoder == "qwen3_moe" else fields
