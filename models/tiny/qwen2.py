"""A tiny untrained Qwen2 decoder and its tokenizer, of which every tiny model is made.

A byte-level tokenizer that splits as Qwen2's does, and random weights (a seed gives the same ones
in every dtype, up to rounding).
"""

import json
from functools import cache
from typing import Any, TypedDict, Unpack

import torch
import transformers
from tokenizers import pre_tokenizers, trainers

from ..internvl3.original import CHAT_TEMPLATE, IMAGE_TOKENS

TURN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

# What the merges are learnt from: the words and the line breaks of video prompts, so that pieces
# such as " Frame", ":\n" and "?\n\n" exist and text cut in the wrong place gives other tokens.
CORPUS = """\
system\nYou are a helpful assistant.\nuser\nFrame1: \nFrame2: \nFrame3: \nassistant\n
The first video sampled with 2.00 fps: Frame 1 sample at 0.00s: This is a video:\n<0.5 seconds>\n\n
Describe this video in detail. What happens? What is the colour of the ball?\n\nIt's a man's car!\n
Which way does the red square move: left or right? How many people are there, and where?\n
Select the best answer. Answer with the option's letter from the given choices directly.\n
Question: What did I say before?\nOptions:\n(A) yes\n(B) no\n(C) both\n(D) none\n\nAnswer: (A).\n
"""


class TextOptions(TypedDict, total=False):
    """Sizes of the tiny Qwen2 decoder; one left out takes the value in brackets."""

    layers: int  # [2]
    hidden: int  # [64]; head_dim = hidden / heads
    heads: int  # [4] query heads
    kv_heads: int  # [2]
    max_position_embeddings: int  # [32768], the trained range
    rope_factor: float | None  # dynamic NTK beyond it; None: plain RoPE [InternVL3 2.0, Qwen2 None]
    tie_word_embeddings: bool  # [False]


def tiny_tokenizer() -> transformers.Qwen2Tokenizer:
    """InternVL3's: :func:`special_tokenizer` with its prompt and image tokens."""
    return special_tokenizer(CHAT_TEMPLATE, **IMAGE_TOKENS)


def special_tokenizer(
    chat_template: str, *markers: str, **roles: str
) -> transformers.Qwen2Tokenizer:
    """Byte-level BPE: Qwen2's splitting rules, 256 bytes, some 200 learnt pieces, special tokens.

    A turn ends with ``<|im_end|>``. As in Qwen2, text comes back in Unicode's normal form C.

    Args:
        markers: special tokens besides those of turns.
        roles: more of them, by the name under which a processor looks for each.
    """
    vocab, merges = learnt_pieces()
    special = enumerate([*TURN_TOKENS, *markers, *roles.values()], len(vocab))
    return transformers.Qwen2Tokenizer(
        vocab=vocab | {token: number for number, token in special},
        merges=list(merges),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_specific_special_tokens=roles,
        extra_special_tokens=["<|im_start|>", *markers],
        chat_template=chat_template,
    )


def tiny_qwen2(
    *, seed: int = 0, dtype: torch.dtype = torch.float32, **text: Unpack[TextOptions]
) -> transformers.Qwen2ForCausalLM:
    """An untrained Qwen2 decoder in eval mode over the ids of :func:`tiny_tokenizer`.

    Takes ``input_ids`` [B, tokens]; gives logits [B, tokens, vocab].
    """
    return random_model(transformers.AutoModelForCausalLM, text_config(**text), seed, dtype)


@cache
def learnt_pieces() -> tuple[dict[str, int], list[Any]]:
    """Vocabulary and merges of byte-level pieces learnt from `CORPUS`."""
    backend = transformers.Qwen2Tokenizer().backend_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=768, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([CORPUS], trainer)
    bpe = json.loads(backend.to_str())["model"]
    return bpe["vocab"], [tuple(pair) for pair in bpe["merges"]]


def text_fields(vocab: dict[str, int], options: TextOptions) -> dict[str, Any]:
    """Fields of a text decoder's configuration, over the ids of a tokenizer's vocabulary."""
    hidden, factor = options.get("hidden", 64), options.get("rope_factor")
    scaling = {"rope_type": "dynamic", "factor": factor} if factor else {"rope_type": "default"}
    return {
        "vocab_size": len(vocab),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": options.get("layers", 2),
        "num_attention_heads": options.get("heads", 4),
        "num_key_value_heads": options.get("kv_heads", 2),
        "max_position_embeddings": options.get("max_position_embeddings", 32768),
        "rope_parameters": {"rope_theta": 1e6, **scaling},
        "tie_word_embeddings": options.get("tie_word_embeddings", False),
        "eos_token_id": vocab["<|im_end|>"],
        "pad_token_id": vocab["<|endoftext|>"],
    }


def text_config(**options: Unpack[TextOptions]) -> transformers.Qwen2Config:
    """A Qwen2 over the ids of :func:`tiny_tokenizer`."""
    return transformers.Qwen2Config(**text_fields(tiny_tokenizer().get_vocab(), options))


def random_model(auto: Any, config: Any, seed: int, dtype: torch.dtype) -> Any:
    """A model of a config with weights drawn by seed, the same in every dtype up to rounding."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        model = auto.from_config(config, dtype=dtype)
    generator = torch.Generator("cpu").manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(draw(name, parameter, generator))
    return model.eval()


def draw(name: str, parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Large enough that attention is uneven and that norms, biases and LayerScale matter."""
    noise = torch.randn(parameter.shape, generator=generator, device="cpu")
    if parameter.shape[0] == 1:  # class token and positions of the vision tower
        return 0.5 * noise
    if parameter.ndim > 1:
        return 1.5 * noise / parameter[0].numel() ** 0.5
    if name.endswith("A_log"):  # Gated DeltaNet keeps .95 a token: sums of large decays round
        return 0.2 * noise - 3
    centred = name.endswith("bias") or not parameter.any()  # Qwen3.5 adds 1 to weights of norms
    return 0.2 * noise if centred else 1 + 0.2 * noise
