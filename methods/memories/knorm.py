"""Knorm: slots of short keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...framework import ScoringMemory, Slots
from ..selection import widened


@final
@dataclass(frozen=True)
class KnormMemory(ScoringMemory):
    """Keep the slots of shortest keys, per layer and KV head.

    Rule: score = -||key||. Short keys were found to go with large attention weights, attention
    sinks above all. RoPE does not change a key's length, nor do other slots: a score is final when
    its token comes, so what is carried are the best of the whole stream.

    Paper: Devoto, Zhao, Scardapane, Minervini, "A Simple and Effective L2 Norm-Based Strategy for
    KV Cache Compression", arXiv 2406.11430.

    Args:
        capacity: slots per KV head; None is full attention. A slot that once ranked high is never
            let go for newer ones that rank lower: late frames may leave nothing behind.

    Differences from the paper: it leaves the first two layers whole; here all layers are alike.

    Cost per frame: attention over at most capacity + frame tokens, no attention mass; one pass over
    the keys. Bytes held: `capacity` slots.
    """

    graphable = True

    def score(self, slots: Slots) -> Tensor:
        return -torch.linalg.vector_norm(widened(slots.keys), dim=-1)
