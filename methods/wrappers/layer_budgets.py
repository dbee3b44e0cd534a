"""Layer budgets: a capacity shared out, more slots in some layers than in others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import final

from torch import Tensor

from ...framework import (
    RankingMemory,
    ScoringMemory,
    Slots,
    WrappedRankingMemory,
    nested,
    require_count,
    require_one_of,
    standard,
    with_part,
)

RULES = ("paper", "released")


@dataclass(frozen=True)
class DepthBudgets(WrappedRankingMemory):
    """Gives the inner memory another capacity in every layer; subclasses say which.

    The inner memory is asked as if it had been made with that capacity, so that rules which look at
    their own capacity, and wrappers inside, follow. It promises no reach: for streams beyond a
    session's plan put `ContiguousPositions` outside.

    Raises:
        ValueError: if there is no capacity inside to share out, or it is shared out already; at the
            first push, if a layer would be left without a slot.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(isinstance(memory, ScoringMemory) for memory in nested(self)):
            raise ValueError(
                f"{type(self).__name__} shares out a capacity over the layers, but {self.inner!r} "
                "has none: wrap a ScoringMemory"
            )
        if any(isinstance(memory, DepthBudgets) for memory in nested(self.inner)):
            raise ValueError(
                f"{type(self).__name__}: the capacity of {self.inner!r} is shared out already; do "
                "so once"
            )

    @abstractmethod
    def capacities(self, capacity: int, num_layers: int) -> Sequence[int]:
        """The capacity of every layer, out of an average one."""

    def score(self, slots: Slots) -> Tensor:
        return self._in(slots.layer, slots.num_layers).score(slots)

    @standard
    def protected(self, slots: Slots) -> Tensor | None:
        return self._in(slots.layer, slots.num_layers).protected(slots)

    @standard
    def select(self, slots: Slots, score: Tensor) -> Slots:
        return self._in(slots.layer, slots.num_layers).select(slots, score)

    def budget(self, layer: int, num_layers: int) -> int | None:
        return self._in(layer, num_layers).budget(layer, num_layers)

    def limit(self, layer: int, num_layers: int, frame_tokens: int) -> int | None:
        return self._in(layer, num_layers).limit(layer, num_layers, frame_tokens)

    def reach(self, frame_tokens: int) -> int | None:
        # It would be the largest layer's, and how many layers there are is not known here.
        return None

    def _in(self, layer: int, num_layers: int) -> RankingMemory:
        """The inner memory as it is in one layer."""
        base = next(m for m in nested(self) if isinstance(m, ScoringMemory))
        if base.capacity is None:
            return self.inner
        own = self.capacities(base.capacity, num_layers)[layer]
        if own == 0:
            raise ValueError(
                f"{type(self).__name__} leaves no slot for layer {layer} of {num_layers} out of a "
                f"capacity of {base.capacity}: raise the capacity or share it out more evenly"
            )
        sized = with_part(self.inner, base, replace(base, capacity=own))
        assert isinstance(sized, RankingMemory)  # it was one before
        return sized


@final
@dataclass(frozen=True)
class LayerBudgets(DepthBudgets):
    """Share out the slots of all layers by depth, in proportions of your choice.

    Rule: `shares` are spread evenly from the first to the last layer, with straight lines between
    them, and scaled so that all layers together hold capacity x layers slots per KV head, to the
    slot (largest remainders are rounded up, ties to the earlier layer).

    The StateKV paper (arXiv 2605.31598) uses one capacity in all layers, though its figures show a
    few early and the last layers to need more.

    Args:
        inner: a memory with a capacity, the average over the layers.
        shares: positive numbers; (1,) is equal, (3, 1) falls from three times the last layer's
            budget, (2, 1, 2) widens both ends.

    Raises:
        ValueError: for shares that are not positive numbers, or a memory without capacity; at the
            first push, if a layer would be left without a slot.

    Cost per frame and bytes held: the inner memory's in sum over the layers; the widest layer may
    decide about time and room for attention.
    """

    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        # Saved sessions and configuration files bring lists.
        object.__setattr__(self, "shares", tuple(self.shares))
        if not self.shares or not all(0 < share < float("inf") for share in self.shares):
            raise ValueError(
                f"LayerBudgets: shares must be positive numbers, at least one, got {self.shares}"
            )

    def capacities(self, capacity: int, num_layers: int) -> Sequence[int]:
        return share_out(capacity * num_layers, self.shares, num_layers)


@final
@dataclass(frozen=True)
class PyramidBudgets(DepthBudgets):
    """Large budgets in early layers, small ones in late layers.

    Rule: with capacity C, `reserved` slots w and L layers, budgets fall in even steps from the
    first layer's w + max to the last one's w + min, where min = (C - w) / beta and
    max = 2 (C - w) - min.
    "paper": layer l gets w + max - l (max - min) / (L - 1), rounded so that all layers together
    hold C x L slots per KV head.
    "released", in the integers of the released code: min and the step (max - min) / (L - 1) are
    rounded down. The last layer then keeps what rounding left over, up to L - 2 slots, and the
    layers on average half of that more than C.

    Paper: Cai et al., "PyramidKV: Dynamic KV Cache Compression based on Pyramidal Information
    Funneling", arXiv 2406.02069.

    Args:
        inner: a memory with a capacity, the average over the layers.
        beta: how many times min fits into C - w; larger is steeper. 20 in the released code: the
            first layer's max is 39 times the last one's min as "paper" has it. As "released", with
            its C = 512, w = 8 and 32 layers, it is 983 slots to 53, 19 times.
        reserved: slots that every layer has before the rest is shared out; the observation window
            in the paper.
        rule: "paper" compares with other memories at equally many slots.

    Raises:
        ValueError: for beta below 1, another rule or a memory without capacity; at the first push,
            if `reserved` is more than the capacity or a layer would be left without a slot.

    Differences from the released code: by default the budgets are those of "paper". In both it caps
    max by the length of the prompt, min rising by as much, and gives all layers C where the prompt
    has less than 2 (C - w) tokens; a stream does not know its length. It scores by an observation
    window (`SnapKVMemory`), here the inner memory scores.

    Cost per frame and bytes held: the inner memory's in sum over the layers; the first layer nearly
    twice its share.
    """

    beta: int = 20
    reserved: int = 0
    rule: str = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("PyramidBudgets", "beta", self.beta, least=1, unbounded=False)
        require_count("PyramidBudgets", "reserved", self.reserved, unbounded=False)
        require_one_of("PyramidBudgets", "rule", self.rule, RULES)

    def capacities(self, capacity: int, num_layers: int) -> Sequence[int]:
        rest = capacity - self.reserved
        if rest < 0:
            raise ValueError(
                f"PyramidBudgets: reserved={self.reserved} is more than the capacity of "
                f"{capacity}; raise the capacity or lower reserved"
            )
        if self.rule == "paper" or num_layers == 1:
            least = rest / self.beta
            ends = self.reserved + 2 * rest - least, self.reserved + least
            return share_out(capacity * num_layers, ends, num_layers)
        least = rest // self.beta
        most = 2 * rest - least
        step = (most - least) // (num_layers - 1)
        return [self.reserved + most - layer * step for layer in range(num_layers)]


@lru_cache(maxsize=64)  # asked for in every layer and step, 60 us for 36 layers
def share_out(total: int, points: tuple[float, ...], count: int) -> tuple[int, ...]:
    """`count` integers in proportion to the line through the points that sum to `total`, by largest
    remainders, ties to the first."""
    weights = _along(points, count)
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(count), key=lambda n: (shares[n] - exact[n], n))
    for n in by_remainder[: total - sum(shares)]:
        shares[n] += 1
    return tuple(shares)


def _along(points: Sequence[float], count: int) -> list[float]:
    """`count` numbers evenly along the line through the points, from its first to its last."""
    last = len(points) - 1
    places = [n * last / max(count - 1, 1) for n in range(count)]

    def at(place: float) -> float:
        before = int(place)
        after = min(before + 1, last)
        return points[before] + (place - before) * (points[after] - points[before])

    return [at(place) for place in places]
