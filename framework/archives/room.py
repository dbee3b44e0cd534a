"""Whether the archive of a stream whose length is known will fit where it is kept."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Sequence

import torch

from ..model import VideoModel
from .codec import Archive
from .free_memory import free_memory

Place = torch.device | str


def archive_bytes(codec: Archive, model: VideoModel, tokens: int, batch: int = 1) -> int:
    """Bytes of what the codec packs of keys and values of so many tokens, all layers together."""
    spec = model.spec
    token = torch.zeros(1, spec.num_kv_heads, 1, spec.head_dim, dtype=model.dtype)
    packed = codec.pack(token, token).values() if codec.keeps else ()
    each = sum(part.numel() * part.element_size() for part in packed)
    return each * spec.num_layers * tokens * batch


def require_room(
    codecs: Sequence[Archive], model: VideoModel, tokens: int, *, batch: int = 1
) -> None:
    """Refuse archives of a stream of so many tokens that do not fit where they are kept, one beside
    the other. What cannot be told of a place is let pass.

    Raises:
        ValueError: naming the bytes needed and free, and what to use instead.
    """
    example = torch.empty(0, dtype=model.dtype, device=model.device)
    needed = defaultdict[object, int](int)
    places: dict[object, Place] = {}
    for codec in codecs:
        place = codec.place(example)
        needed[_medium(place)] += archive_bytes(codec, model, tokens, batch)
        places.setdefault(_medium(place), place)
    for medium, count in needed.items():
        place = places[medium]
        free = free_bytes(place)
        if free is not None and count > free:
            raise ValueError(
                f"{len(codecs)} archive(s) of a stream of {tokens} tokens take {count / 1e9:.1f} "
                f"GB of {place}, where {free / 1e9:.1f} GB are free: keep it packed (Int8Archive, "
                "Int4Archive), elsewhere (CPUArchive, DiskArchive) or not at all (NoArchive with "
                "ReadCarried), or take fewer frames"
            )


def _medium(place: Place) -> object:
    """What folders on one disk have in common."""
    return os.stat(place).st_dev if isinstance(place, str) and os.path.isdir(place) else place


def free_bytes(place: Place) -> int | None:
    """Bytes that can still be taken of a device or a folder's disk; None where nobody tells."""
    if isinstance(place, str):
        return shutil.disk_usage(place).free if os.path.isdir(place) else None
    if place.type == "cuda":
        unused = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
        return torch.cuda.mem_get_info(place)[0] + unused
    return free_memory() if place.type == "cpu" else None
