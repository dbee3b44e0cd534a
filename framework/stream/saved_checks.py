"""Which tensors a saved session must have, whoever made the file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..archives.codec import Archive
from ..model import VideoModel
from ..slots import TOKEN_COLUMNS
from .saved_state import COLUMNS, LAYERS, below
from .state import StreamState

_DTYPES = {"index": torch.int64, "frame": torch.int64, "visual": torch.bool, "valid": torch.bool}
_MOST = 2**62  # what counts in a stream fits into an int64, and so does a sum of two


def require(holds: bool, what: str) -> None:
    """Raise ValueError unless it holds."""
    if not holds:
        raise ValueError(what)


def check_forms(
    state: StreamState, tensors: Mapping[str, Tensor], codec: Archive, model: VideoModel
) -> None:
    """Refuse carried slots and an archive whose tensors no session of this model has.

    Args:
        tensors: of the file, among them the archive.

    Raises:
        ValueError: naming the tensor, its dtype and shape.
    """
    spec, batch = model.spec, state.batch or 1
    counts = [*vars(state.cursor).values(), *vars(state.origin).values(), state.largest_frame]
    sound = all(type(count) is int and 0 <= count < _MOST for count in counts)
    require(sound, f"{state.cursor}, {state.origin} and largest frame are not counts")
    layers = state.carried(model, batch)
    require(len(layers) == spec.num_layers, f"it carries {len(layers)} layers")
    for number, slots in enumerate(layers):
        lead = (batch, spec.num_kv_heads, slots.num_slots)
        held = {n: value for n, value in slots.tensors() if not n.startswith("state.")}
        _require_shapes(f"layer.{number}.", held, lead, model)
    columns, packed = below(COLUMNS, tensors), below(LAYERS, tensors)
    kept = codec.keeps and state.cursor.tokens > 0
    parts = _packing_of(codec, model) if kept else {}
    names = {f"{number}.{part}" for number in range(spec.num_layers) for part in parts}
    fits = packed.keys() == names and columns.keys() >= set(TOKEN_COLUMNS if kept else ())
    require(fits, f"its archive holds {[*columns, *packed][:9]}, not {sorted(names)[:9]}")
    if kept:
        tokens = columns["index"].shape[-1]
        _require_shapes(COLUMNS, columns, (batch, tokens), model)
        for name, value in packed.items():
            lead = (batch, spec.num_kv_heads, tokens)
            require(value.shape[:3] == lead, f"{LAYERS}{name} is {list(value.shape)}, not {lead}")


def require_packed_by(codec: Archive, layers: Mapping[str, Tensor], model: VideoModel) -> None:
    """Refuse what another codec packed: it would be unpacked into nonsense.

    Args:
        layers: packed tensors by number of the layer and name.

    Raises:
        ValueError: naming both forms.
    """
    packs = _packing_of(codec, model)
    for number in {name.partition(".")[0] for name in layers}:
        stored = below(f"{number}.", layers)
        found = {name: (part.dtype, list(part.shape[3:])) for name, part in stored.items()}
        if found != packs:
            raise ValueError(
                f"the archive was saved as {found!r:.200}, but {codec!r:.100} packs {packs!r:.200}"
                ": load it with an archive that packs as the saved one did"
            )


def _require_shapes(
    prefix: str, tensors: Mapping[str, Tensor], lead: tuple[int, ...], model: VideoModel
) -> None:
    """Keys and values [*lead, head_dim] of the model, places [axes, *lead], all others `lead`."""
    for name, value in tensors.items():
        shape, dtype = lead, _DTYPES.get(name, value.dtype)
        if name in ("keys", "values"):
            shape, dtype = (*lead, model.spec.head_dim), model.dtype
        elif name in ("positions", "rotated"):
            shape = (model.position_axes, *lead)
        require(
            tuple(value.shape) == shape and value.dtype == dtype,
            f"{prefix}{name:.100} is {value.dtype} {list(value.shape)}, not {dtype} {list(shape)}",
        )


def _packing_of(codec: Archive, model: VideoModel) -> dict[str, tuple[torch.dtype, list[int]]]:
    """What a codec makes of one token: names, dtypes and sizes."""
    token = torch.zeros(1, model.spec.num_kv_heads, 1, model.spec.head_dim, dtype=model.dtype)
    packed = codec.pack(token, token)
    return {name: (part.dtype, list(part.shape[3:])) for name, part in packed.items()}
