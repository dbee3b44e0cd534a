"""Conditions on tensors that must not make an accelerator wait."""

from __future__ import annotations

import torch
from torch import Tensor


class DeferredChecks:
    """Raises a failed condition at once on the CPU, and before the next answer elsewhere.

    Args:
        deferred: keep conditions back although they are on the CPU.
    """

    # Conditions held back: a long stream waits once for as many, and most ended long ago.
    MOST = 4096

    def __init__(self, deferred: bool = False) -> None:
        self.deferred = deferred
        self._pending: list[tuple[Tensor, str]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def require(self, holds: Tensor, message: str) -> None:
        """Ask for a bool scalar to be true.

        Raises:
            ValueError: at once, if the scalar lies on the CPU and is false.
        """
        if holds.device.type not in ("cpu", "meta") or self.deferred:
            self._pending.append((holds, message))
        elif holds.device.type == "cpu" and not bool(holds):
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
