"""Whether a model computed with numbers only, told without making an accelerator wait."""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import stacked

NOT_FINITE = (
    "the model computed NaN or Inf, so that nothing it says means anything from there on: float16 "
    "overflows where other dtypes do not (load the model with dtype='bfloat16' or 'float32'), or "
    "its weights are damaged"
)


def still_finite(before: Tensor | None, *values: Tensor) -> Tensor | None:
    """A bool scalar on a device of the values: they hold no NaN or Inf, and nothing did before, by
    what this returned last (None at the beginning).

    Values of one shape on one device are looked at together: three kernels, however many layers.
    """
    for _, together in stacked(values):
        now = together.isfinite().all()
        before = now if before is None else before.to(now.device) & now
    return before


def extents(*values: Tensor) -> list[Tensor]:
    """The largest absolute number of each, NaN if it holds one: a kernel each, and no copy.

    Queries and keys are looked at by this: attention kernels give 0 for a query of NaN, and a key
    at minus infinity weighs 0, so that neither shows in any hidden state.
    """
    return [torch.linalg.vector_norm(value, float("inf")) for value in values]


def is_finite(told: Tensor | None) -> bool:
    """Read what `still_finite` returned; shapes without numbers count as finite."""
    return told is None or told.is_meta or bool(told)
