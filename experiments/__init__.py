"""Command line, evaluation, benchmarks and reports; `compare` and `observe` for notebooks."""

from .notebook import Compared, Observed, compare, observe

__all__ = ["Compared", "Observed", "compare", "observe"]
