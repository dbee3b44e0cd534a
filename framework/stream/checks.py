"""Conditions on tensors that must not make an accelerator wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def stacked(values: Iterable[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """Tensors of one shape on one device as one [n, ...], so that they are looked at together: the
    numbers they came in, and it."""
    alike: dict[tuple[torch.device, torch.Size], list[tuple[int, Tensor]]] = {}
    for number, value in enumerate(values):
        alike.setdefault((value.device, value.shape), []).append((number, value))
    for same in alike.values():
        yield [number for number, _ in same], torch.stack([value for _, value in same])


class DeferredChecks:
    """Raises a failed condition at once on the CPU, and before the next answer elsewhere; with
    `deferred` on the CPU as well."""

    # Conditions held back: a long stream waits once for as many, and most ended long ago.
    MOST = 4096

    def __init__(self, deferred: bool = False) -> None:
        self.deferred = deferred
        self._pending: list[tuple[Tensor, str]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def require(self, holds: Tensor, *messages: str) -> None:
        """Ask for a bool scalar to be true, or for all of [n] bools with a message for each.

        Raises:
            ValueError: at once, if they lie on the CPU and one is false.
        """
        flags = holds.reshape(-1)
        if holds.device.type not in ("cpu", "meta") or self.deferred:
            self._pending += zip(flags.unbind(), messages, strict=True)
        elif holds.device.type == "cpu":
            for held, message in zip(flags.tolist(), messages, strict=True):
                if not held:
                    raise ValueError(message)

    def raise_many(self) -> None:
        """Read the pending conditions once they are `MOST`, so that they do not grow for ever."""
        if len(self) >= self.MOST:
            self.raise_failed()

    def raise_failed(self) -> None:
        """Read all pending conditions.

        Raises:
            ValueError: with the message of the first that failed; it stays pending, because what
                it spoiled stays in the session.
        """
        if not self._pending:
            return
        flags = torch.stack([holds.cpu() for holds, _ in self._pending]).tolist()
        for position, held in enumerate(flags):
            if not held:
                message = self._pending[position][1]
                self._pending = [self._pending[position]]
                raise ValueError(message)
        self._pending = []

    def fork(self) -> DeferredChecks:
        twin = DeferredChecks(self.deferred)
        twin._pending = list(self._pending)
        return twin
