"""What queries read from some of the keys, and how two such readings become one.

Softmax attention over keys A and B together is the mean of both readings, weighted by how much of
the softmax's sum each holds: e^(lse_A) and e^(lse_B), with lse the log-sum-exp of its scores. This
is exact, not an approximation (online softmax: Milakov and Gimelshein, arXiv 1805.02867; in blocks
of keys: Rabe and Staats, arXiv 2112.05682).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Reading(NamedTuple):
    """Attention over some keys, with what is needed to join it with attention over others.

    Attributes:
        output: [B, H, T, D]; 0 where a query sees none of the keys.
        lse: [B, H, T] log-sum-exp of the scaled scores of the keys a query sees, to base e; -inf
            where it sees none. Float32, float64 for float64 inputs.
    """

    output: Tensor
    lse: Tensor


def merged(first: Reading, second: Reading) -> Reading:
    """The reading of the keys of both, which share no key; its output is as wide as its lse."""
    lse = torch.logaddexp(first.lse, second.lse)
    # Where neither sees a key, -inf - -inf would be NaN; from the lowest number it is still -inf.
    whole = lse.clamp_min(torch.finfo(lse.dtype).min)
    shares = [(part.lse - whole).exp_()[..., None] for part in (first, second)]
    return Reading(first.output * shares[0] + second.output * shares[1], lse)
