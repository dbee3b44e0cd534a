"""Checkpoints to break: weights and fields replaced, added or taken out."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from crossframe.models.checkpoints.shards import INDEX


def shard_of(folder: Path, name: str) -> Path:
    """The file that holds a weight; the first one where none does."""
    index = folder / INDEX
    if not index.is_file():
        return folder / "model.safetensors"
    listed = json.loads(index.read_text("utf-8"))["weight_map"]
    return folder / listed.get(name, min(listed.values()))


def edit_weights(folder: Path, changes: dict[str, Tensor | None], file: Path | None = None) -> None:
    """Replace, add or take out weights, in their files (or a given one) and in the index."""
    index = folder / INDEX
    for name, value in changes.items():
        own = file or shard_of(folder, name)
        weights = load_file(own)
        if value is None:
            del weights[name]
        else:
            weights[name] = value
        save_file(weights, own, {"format": "pt"})
        if index.is_file():
            content = json.loads(index.read_text("utf-8"))
            content["weight_map"].pop(name, None)
            if value is not None:
                content["weight_map"][name] = own.name
            index.write_text(json.dumps(content), "utf-8")


def edit_config(folder: Path, part: str | None = None, **changes: Any) -> None:
    """Change fields of config.json, or of one of its parts."""
    file = folder / "config.json"
    fields = json.loads(file.read_text("utf-8"))
    (fields[part] if part else fields).update(changes)
    file.write_text(json.dumps(fields), "utf-8")
