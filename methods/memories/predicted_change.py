"""Predicted change: what a slot will do to the next outputs, foretold from the stream itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import REDUCTIONS, ScoringMemory, Slots, require_count, require_one_of
from ..selection import require_fits

STATISTICS = ("mass", *REDUCTIONS)
FEATURES = 6


@final
@dataclass(frozen=True)
class PredictedChangeMemory(ScoringMemory):
    """Keep the slots whose loss is predicted to move the next step's outputs most.

    Rule: a step's change u of a slot is the root of how far the outputs of the step's queries would
    move without it (`output_change`: weight / (1 - weight) x ||output - value||, summed over
    queries and the GQA group), over the mean of all slots seen. What u will be at the next step is
    predicted by a linear function of six numbers: u, its decayed peak max(u, decay x before), 1,
    1 / (steps seen), and for new slots u and 1 once more. Every step tells what became of the
    carried slots, so the function is fitted anew by least squares over the steps so far, each
    `forget` times less than the one after it, and by one slot's worth of belief that u stays as it
    is. The slots of highest prediction stay, besides the sinks.

    Nothing is learned beforehand: every KV head of every layer finds out by itself, from the stream
    that passes, how much its past is worth against what is new.

    Source: crossframe, `docs/findings.md`. Rules that keep what was attended to, as H2O (arXiv
    2306.14048) and StateKV (arXiv 2605.31598) do, take the past for a prediction without asking how
    good it was. Lists of words copied two frames later cost a small text decoder 1.15 nats more
    under this rule than under StateKV; most other suites of that page go the other way.

    Args:
        capacity: slots per KV head, sinks included; None is full attention.
        statistic: what is predicted: "output_change", or "mass", "max", "squares".
        num_sinks: initial tokens that are never evicted.
        decay: of the peak per step, 0 <= decay < 1.
        forget: what a step counts against the next one, 0 < forget <= 1; 0.95 remembers about
            twenty steps.

    Raises:
        ValueError: for another statistic, numbers out of range, or sinks that do not fit.

    Cost per frame: attention over at most capacity + frame tokens with its weights, and one product
    of the size of QK^T for the change (three with `attention="sdpa"`, weights included); a system
    of six equations per KV head. Bytes held: `capacity` slots with three numbers each, and 42
    numbers per KV head.
    """

    statistic: str = "output_change"
    num_sinks: int = 4
    decay: float = 0.8
    forget: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = type(self).__name__
        require_one_of(owner, "statistic", self.statistic, STATISTICS)
        require_count(owner, "num_sinks", self.num_sinks, unbounded=False)
        require_fits(owner, "num_sinks", self.num_sinks, self.capacity)
        if not 0 <= self.decay < 1:
            raise ValueError(f"{owner}: decay must lie in [0, 1), got {self.decay!r}")
        if not 0 < self.forget <= 1:
            raise ValueError(f"{owner}: forget must lie in (0, 1], got {self.forget!r}")
        mass = self.statistic == "mass"
        self.declare(needs_mass=mass, reductions=() if mass else (self.statistic,))

    def score(self, slots: Slots) -> Tensor:
        change = self._change(slots)
        before, peak, steps = (
            slots.stats[name] if name in slots.stats else torch.zeros_like(change)
            for name in ("predicted_change", "predicted_peak", "predicted_steps")
        )
        self._learn(slots, _features(before, peak, steps), change)
        peak, steps = torch.maximum(change, self.decay * peak), steps + 1
        if slots.valid is not None:
            steps = steps * slots.valid
        slots.stats |= {
            "predicted_change": change,
            "predicted_peak": peak,
            "predicted_steps": steps,
        }
        weights = _fitted(slots.state["predicted_equations"])
        return (_features(change, peak, steps) @ weights)[..., 0]

    def protected(self, slots: Slots) -> Tensor:
        return slots.index < self.num_sinks

    def _change(self, slots: Slots) -> Tensor:
        """[B, K, S] the root of the statistic, 1 on average."""
        received = slots.mass if self.statistic == "mass" else slots.reduced[self.statistic]
        assert received is not None  # needs_mass asks for it
        root = received.sqrt()
        if slots.valid is None:
            mean = root.mean(-1, keepdim=True)
        else:
            root = root * slots.valid
            mean = root.sum(-1, keepdim=True) / slots.valid.sum(-1, keepdim=True)
        return root / mean.clamp_min(torch.finfo(root.dtype).tiny)

    def _learn(self, slots: Slots, features: Tensor, target: Tensor) -> None:
        """Add what became of the carried slots to the normal equations of each head."""
        new = features.mT @ torch.cat([features, target[..., None]], -1)
        before = slots.state.get("predicted_equations", torch.zeros_like(new))
        slots.state["predicted_equations"] = torch.add(new, before, alpha=self.forget)


def _features(change: Tensor, peak: Tensor, steps: Tensor) -> Tensor:
    """[B, K, S, 6] what a prediction is made from, after so many steps; all 0 after none."""
    seen, new = steps.clamp(max=1), (steps == 1).to(change.dtype)
    columns = change, peak, seen, seen / steps.clamp(min=1), new * change, new
    return torch.stack(columns, -1)


def _fitted(equations: Tensor) -> Tensor:
    """[B, K, 6, 1] the weights of least squares, one slot's worth towards (1, 0, 0, 0, 0, 0), from
    products [B, K, 6, 7] of features with features and with what they foretold."""
    belief = torch.eye(FEATURES, FEATURES + 1, dtype=torch.float64, device=equations.device)
    belief[0, -1] = 1
    # Features resemble one another: the system is solved in float64, whatever the model's dtype.
    system = equations.double() + belief
    solved = torch.linalg.solve(system[..., :-1], system[..., -1:])
    return solved.to(equations.dtype)
