"""What one layer holds between frames, or sees while a step passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(eq=False)
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
            stream's origin of now (`origin.py`).
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

    def __post_init__(self) -> None:
        if self.rotated is None:
            self.rotated = self.positions

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
                the CPU; on an accelerator the session checks later, without waiting).
        """
        if which.dtype == torch.bool:
            return self._keep_mask(which)
        rows = which.expand(*self.keys.shape[:2], which.shape[-1])
        _require_ascending(rows, self.num_slots)
        return self._gather(rows)

    def mass_of(self, rows: Tensor) -> Tensor:
        """[B, H, S] attention mass handed out by chosen query rows of the step.

        Args:
            rows: as for `weights_of`.

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
        chosen = torch.arange(self.num_new, device=self.keys.device)[rows.to(self.keys.device)]
        return self.weigh(chosen)

    def settled(self) -> Slots:
        """The slots without what exists only while a step passes."""
        return replace(
            self, mass=None, reduced={}, probe_mass=None, weigh=None, turn=None, num_new=0
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
        def pick(value: Tensor) -> Tensor:
            return value.gather(-1, rows.expand(*value.shape[:-1], -1))

        def pick_rows(value: Tensor) -> Tensor:
            return value.gather(2, rows[..., None].expand(-1, -1, -1, value.shape[-1]))

        positions = pick(self.positions)
        assert self.rotated is not None  # filled by __post_init__
        return replace(
            self,
            keys=pick_rows(self.keys),
            values=pick_rows(self.values),
            index=pick(self.index),
            frame=pick(self.frame),
            visual=pick(self.visual),
            positions=positions,
            rotated=pick(self.rotated) if self.moved else positions,
            mass=None if self.mass is None else pick(self.mass),
            reduced={name: pick(value) for name, value in self.reduced.items()},
            stats={name: pick(value) for name, value in self.stats.items()},
            valid=None if self.valid is None else pick(self.valid),
            num_new=0,
            probe_mass=None if self.probe_mass is None else pick(self.probe_mass),
            weigh=None,
        )


def join_slots(carried: Slots, new: Slots) -> Slots:
    """[carried ; new] of one layer, as a step shows it to attention and to the memory.

    On the device of `new`, which is the layer's own: a model may be spread over several.
    """
    carried = on_device(carried, new.keys.device)

    def cat(a: Tensor, b: Tensor, dim: int = -1) -> Tensor:
        return torch.cat([a, b], dim)

    positions = cat(carried.positions, new.positions)
    rotated = positions
    if carried.moved:
        assert carried.rotated is not None
        rotated = cat(carried.rotated, new.positions)
    return replace(
        new,
        keys=cat(carried.keys, new.keys, 2),
        values=cat(carried.values, new.values, 2),
        index=cat(carried.index, new.index),
        frame=cat(carried.frame, new.frame),
        visual=cat(carried.visual, new.visual),
        positions=positions,
        rotated=rotated,
        stats=_join_stats(carried, new),
        state=dict(carried.state),
        valid=_join_valid(carried, new),
    )


def on_device(slots: Slots, device: torch.device) -> Slots:
    """The slots on a device; themselves where they are there already."""
    if slots.keys.device == device:
        return slots
    positions = slots.positions.to(device)
    return replace(
        slots,
        keys=slots.keys.to(device),
        values=slots.values.to(device),
        index=slots.index.to(device),
        frame=slots.frame.to(device),
        visual=slots.visual.to(device),
        positions=positions,
        rotated=slots.rotated.to(device)
        if slots.moved and slots.rotated is not None
        else positions,
        stats={name: value.to(device) for name, value in slots.stats.items()},
        state={name: value.to(device) for name, value in slots.state.items()},
        valid=None if slots.valid is None else slots.valid.to(device),
    )


def _join_stats(carried: Slots, new: Slots) -> dict[str, Tensor]:
    def of(slots: Slots, name: str, like: Tensor) -> Tensor:
        found = slots.stats.get(name)
        return like.new_zeros(slots.index.shape) if found is None else found

    examples = {**carried.stats, **new.stats}
    return {
        name: torch.cat([of(carried, name, like), of(new, name, like)], -1)
        for name, like in examples.items()
    }


def _join_valid(carried: Slots, new: Slots) -> Tensor | None:
    if carried.valid is None:
        return None
    return torch.cat([carried.valid, torch.ones_like(new.index, dtype=torch.bool)], -1)


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
