"""From a checkpoint's name or folder to its adapter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoProcessor, PreTrainedConfig, PreTrainedModel, ProcessorMixin

from .checkpoints.chat_template import require_ending
from .checkpoints.declared_sizes import require_held, require_possible
from .checkpoints.faults import ANEW, OTHER_QUANTISATION, explained, in_words, missing, named
from .checkpoints.pixel_statistics import require_numbers
from .checkpoints.shards import require_objects, require_plain_shards
from .checkpoints.weights import require_finite_weights
from .decoder import DecoderModel
from .eagle2_5.adapter import Eagle2_5, load_eagle2_5
from .families import NATIVE
from .gguf import PACKAGED, load_gguf, load_packaged
from .hf import HFDecoder
from .internvl3.adapter import InternVL3
from .internvl3.original import load_original_internvl3
from .load_options import (
    DeviceMap,
    as_device,
    as_dtype,
    placing,
    require_known,
    require_runnable,
)
from .own_checkpoints import own_folder

logger = logging.getLogger(__name__)


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: DeviceMap | None = None,
    quantization_config: Any = None,
    **options: Any,
) -> HFDecoder:
    """The adapter of a checkpoint, ready for `VideoSession`.

    Only safetensors are read and no remote code is run. `model_families` lists what is read; a
    model that you loaded yourself is wrapped by the adapter of its family. What loading does is
    logged at level INFO.

    Args:
        name_or_path: hub name, local folder or a tiny trained model that comes along, such as
            "crossframe/tiny-internvl3"; with the extra `evidence` a `.gguf`, or "smollm2-135m".
        device: default is "cuda" where there is one, else "cpu".
        dtype: of the weights, such as torch.bfloat16, "bfloat16" or "bf16"; default, and "auto", is
            the checkpoint's own.
        device_map: instead of `device`, spreads a native model over several: "auto", or modules and
            their devices, as transformers takes it. What a layer carries and archives lies on the
            layer's device. Needs the package accelerate.
        quantization_config: handed to transformers, for a native model; needs accelerate and the
            package that quantises.
        options: of the adapter, e.g. `layout`, or `planned_frames` of Qwen3-VL.

    Raises:
        ValueError: for a model family without an adapter, a folder without a whole checkpoint,
            weights that are NaN or Inf, a dtype the device cannot run, or a device_map or
            quantization_config that cannot be used.
    """
    name_or_path = own_folder(name_or_path)
    fields = _fields(name_or_path)
    family = str(fields["model_type"])
    families = _families()
    if family not in families:
        raise ValueError(
            f"{name_or_path} is of family {family!r}, which has no adapter; there are adapters for "
            f"{sorted(families)}, and DecoderModel takes raw text decoders"
        )
    load, adapter = families[family]
    require_known(options, load, adapter)
    options |= placing(family, device, device_map, quantization_config)
    target, wanted = as_device(device), as_dtype(dtype)
    if wanted is not None:
        require_runnable(target, wanted)
    logger.info("loading %s (%s) onto %s", name_or_path, family, device_map or target)
    with named(name_or_path, ANEW if quantization_config is None else OTHER_QUANTISATION):
        if Path(name_or_path).is_dir():
            require_objects(Path(name_or_path))
            require_possible(Path(name_or_path), fields)
        model = load(name_or_path, target, wanted, **options)
        require_finite_weights(model.hf_model, name_or_path)
    require_runnable(target, model.dtype)
    count = sum(parameter.numel() for parameter in model.hf_model.parameters())
    facts = (adapter.__name__, count / 1e6, model.dtype, model.device, model.trained_tokens)
    logger.info("%s: %.1f M parameters, %s on %s, trained for streams of %d tokens", *facts)
    return model


def _families() -> dict[str, tuple[Callable[..., HFDecoder], type[HFDecoder]]]:
    """What loads a family, and its adapter."""
    native = {name: (partial(_load_native, *pair), pair[1]) for name, pair in NATIVE.items()}
    return native | {
        **dict.fromkeys(PACKAGED, (load_packaged, DecoderModel)),
        "gguf": (load_gguf, DecoderModel),
        "eagle_2_5_vl": (load_eagle2_5, Eagle2_5),
        "internvl_chat": (load_original_internvl3, InternVL3),
    }


def _load_native(
    family: Any,
    adapter: Any,
    name: str | Path,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    device_map: DeviceMap | None = None,
    quantization_config: Any = None,
    **options: Any,
) -> HFDecoder:
    """The adapter of a model of transformers' own class, in eval mode on its device or devices."""
    processor = _processor(name, adapter.__name__)
    placed = {"device_map": device_map, "quantization_config": quantization_config}
    placed = {option: value for option, value in placed.items() if value is not None}
    model: Any = _weights(family, name, dtype, placed).eval()
    require_runnable(device, model.dtype)
    return adapter(model if placed else model.to(device), processor, **options)


def _weights(
    family: Any, name: str | Path, dtype: torch.dtype | None, placed: dict[str, Any]
) -> PreTrainedModel:
    """A model with every weight from the checkpoint; transformers would make up missing ones."""
    folder = Path(name)
    require_plain_shards(name)
    with explained(folder / "config.json"):
        config = family.config_class.from_pretrained(name)
    require_held(folder, family, config)
    try:
        model, report = family.from_pretrained(
            name,
            dtype="auto" if dtype is None else dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **placed,
        )
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{name} has no complete set of safetensors, download it anew ({in_words(error)})"
        ) from error
    for kind in ("missing_keys", "mismatched_keys"):
        if report[kind]:
            raise ValueError(
                f"the weights in {name} do not fit its config.json, {kind}: "
                f"{sorted(report[kind])[:3]}; download the checkpoint anew"
            )
    return model


def _processor(name: str | Path, adapter: str) -> Any:
    """The checkpoint's processor, of transformers' own class."""
    try:
        processor: Any = AutoProcessor.from_pretrained(name, trust_remote_code=False)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except ImportError as error:
        raise ValueError(f"the processor of {name} {missing(error)}") from error
    except Exception as error:
        raise ValueError(
            f"{name} has no whole processor for {adapter}: give the folder all files of the "
            f"checkpoint ({in_words(error)})"
        ) from error
    if isinstance(processor, ProcessorMixin):  # anything else is refused by the adapter
        made: Any = processor
        require_numbers(made, name)
        require_ending(made.chat_template, made.tokenizer.special_tokens_map, name)
    return processor


def _fields(name_or_path: str | Path) -> dict[str, Any]:
    """What config.json says, with a `model_type`; read as data, so that no remote code is asked
    for."""
    path = Path(name_or_path)
    if str(name_or_path) in PACKAGED and not path.exists():
        return {"model_type": str(name_or_path)}
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"no file at {path}: give the path of a GGUF file")
        return {"model_type": "gguf"}
    if path.is_file():
        raise ValueError(f"{path} is a file: give the checkpoint's folder")
    if path.is_dir() and not (path / "config.json").is_file():
        raise ValueError(f"{path} is a folder without config.json: give a checkpoint's folder")
    try:
        fields, _ = PreTrainedConfig.get_config_dict(name_or_path)
        fields["model_type"]
    except (OSError, TypeError, KeyError, RecursionError, ValueError) as error:  # no such object
        raise ValueError(
            f"no checkpoint at {name_or_path}: give a local folder with config.json and "
            f"safetensors, or a hub name while online ({in_words(error)})"
        ) from error
    return fields
