"""Mass of full attention, frame by frame, turned into the paper's measures of evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...framework import CrossFrameMemory, Slots, require_count
from ...framework.metrics import captured_mass, churn, recall, retention, weighted_recall

Row = dict[str, Any]
LEVELS = ("layer", "head")
SINKS = 4  # first tokens kept beside recent frames, as StreamingLLM does


@dataclass(frozen=True)
class WatchedMemory(CrossFrameMemory):
    """Full attention that shows somebody every layer's slots of a step, with their mass, before
    they are carried on whole."""

    show: Callable[[Slots], None]
    needs_mass = True

    def update(self, slots: Slots) -> Slots:
        self.show(slots)
        return slots


class ByMass:
    """Tokens ranked by mass [heads, tokens]; ties go to the newer one, as in `top_slots`."""

    def __init__(self, mass: Tensor) -> None:
        self.mass, self.tokens = mass, mass.shape[-1]
        # Reversed, a stable sort meets the newer of two equal tokens first.
        reversed_order = mass.flip(-1).argsort(dim=-1, descending=True, stable=True)
        self._order = self.tokens - 1 - reversed_order

    def best(self, among: Tensor, budgets: Tensor) -> Tensor:
        """[capacities, heads, tokens]: the most massive of some tokens; all where there are fewer.

        Args:
            among: bool, broadcastable to the result.
            budgets: [capacities, 1, 1] how many.
        """
        shape = (len(budgets), *self.mass.shape)
        order = self._order.expand(shape)
        ranked = among.expand(shape).gather(-1, order)
        chosen = ranked & (ranked.cumsum(-1) <= budgets)
        return torch.zeros_like(chosen).scatter(-1, order, chosen)


@dataclass(frozen=True, eq=False)
class Carried:
    """The sets of tokens a layer would carry after a frame, [capacities, heads, tokens] each.

    Attributes:
        oracle: the best of everything seen, chosen anew at every frame: S of eq. (10).
        past: the best of what was there before the frame: T of eq. (9).
        rolled: what a memory really holds: the best of its own last state and the frame.
        tokens_before: tokens of the stream before the frame.
    """

    oracle: Tensor
    past: Tensor
    rolled: Tensor
    tokens_before: int


class Evidence:
    """Measures how concentrated the mass is and how slowly it moves (the paper's appendix A).

    Mass is full attention's, and let go after every step; what stays are rows of numbers and, per
    layer and capacity, the last frame's sets. Rows begin at the second frame, the first with a past
    of frames. At level "layer" mass is summed over heads first, as in the paper; at level "head"
    each KV head is measured by itself, as its memory selects, and the heads are averaged.

    Attributes:
        rows: per layer, level, frame and capacity; `docs/observe.md` lists the columns.
        recency: per layer, level, frame and number of recent frames.
        carried: the last frame's sets by layer and level.

    Args:
        capacities: slots B.
        recent_frames: sizes of windows whose share of the mass is measured beside the best tokens.

    Raises:
        ValueError: for numbers below 1.
    """

    def __init__(self, capacities: Sequence[int], recent_frames: Sequence[int] = ()) -> None:
        for name, counts in (("capacities", capacities), ("recent_frames", recent_frames)):
            for count in counts:
                require_count("Evidence", name, count, least=1, unbounded=False)
        self.capacities = sorted(set(capacities))
        self.recent_frames = sorted(set(recent_frames))
        self.rows: list[Row] = []
        self.recency: list[Row] = []
        self.carried: dict[tuple[int, str], Carried] = {}

    def __call__(self, slots: Slots) -> None:
        """One layer of one step of full attention, batch 1."""
        assert slots.mass is not None  # WatchedMemory asks for it
        mass, frame = slots.mass[0].double(), slots.frame[0, 0]
        for level in LEVELS:
            per_head = mass.sum(0, keepdim=True) if level == "layer" else mass
            self._measure(slots.layer, level, ByMass(per_head), frame, slots.num_new)

    def _measure(self, layer: int, level: str, mass: ByMass, frame: Tensor, num_new: int) -> None:
        """frame: [tokens], the frame number of each."""
        number, before = int(frame[-1]), len(frame) - num_new
        about = {"layer": layer, "level": level, "frame": number, "history": before}
        last = self.carried.get((layer, level))
        budgets = torch.tensor(self.capacities, device=frame.device)[:, None, None]
        now, measures = _one_step(mass, last, budgets, before)
        self.carried[layer, level] = now
        if number < 1:
            return
        for place, capacity in enumerate(self.capacities):
            measured = {name: values[place] for name, values in measures.items()}
            self.rows.append({**about, "capacity": capacity, **measured})
        for frames in self.recent_frames:
            recent = (frame >= max(0, number - frames)) & (frame < number)
            row = _beside_recent(mass, recent, before)
            self.recency.append({**about, "recent_frames": frames, **row})


def _one_step(
    mass: ByMass, last: Carried | None, budgets: Tensor, before: int
) -> tuple[Carried, dict[str, list[float]]]:
    """The sets after this frame, and per measure one number per capacity."""
    past = torch.arange(mass.tokens, device=budgets.device) < before
    everything = torch.ones_like(past)
    oracle, best_past = mass.best(everything, budgets), mass.best(past, budgets)
    if last is None:
        rolled = mass.best(~past, budgets)
        return Carried(oracle, best_past, rolled, before), {}
    held = grown(last.rolled, mass.tokens)
    rolled = mass.best(held | ~past, budgets)
    now = Carried(oracle, best_past, rolled, before)
    measures = {**_captured(mass.mass, now, last, past), **_turnover(now, last, past)}
    return now, {name: per_head.nanmean(-1).tolist() for name, per_head in measures.items()}


def grown(members: Tensor, tokens: int) -> Tensor:
    """A set over the stream as it was, [..., fewer tokens], over the stream as it is now."""
    return pad(members, (0, tokens - members.shape[-1]))


def _captured(mass: Tensor, now: Carried, last: Carried, past: Tensor) -> dict[str, Tensor]:
    """Shares [capacities, heads] of what the frame looks at that was, or could have been, held."""
    before, held = grown(last.oracle, mass.shape[-1]), grown(last.rolled, mass.shape[-1])
    shares = {
        "captured": captured_mass(mass, now.past, historical=past),
        "captured_rolled": captured_mass(mass, held, historical=past),
    }
    for suffix, state in (("", before), ("_rolled", held)):
        pool = state | ~past  # eq. (10)
        shares["recall" + suffix] = recall(now.oracle, pool)
        shares["weighted_recall" + suffix] = weighted_recall(mass, now.oracle, pool)
        shares[f"recall{suffix}_past"] = recall(now.past, state)
        shares[f"weighted_recall{suffix}_past"] = weighted_recall(mass, now.past, state)
    return shares


def _turnover(now: Carried, last: Carried, past: Tensor) -> dict[str, Tensor]:
    """Shares [capacities, heads] of the sets that stayed from the last frame to this."""
    tokens = len(past)
    older = torch.arange(tokens, device=past.device) < last.tokens_before
    before, held = grown(last.oracle, tokens), grown(last.rolled, tokens)
    pairs = {
        "": (before, now.oracle),
        "_past": (grown(last.past, tokens), now.past),
        "_rolled": (held, now.rolled),
        # What had outlived its own frame, then and now.
        "_rolled_past": (held & older, now.rolled & past),
    }
    shares: dict[str, Tensor] = {}
    for suffix, (then, today) in pairs.items():
        shares["retention" + suffix] = _where_any(then, retention, then, today)
        shares["churn" + suffix] = _where_any(today, churn, then, today)
    return shares


def _where_any(needed: Tensor, measure: Callable[..., Tensor], then: Tensor, now: Tensor) -> Tensor:
    """The measure, nan where the set it divides by is empty."""
    some = needed.any(-1)
    filled = torch.where(some[..., None], needed, torch.ones_like(needed))
    pair = (filled, now) if needed is then else (then, filled)
    return measure(*pair).masked_fill(~some, float("nan"))


def _beside_recent(mass: ByMass, recent: Tensor, before: int) -> Row:
    """Historical mass on the last frames, with a few first tokens too, and on as many best ones."""
    past = torch.arange(mass.tokens, device=recent.device) < before
    first = torch.arange(mass.tokens, device=recent.device) < SINKS
    count = int(recent.sum())
    best = mass.best(past, torch.tensor([[[count]]], device=recent.device))[0]
    shares = {
        "captured_best": captured_mass(mass.mass, best, historical=past),
        "captured_recent": captured_mass(mass.mass, recent, historical=past),
        "captured_recent_sinks": captured_mass(mass.mass, recent | first, historical=past),
    }
    means = {name: float(share.nanmean()) for name, share in shares.items()}
    return {"slots": count, **means, "gap": means["captured_best"] - means["captured_recent"]}
