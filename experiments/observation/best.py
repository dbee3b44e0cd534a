"""The best tokens by mass, for many capacities at once: sorted once, counted along the ranks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


class ByMass:
    """Tokens ranked by mass; ties go to the newer one, as in `top_slots`.

    Args:
        mass: [heads, tokens].
    """

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


def grown(members: Tensor, tokens: int) -> Tensor:
    """A set over the stream as it was, [..., fewer tokens], over the stream as it is now."""
    return pad(members, (0, tokens - members.shape[-1]))
