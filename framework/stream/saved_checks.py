"""What the tensors of a saved session must satisfy, whoever made the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..archives.codec import Archive
from ..archives.storage import ORIGIN
from ..model import RECURRENT, VideoModel
from ..ragged import PackedSlots, unpack
from ..slots import STAT, TOKEN_COLUMNS, Slots
from .saved_facts import require
from .saved_state import COLUMNS, LAYERS, below
from .state import StreamState

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_NUMBERS = (*_INTEGERS, *_FLOATS)
_COLUMN_TYPES = {"visual": (torch.bool,), "positions": _NUMBERS}
_PIECE = 1 << 20  # numbers looked at together: they stay in the processor's cache
Shape = tuple[int | None, ...]


@dataclass(eq=False)
class _Forms:
    """The tensors of a file; each is taken once, and none may be left."""

    left: dict[str, Tensor]
    axes: int
    batch: int = field(default=1)

    def take(self, name: str, shape: Shape, dtypes: tuple[torch.dtype, ...] = ()) -> Tensor:
        value = self.left.pop(name, None)
        require(value is not None, f"it holds no {name:.100}")
        assert value is not None
        fits = value.dim() == len(shape) and all(
            size in (None, found) for size, found in zip(shape, value.shape, strict=True)
        )
        wanted = f"{['any' if size is None else size for size in shape]}"
        require(
            fits and (not dtypes or value.dtype in dtypes),
            f"{name:.100} is {value.dtype} {list(value.shape)}, not "
            f"{' or '.join(map(str, dtypes[:1])) or 'any dtype'} {wanted}",
        )
        return value

    def take_columns(self, prefix: str, lead: Shape, names: Sequence[str] = TOKEN_COLUMNS) -> None:
        for name in names:
            shape = (self.axes, *lead) if name == "positions" else lead
            self.take(prefix + name, shape, _COLUMN_TYPES.get(name, _INTEGERS))

    def names(self, prefix: str) -> list[str]:
        return [name for name in self.left if name.startswith(prefix)]


def check_tensors(
    facts: Mapping[str, Any], tensors: Mapping[str, Tensor], model: VideoModel, codec: Archive
) -> None:
    """Refuse tensors whose names, shapes, dtypes or numbers no session of this model can have; the
    ValueError names the tensor."""
    forms = _Forms(dict(tensors), model.position_axes)
    for number in range(len(facts["layers"])):
        _take_layer(forms, number, model)
    if facts["layers"]:
        _take_recurrent(forms, model)
    for number in range(len(facts["pending"])):
        _take_pending(forms, number, begun=bool(facts["layers"]))
    if facts["previous"] is not None:
        _take_previous(forms, model, facts["largest_frame"])
    tokens = _take_columns(forms, codec.keeps and facts["cursor"]["tokens"] > 0)
    _take_archive(forms, tokens, model, codec)
    strange = [name for name in forms.left if not name.startswith("admission.")]
    require(not strange, f"it holds {strange[:1]!r:.100}, which no session has")
    for name, value in tensors.items():
        own = name.split(".")[-2:-1] in (["stats"], ["state"]) or name.startswith("admission.")
        require(own or _is_finite(value), f"{name:.100} holds NaN or Inf")


def require_packed_by(codec: Archive, layers: Mapping[str, Tensor], model: VideoModel) -> None:
    """Refuse tensors, by number of the layer and name, that another codec packed: they would be
    unpacked into nonsense; the ValueError names both forms."""
    packs = _packing_of(codec, model)
    for number in {name.partition(".")[0] for name in layers}:
        stored = below(f"{number}.", layers)
        found = {name: (part.dtype, list(part.shape[3:])) for name, part in stored.items()}
        if found != packs:
            raise ValueError(
                f"the archive was saved as {found!r:.200}, but {codec!r:.100} packs {packs!r:.200}"
                ": load it with an archive that packs as the saved one did"
            )


def check_archive(state: StreamState, columns: Mapping[str, Tensor]) -> None:
    """Refuse an archive that is no stream in order, up to where the cursor stands; the ValueError
    names the column."""
    if not columns:
        return
    index, frame = columns["index"], columns["frame"]
    inside = (index >= 0) & (index < state.cursor.tokens)
    ordered = bool(inside.all()) and bool((index.diff(dim=-1) > 0).all())
    require(ordered, f"column.index is no ascending numbers below {state.cursor.tokens}")
    steps = frame.diff(dim=-1)
    whole = (
        bool(((frame[:, 0] == -1) | (frame[:, 0] == 0)).all())
        and bool(((steps == 0) | (steps == 1)).all())
        and bool((frame[:, -1] == state.cursor.frames - 1).all())
    )
    require(whole, f"column.frame does not count {state.cursor.frames} frames in order")
    require(
        not bool((columns["visual"] & (frame < 0)).any()),
        "column.visual marks text before the video as visual",
    )


def check_carried(state: StreamState, columns: Mapping[str, Tensor]) -> None:
    """Refuse carried slots that are not what the archive says of their tokens: no memory but one
    that merges changes frame, visual, or the position that a key was rotated to; the ValueError
    names layer and field."""
    for number, stored in enumerate(state.layers):
        slots = unpack(stored)
        shape = slots.index.shape
        if slots.num_slots == 0 or not columns:
            continue
        valid = torch.ones(shape, dtype=torch.bool) if slots.valid is None else slots.valid
        flat = slots.index.flatten(1)
        # Contiguous, as searchsorted wants it.
        row = torch.searchsorted(columns["index"].contiguous(), flat.contiguous())
        row = row.clamp(max=columns["index"].shape[-1] - 1)
        assert slots.rotated is not None
        held = {"index": slots.index, "frame": slots.frame, "visual": slots.visual}
        held |= {f"rotated axis {axis}": part for axis, part in enumerate(slots.rotated)}
        known = {name: columns[name] for name in ("index", "frame", "visual")}
        rotated = columns["positions"]
        if ORIGIN in columns:
            rotated = rotated + (state.origin.moved - columns[ORIGIN])
        known |= {f"rotated axis {axis}": part for axis, part in enumerate(rotated)}
        for name, value in held.items():
            same = known[name].gather(-1, row).view(shape) == value
            require(
                bool((same | ~valid).all()),
                f"layer.{number}: {name} of a slot is not what the archive has of its token",
            )


def check_frames(state: StreamState) -> None:
    """Refuse carried slots of frames that the stream has not seen, or that padding does not lead;
    the ValueError names the layer."""
    for number, stored in enumerate(state.layers):
        if isinstance(stored, PackedSlots):
            padded = bool((stored.valid.int().diff(dim=-1) < 0).any())
            require(not padded, f"layer.{number}.valid has padding behind slots")
        slots: Slots = unpack(stored)
        frame = slots.frame if slots.valid is None else slots.frame.where(slots.valid, -1)
        inside = (frame >= -1) & (frame < state.cursor.frames)
        ordered = bool(inside.all()) and bool((frame.diff(dim=-1) >= 0).all())
        require(ordered, f"layer.{number}.frame is no ascending numbers of frames seen")


def _take_layer(forms: _Forms, number: int, model: VideoModel) -> None:
    prefix, heads, size = f"layer.{number}.", model.spec.num_kv_heads, model.spec.head_dim
    marked = forms.left.get(f"{prefix}valid")
    if number == 0:
        first = forms.left.get(f"{prefix}keys") if marked is None else marked
        forms.batch = len(first) if first is not None and first.dim() else 1
        require(forms.batch > 0, f"{prefix}keys is of no video")
    lead: Shape = (forms.batch, heads, None)
    if marked is not None:
        valid = forms.take(f"{prefix}valid", lead, (torch.bool,))
        lead = (1, 1, int(valid.sum()))
    keys = forms.take(f"{prefix}keys", (*lead, size), (model.dtype,))
    lead = tuple(keys.shape[:3])
    forms.take(f"{prefix}values", (*lead, size), (model.dtype,))
    forms.take_columns(prefix, lead)
    if f"{prefix}rotated" in forms.left:
        forms.take(f"{prefix}rotated", (forms.axes, *lead), _NUMBERS)
    for name in forms.names(f"{prefix}stats."):
        forms.take(name, lead)
    for name in forms.names(f"{prefix}state."):
        del forms.left[name]


def _take_recurrent(forms: _Forms, model: VideoModel) -> None:
    spec = model.spec.recurrent
    if spec is None:
        return
    for number in spec.layers:
        for name, shape in zip(RECURRENT, spec.state_shapes(forms.batch), strict=True):
            forms.take(f"recurrent.{number}.{name}", shape)


def _take_pending(forms: _Forms, number: int, begun: bool) -> None:
    waiting = forms.left.get(f"pending.{number}")
    if not begun and number == 0 and waiting is not None and waiting.dim() == 4:
        forms.batch = len(waiting)
    lead: Shape = (forms.batch,) if forms.batch > 1 else ()
    image = forms.take(f"pending.{number}", (*lead, None, None, 3), (torch.uint8,))
    require(image.numel() > 0, f"pending.{number} has no pixels")


def _take_previous(forms: _Forms, model: VideoModel, largest: int) -> None:
    embeds = forms.take("previous.embeds", (forms.batch, None, model.spec.hidden), _FLOATS)
    tokens = embeds.shape[1]
    require(0 < tokens <= largest, f"previous.embeds has {tokens} tokens, not 1 to {largest}")
    lead = (forms.batch, tokens)
    forms.take("previous.positions", (forms.axes, *lead), _NUMBERS)
    for name, dtypes in (("visual", (torch.bool,)), ("offsets", _INTEGERS)):
        if f"previous.{name}" in forms.left:
            forms.take(f"previous.{name}", lead, dtypes)
    for name in forms.names("previous.extras."):
        found = forms.left[name].shape
        forms.take(name, (*lead, *found[2:]))
    for name in forms.names("previous.stats."):
        forms.take(name, lead)


def _take_columns(forms: _Forms, needed: bool) -> int:
    """Number of tokens in the archive."""
    if not needed:
        return 0
    index = forms.take(f"{COLUMNS}index", (forms.batch, None), _INTEGERS)
    lead = tuple(index.shape)
    require(lead[1] > 0, f"{COLUMNS}index has no tokens")
    forms.take_columns(COLUMNS, lead, TOKEN_COLUMNS[1:])
    if f"{COLUMNS}{ORIGIN}" in forms.left:
        forms.take(f"{COLUMNS}{ORIGIN}", lead, _INTEGERS)
    for name in forms.names(COLUMNS + STAT):
        forms.take(name, lead)
    return lead[1]


def _take_archive(forms: _Forms, tokens: int, model: VideoModel, codec: Archive) -> None:
    for number in range(model.spec.num_layers if tokens else 0):
        for name, (_, rest) in _packing_of(codec, model).items():
            size = (forms.batch, model.spec.num_kv_heads, tokens, *rest)
            forms.take(f"{LAYERS}{number}.{name}", size)


def _packing_of(codec: Archive, model: VideoModel) -> dict[str, tuple[torch.dtype, list[int]]]:
    """What a codec makes of one token: names, dtypes and sizes."""
    token = torch.zeros(1, model.spec.num_kv_heads, 1, model.spec.head_dim, dtype=model.dtype)
    packed = codec.pack(token, token)
    return {name: (part.dtype, list(part.shape[3:])) for name, part in packed.items()}


def _is_finite(value: Tensor) -> bool:
    """By least and largest number: 8 GB/s on one core, where `isfinite` takes in 0.2 to 2."""
    if value.dtype not in _FLOATS or value.numel() == 0:
        return True
    for piece in value.reshape(-1).split(_PIECE):
        least, most = piece.aminmax()
        if not (least.isfinite() and most.isfinite()):
            return False
    return True
