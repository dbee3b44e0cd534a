"""Where a session stands: all of it that changes, so that going on is one assignment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..archives.storage import ArchiveStorage
from .checks import DeferredChecks
from .costs import StepCost, StepCosts
from .state import StreamState


@dataclass(frozen=True, eq=False)
class Progress:
    """What pushes have led to so far.

    A push works on a `draft` and puts it in the place of this one at its end; a question about
    waiting frames lets its draft go. Whatever ends them half-way, an error or an interrupt at any
    line, there is nothing to undo.

    Attributes:
        state: what later frames may attend to, and where the stream stands.
        archive: the KV of all frames.
        costs: of every step.
        checks: conditions not read yet.
        hidden: of a draft that keeps them, the decoder's last hidden states [B, tokens, hidden] by
            step since it was made; None otherwise.
    """

    state: StreamState
    archive: ArchiveStorage
    costs: StepCosts
    checks: DeferredChecks
    hidden: tuple[Tensor, ...] | None = None

    def draft(self, *, keep_hidden: bool = False) -> Progress:
        """The same point, to go on from: what is appended to its parts does not show in these."""
        hidden = () if keep_hidden else None
        return replace(self, archive=self.archive.draft(), checks=self.checks.fork(), hidden=hidden)

    def fork(self) -> Progress:
        """The same point of an independent session."""
        return replace(self, archive=self.archive.fork(), checks=self.checks.fork())

    def at(self, state: StreamState) -> Progress:
        """With another state of the stream."""
        return replace(self, state=state)

    def passed(self, cost: StepCost, hidden: Tensor) -> Progress:
        """With one more step: its cost, and its hidden states where they are kept."""
        kept = None if self.hidden is None else (*self.hidden, hidden)
        return replace(self, costs=self.costs.append(cost), hidden=kept)
