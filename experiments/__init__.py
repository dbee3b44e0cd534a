"""Command line, evaluation, benchmarks, reports; `compare`, `observe`, `ablate` for notebooks."""

from .notebook import Ablated, Compared, Observed, ablate, compare, observe

__all__ = ["Ablated", "Compared", "Observed", "ablate", "compare", "observe"]
