"""Full attention: every later frame sees every token.

It lives in the framework because everything is measured against it; `methods` lists it with the
others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from .memory import CrossFrameMemory
from .slots import Slots


@final
@dataclass(frozen=True)
class FullMemory(CrossFrameMemory):
    """Keep all slots: exact causal attention over the whole stream.

    Rule: nothing is evicted. Logits equal the stock model's one-shot forward.
    Cost per frame grows with the frames before it; bytes held grow with the stream.
    """

    graphable = True

    def update(self, slots: Slots) -> Slots:
        return slots
