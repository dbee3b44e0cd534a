"""`compare`, `observe` and `ablate` from Python: tables, figures, and a page in the notebook."""

from .ablated import Ablated, ablate
from .compared import Compared, compare
from .observed import Observed, observe

__all__ = ["Ablated", "Compared", "Observed", "ablate", "compare", "observe"]
