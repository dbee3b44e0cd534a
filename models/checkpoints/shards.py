"""Checkpoints that transformers cannot load itself: safetensors onto a model, shard by shard.

Only safetensors and JSON are read; code in a checkpoint is never imported.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download, snapshot_download
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .faults import in_words, shortened

INDEX = "model.safetensors.index.json"
FILES = ["*.json", "*.safetensors", "merges.txt"]
# Files that hold one JSON object each, where a checkpoint has them.
OBJECTS = (
    *("config.json", "generation_config.json", INDEX),
    *("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "added_tokens.json"),
    *("special_tokens_map.json", "chat_template.json"),
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """How a family stores its weights.

    Attributes:
        family: its name in messages.
        names: the parameters that a stored tensor holds, one after the other along its first axis
            and equally long; none if the model does not need it. For an unknown tensor a name that
            no parameter has.
    """

    family: str
    names: Callable[[str], Sequence[str]]


def local_folder(name_or_path: str | Path, remedy: str = "") -> Path:
    """The checkpoint's folder, downloaded first if a hub name is given (never any code).

    Raises:
        ValueError: if there is none, with `remedy` as a further hint.
    """
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    try:
        return Path(snapshot_download(str(name_or_path), allow_patterns=FILES))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no checkpoint at {name_or_path}: give a local folder, or a hub name while online"
            f"{remedy} ({error})"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The fields of a JSON file.

    Raises:
        ValueError: for a missing or damaged file, or one that holds no object, naming it.
    """
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is missing or damaged, download it anew ({in_words(error)})"
        ) from error
    if not isinstance(fields, dict):
        raise ValueError(
            f"{path} holds a {type(fields).__name__} instead of a JSON object; download it anew"
        )
    return fields


def require_objects(folder: Path) -> None:
    """Refuse a folder in which a file of fields cannot be read as such; the ValueError names the
    file."""
    for name in OBJECTS:
        if (folder / name).exists() or (folder / name).is_symlink():
            read_json(folder / name)


def fill_weights(
    model: nn.Module, folder: Path, layout: Layout, device: torch.device, dtype: torch.dtype | None
) -> None:
    """Give a model on the meta device the weights of a checkpoint, in a dtype or, for None, as they
    are stored; buffers stay as they are.

    Names and shapes of all shards are checked before the first weight is read; then memory holds
    the model and at most one tensor more.

    Raises:
        ValueError: for missing, unknown or misshapen weights and for damaged files, naming them.
    """
    shards = _checked_shards(folder, model, layout)
    logger.info("reading %d shards of %s onto %s as %s", len(shards), folder, device, dtype)
    for path, keys in shards.items():
        with opened(path) as shard:
            for key, names in keys.items():
                for name, part in zip(names, _parts(shard, key, len(names)), strict=True):
                    # A copy, because what safetensors hands out lives in the file.
                    weight = part.to(device=device, dtype=dtype, copy=True)
                    owner, _, leaf = name.rpartition(".")
                    setattr(model.get_submodule(owner), leaf, nn.Parameter(weight))


def _parts(shard: Any, key: str, count: int) -> Sequence[Tensor]:
    stored: Tensor = shard.get_tensor(key)
    return stored.chunk(count) if count > 1 else [stored]


def _checked_shards(
    folder: Path, model: nn.Module, layout: Layout
) -> dict[Path, dict[str, Sequence[str]]]:
    """The keys to read from each file, once every file is found to hold what the model needs."""
    expected = {name: list(weight.shape) for name, weight in model.named_parameters()}
    shards: dict[Path, dict[str, Sequence[str]]] = {}
    stored: set[str] = set()
    for key, path in _listed(folder).items():
        names = layout.names(key)
        if not expected.keys() >= set(names):
            raise ValueError(
                f"{path} holds {key}, which {layout.family} does not have; download it and "
                "config.json anew"
            )
        if names:
            shards.setdefault(path, {})[key] = names
            stored.update(names)
    missing = expected.keys() - stored
    if missing:
        raise ValueError(
            f"no file of {folder} holds {min(missing)} ({len(missing)} weights are missing); "
            "download the checkpoint anew"
        )
    for path, keys in shards.items():
        shapes = {key: _stacked([expected[name] for name in keys[key]]) for key in keys}
        _check_shard(path, shapes, layout)
    return shards


def _stacked(shapes: Sequence[list[int]]) -> list[int]:
    return [sum(shape[0] for shape in shapes), *shapes[0][1:]] if shapes[0] else []


def _listed(folder: Path) -> dict[str, Path]:
    """Every key of the checkpoint with the file that should hold it."""
    single = folder / "model.safetensors"
    if (folder / INDEX).is_file():
        return {key: folder / file for key, file in _weight_map(folder / INDEX).items()}
    if not single.is_file():
        raise ValueError(
            f"{folder} has no complete set of safetensors, and no other is read: download them"
        )
    with opened(single) as shard:
        return dict.fromkeys(shard.keys(), single)


def require_plain_shards(name_or_path: str | Path) -> None:
    """Refuse an index that sends a reader to anything but safetensors in the checkpoint's folder.

    Raises:
        ValueError: naming the index and the entry that is no file's name, a path, or a pickle,
            which may hold code.
    """
    path = _index_of(name_or_path)
    if path is not None:
        _weight_map(path)


def _weight_map(path: Path) -> dict[str, str]:
    """Which file beside the index holds each tensor; raises as `require_plain_shards`."""
    listed = read_json(path).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ValueError(
            f"{path} has weight_map={shortened(repr(listed), 40)}, which names no file for any "
            "tensor; download it anew"
        )
    for key, file in listed.items():
        if not isinstance(file, str) or not file:
            raise ValueError(
                f"{path} has weight_map[{key!r:.100}]={shortened(repr(file), 40)}, which is no "
                "file's name; download it anew"
            )
    for file in set(listed.values()):
        _require_plain(path, file)
    return listed


def _require_plain(path: Path, file: str) -> None:
    if file in (".", "..") or {"/", "\\", "\0"} & set(file):
        raise ValueError(
            f"{path} lists the shard {file!r:.200}: only files of the checkpoint's own folder are "
            "read; download it anew"
        )
    if not file.endswith(".safetensors"):
        raise ValueError(
            f"{path} lists {file!r:.200}, and only safetensors are read, because a pickle runs "
            "code: convert the checkpoint to safetensors"
        )


def _index_of(name_or_path: str | Path) -> Path | None:
    """The index of a folder, or of a hub name; None where there is none."""
    if Path(name_or_path).is_dir():
        path = Path(name_or_path, INDEX)
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(str(name_or_path), INDEX))
    except (OSError, ValueError):
        return None  # not sharded, or not to be had, which loading tells


def _check_shard(path: Path, expected: Mapping[str, list[int]], layout: Layout) -> None:
    """Against the index and the model; weights it does not need may be there unlisted."""
    if not path.is_file():
        raise ValueError(f"{path} is missing, and {min(expected)} with it; download it anew")
    with opened(path) as shard:
        held = {key for key in shard.keys() if layout.names(key)}  # noqa: SIM118
        for key in sorted(held ^ expected.keys()):
            raise ValueError(f"{path} and {INDEX} disagree about {key}; download both anew")
        for key, shape in expected.items():
            stored = shard.get_slice(key).get_shape()
            if stored != shape:
                raise ValueError(
                    f"{path} holds {key} as {stored}, by config.json it is {shape}; download both "
                    "anew"
                )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, whose header alone is read.

    Raises:
        ValueError: for a damaged one, naming it.
    """
    try:
        with safe_open(path, "pt") as shard:
            yield shard
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or cut off, download it anew ({error})") from error
