"""What one layer holds between frames, or sees while a step passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .columns import behind, changed, completed, tensors_of

# What is known of a slot's token, the same in every KV head that holds it.
TOKEN_COLUMNS = ("index", "frame", "visual", "positions")
STAT = "stat:"  # in front of the names of those that users add
_TOGETHER = ("index", "frame", "rotated")


@dataclass(eq=False, repr=False)
class Slots:
    """The slots of one decoder layer. Letters: B batch, K KV heads, H query heads, S slots.

    Attributes:
        keys, values: [B, K, S, head_dim], keys post-RoPE as they were produced.
        index: [B, K, S] int64, token number in the stream (dropped tokens count); strictly
            increasing along S. Padding in front of ragged heads has negative numbers.
        frame: [B, K, S] int64, frame number; -1 is text before the video.
        visual: [B, K, S] bool.
        positions: [axes, B, K, S], where later frames see the slot. A memory may replace it;
            reading then rotates the stored key, which itself stays as produced.
        mass: [B, K, S] attention mass of the step's queries, summed over queries and the GQA
            group; float32 (float64 for float64 models). None unless the memory `needs_mass`.
        reduced: named [B, K, S] reductions of the same weights over queries and group, those that
            the memory asks for by `reductions`: "max", the largest; "squares", the sum of squares.
        stats: named [B, K, S] numbers that travel with their slots; new or missing is 0.
        state: named tensors of the layer, not of a slot (running means, ...). Replace its
            entries, never write into the tensors: a failed push restores the old ones.
        valid: [B, K, S] bool where heads hold different numbers of slots, else None.
        num_new: while a step passes, the last `num_new` slots are its own; 0 after `keep`.
        layer, num_layers: which layer this is.
        rotated: [axes, B, K, S], the positions the stored keys were rotated to, as counted from the
            stream's origin of now (`stream/origin.py`).
        probe_mass: [B, K, S] like `mass`, of the queries of the memory's `probe` text.
        weigh: recomputes the attention weights of chosen query rows, see `weights_of`.
        turn: rotates vectors [B, K, S, D] on by a difference of positions, see `keys_at`.
    """

    keys: Tensor
    values: Tensor
    index: Tensor
    frame: Tensor
    visual: Tensor
    positions: Tensor
    mass: Tensor | None = None
    stats: dict[str, Tensor] = field(default_factory=dict)
    state: dict[str, Tensor] = field(default_factory=dict)
    valid: Tensor | None = None
    num_new: int = 0
    layer: int = 0
    num_layers: int = 1
    rotated: Tensor | None = None
    probe_mass: Tensor | None = None
    weigh: Callable[[Tensor], Tensor] | None = None
    turn: Callable[[Tensor, Tensor], Tensor] | None = None
    reduced: dict[str, Tensor] = field(default_factory=dict)
    # [2 + axes, B, K, S] and its parts, as long as they are index, frame and rotated: whatever is
    # done to all three is one operation on it.
    _packed: tuple[Tensor, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.rotated is None:
            self.rotated = self.positions

    def __repr__(self) -> str:
        """Its sizes; never its numbers, of which there may be millions."""
        new = f", {self.num_new} new" if self.num_new else ""
        size = f"{self.num_slots} slots x {self.index.shape[1]} heads{new}"
        named = ", ".join(["", *self.stats, *self.state])
        return f"Slots({size}, layer {self.layer} of {self.num_layers}{named})"

    @property
    def num_slots(self) -> int:
        """Slots per KV head; where heads are ragged, of the fullest head."""
        return self.keys.shape[2]

    @property
    def moved(self) -> bool:
        """Whether `positions` were replaced, so that reading has to rotate the keys."""
        return self.positions is not self.rotated

    def keep(self, which: Tensor) -> Slots:
        """The chosen slots, in stream order, as what the layer carries on.

        Args:
            which: ascending indices [B, K, S'] (or broadcastable to it), or a bool mask
                [B, K, S]. Rows of a mask may keep different numbers: the result is then ragged,
                padded in front and marked by `valid`. Indices avoid a read by the host.

        Raises:
            ValueError: if indices are not strictly ascending or outside 0..S-1 (checked here on
                the CPU; their order inside a step, and both on an accelerator, later by the
                session, for all layers at once).
        """
        if which.dtype == torch.bool:
            return self._keep_mask(which)
        rows = which.expand(*self.keys.shape[:2], which.shape[-1])
        if self.turn is None:
            _require_ascending(rows, self.num_slots)
        try:
            return self._gather(rows)
        except RuntimeError:  # outside, on the CPU
            _require_ascending(rows, self.num_slots)
            raise

    def mass_of(self, rows: Tensor) -> Tensor:
        """[B, H, S] attention mass handed out by query rows of the step, chosen as for
        `weights_of`.

        Raises:
            RuntimeError: outside a step: queries are not kept.
        """
        return self.weights_of(rows).sum(3).flatten(1, 2)

    def weights_of(self, rows: Tensor) -> Tensor:
        """[B, K, G, n, S] attention weights of chosen query rows of the step, for each of the G
        query heads that share a KV head; float32, float64 for float64 models.

        Recomputes one product of queries and keys, so ask for few rows, or for few at a time.

        Args:
            rows: [n] int64 row numbers in the step (negative counts from the end), or a bool
                mask [num_new].

        Raises:
            RuntimeError: outside a step: queries are not kept.
        """
        if self.weigh is None:
            raise RuntimeError(
                "weights and their mass can be asked for only inside update, while the step's "
                "queries exist"
            )
        device = self.index.device  # not that of keys, which would unpack archived ones
        return self.weigh(torch.arange(self.num_new, device=device)[rows.to(device)])

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor it holds by name, "keys" or "stats.age"; `rotated` only where `moved`."""
        return ((n, v) for n, v in tensors_of(self) if n != "rotated" or self.moved)

    def map(self, change: Callable[..., Tensor], *others: Slots) -> Slots:
        """A copy with every tensor changed that has a slot axis; all but those of `state`.

        Args:
            change: takes each, and the axis its slots are on: -2 for keys and values, else -1.
            others: it takes their tensors beside these; what one lacks goes from all.
        """
        every = (self, *others)

        def column(name: str, *values: Tensor) -> Tensor:
            return change(*values, -2 if name in ("keys", "values") else -1)

        whole = [packed for slots in every if (packed := slots._numbers()) is not None]
        packs = len(whole) == len(every)
        alone = _TOGETHER if packs else ()
        made = changed(column, every, but=("state", "positions", *alone))
        made |= _parts(change(*whole, -1)) if packs else {"_packed": ()}
        moved = any(slots.moved for slots in every)
        placed = change(*(s.positions for s in every), -1) if moved else made["rotated"]
        return replace(self, **made, positions=placed)

    def settled(self) -> Slots:
        """The slots without what exists only while a step passes."""
        # Together again, so that what a memory replaced is not held.
        slots = self if self._whole() is not None else self.map(lambda value, _: value)
        return replace(
            slots, mass=None, reduced={}, probe_mass=None, weigh=None, turn=None, num_new=0
        )

    def keys_at(self, positions: Tensor) -> Tensor:
        """[B, K, S, D] the stored keys as they would read at other positions [axes, B, K, S].

        Raises:
            RuntimeError: outside a step: slots do not know the model's rotary embedding.
        """
        if self.turn is None or self.rotated is None:
            raise RuntimeError("keys_at works only inside update, where the model's RoPE is known")
        return self.turn(self.keys, positions - self.rotated)

    def _keep_mask(self, mask: Tensor) -> Slots:
        mask = mask.expand(*self.keys.shape[:3])
        if self.valid is not None:
            mask = mask & self.valid
        most = int(mask.sum(-1).max()) if mask.numel() else 0
        # A stable sort of the mask puts evicted slots in front and kept ones behind, in order.
        order = mask.to(torch.uint8).argsort(dim=-1, stable=True)[..., self.num_slots - most :]
        kept = self._gather(order)
        kept.valid = mask.gather(-1, order)
        return _mark_padding(kept)

    def _gather(self, rows: Tensor) -> Slots:
        wide = rows[..., None]

        def pick(value: Tensor, dim: int) -> Tensor:
            if dim == -1:
                return value.gather(-1, rows.expand(*value.shape[:-1], -1))
            return value.gather(-2, wide.expand(-1, -1, -1, value.shape[-1]))

        kept = self.map(pick)
        kept.num_new, kept.weigh = 0, None
        return kept

    def _whole(self) -> Tensor | None:
        """[2 + axes, B, K, S] index, frame and rotated, if these are its parts."""
        if not self._packed:
            return None
        whole, index, frame, rotated = self._packed
        same = self.index is index and self.frame is frame and self.rotated is rotated
        return whole if same else None

    def _numbers(self) -> Tensor | None:
        """[2 + axes, B, K, S] index, frame and rotated in one; None where their dtypes differ."""
        whole, rotated = self._whole(), self.rotated
        assert rotated is not None  # filled by __post_init__
        if whole is None and self.index.dtype == self.frame.dtype == rotated.dtype:
            whole = torch.cat([self.index[None], self.frame[None], rotated])
        return whole


def _parts(whole: Tensor) -> dict[str, Any]:
    parts = (whole[0], whole[1], whole[2:])
    return {**dict(zip(_TOGETHER, parts, strict=True)), "_packed": (whole, *parts)}


def token_slots(
    keys: Tensor, values: Tensor, columns: Mapping[str, Tensor], layer: int, num_layers: int
) -> Slots:
    """Slots of tokens that every KV head holds, without a copy of what is known of them: `columns`
    [B, S] by name, stats behind `STAT`, and positions [axes, B, S]."""
    known = {
        name: column.to(keys.device).unsqueeze(-2).expand(*column.shape[:-1], keys.shape[1], -1)
        for name, column in columns.items()
    }
    own: dict[str, Any] = {name: known[name] for name in TOKEN_COLUMNS}
    stats = {name.removeprefix(STAT): known[name] for name in known if name.startswith(STAT)}
    return Slots(keys, values, **own, stats=stats, layer=layer, num_layers=num_layers)


def join_slots(carried: Slots, new: Slots) -> Slots:
    """[carried ; new] of one layer, as a step shows it to attention and to the memory.

    On the device of `new`, which is the layer's own: a model may be spread over several.
    """
    carried = on_device(carried, new.keys.device)
    if carried.stats or new.stats:
        shapes = carried.index.shape, new.index.shape
        before, after = completed([carried.stats, new.stats], shapes)
        carried, new = replace(carried, stats=before), replace(new, stats=after)
    if carried.valid is not None:
        new = replace(new, valid=torch.ones_like(new.visual))
    joined = new.map(behind, carried)
    joined.state = dict(carried.state)
    return joined


def on_device(slots: Slots, device: torch.device) -> Slots:
    """The slots on a device; themselves where they are there already."""
    if slots.keys.device == device:
        return slots
    state = {name: value.to(device) for name, value in slots.state.items()}
    return replace(slots.map(lambda value, _: value.to(device)), state=state)


def _mark_padding(slots: Slots) -> Slots:
    """Number padding -S..-1 so that `index` keeps rising, and drop `valid` where nothing pads."""
    assert slots.valid is not None
    if bool(slots.valid.all()):
        slots.valid = None
        return slots
    padding = torch.arange(slots.num_slots, device=slots.index.device) - slots.num_slots
    slots.index = torch.where(slots.valid, slots.index, padding)
    if slots.mass is not None:
        slots.mass = slots.mass * slots.valid
    slots.reduced = {name: value * slots.valid for name, value in slots.reduced.items()}
    if slots.probe_mass is not None:
        slots.probe_mass = slots.probe_mass * slots.valid
    return slots


def _require_ascending(rows: Tensor, num_slots: int) -> None:
    if rows.device.type != "cpu" or rows.numel() == 0:
        return
    if int(rows.min()) < 0 or int(rows.max()) >= num_slots:
        raise ValueError(
            f"kept slots must lie in 0..{num_slots - 1}, got {int(rows.min())}..{int(rows.max())}"
        )
    if bool((rows.diff(dim=-1) <= 0).any()):
        raise ValueError(
            "kept slots must be strictly ascending along the last axis (stream order, no "
            "repeats); sort the indices before keep"
        )
