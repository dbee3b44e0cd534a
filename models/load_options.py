"""What `load_model` is asked for, looked at before anything is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from inspect import Parameter, signature
from typing import Any

import torch

from .families import NATIVE
from .hf import HFDecoder

DeviceMap = str | Mapping[str, int | str]
DTYPES = {
    torch.float64: ("float64", "fp64", "double"),
    torch.float32: ("float32", "fp32", "float"),
    torch.bfloat16: ("bfloat16", "bf16"),
    torch.float16: ("float16", "fp16", "half"),
}
_BITS = "give quantization_config=transformers.BitsAndBytesConfig(...)"
_DOWNLOAD = "download the checkpoint first and give its folder"
# Options of transformers that people try, and what does the same here.
INSTEAD = {
    "attn_implementation": "a session runs attention of its own in the decoder, whatever the model "
    "was loaded with: give VideoSession(..., attention=...)",
    "cache_dir": _DOWNLOAD,
    "load_in_4bit": _BITS,
    "load_in_8bit": _BITS,
    "revision": _DOWNLOAD,
    "token": _DOWNLOAD,
    "torch_dtype": "give dtype",
    "trust_remote_code": "no remote code is ever run: leave it out",
}


def require_known(
    options: Mapping[str, Any], load: Callable[..., HFDecoder], adapter: type[HFDecoder]
) -> None:
    """Refuse options that neither the adapter nor its loader has.

    Raises:
        ValueError: naming them, and what to give instead.
    """
    accepted = {
        name
        for source in (load, adapter)
        for name, parameter in signature(source).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    } - {"device_map", "quantization_config"}
    unknown = sorted(options.keys() - accepted)
    for name in unknown:
        if name in INSTEAD:
            raise ValueError(f"load_model has no option {name}: {INSTEAD[name]}")
    if unknown:
        raise ValueError(f"{adapter.__name__} has no option {unknown}; it has {sorted(accepted)}")


def placing(
    family: str, device: str | torch.device | None, device_map: DeviceMap | None, quantised: Any
) -> dict[str, Any]:
    """What transformers is told about devices and quantisation; nothing for whole weights on one
    device. Quantised codes cannot be moved, so they are read onto their device.

    Raises:
        ValueError: for both a device and a map, a family that transformers does not load, or where
            the package accelerate is missing.
    """
    given = {"device_map": device_map, "quantization_config": quantised}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return {}
    names = " and ".join(given)
    if device is not None and device_map is not None:
        raise ValueError(f"got device={str(device)!r} and a device_map: give one of them")
    if family not in NATIVE:
        raise ValueError(
            f"{names} works for the native families {sorted(NATIVE)}, not for {family!r}: give "
            "device instead"
        )
    if find_spec("accelerate") is None:
        raise ValueError(
            f"{names} needs the package accelerate, which is not installed: run `pip install "
            "accelerate`, or give device instead"
        )
    return {"device_map": {"": as_device(device)}} | given


def as_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or a GPU where there is one.

    Raises:
        ValueError: for one that is not there.
    """
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


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """The dtype of weights by one of its usual names; None for "auto", the checkpoint's own.

    Raises:
        ValueError: for another name.
    """
    if dtype is None or dtype == "auto" or isinstance(dtype, torch.dtype):
        return dtype if isinstance(dtype, torch.dtype) else None
    named = {name: found for found, names in DTYPES.items() for name in names}
    if dtype.removeprefix("torch.") not in named:
        raise ValueError(f"dtype must be one of {['auto', *named]}, got {dtype!r}")
    return named[dtype.removeprefix("torch.")]


def require_runnable(device: torch.device, dtype: torch.dtype) -> None:
    """Try one small product, so that an impossible dtype fails before the first frame.

    Raises:
        ValueError: where it fails.
    """
    try:
        square = torch.ones(2, 2, device=device, dtype=dtype)
        torch.nn.functional.linear(square, square).softmax(-1)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ValueError(
            f"{device} cannot run {dtype}: choose another dtype (float32 runs everywhere) or "
            f"device ({error})"
        ) from error
