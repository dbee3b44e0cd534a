"""Where chance comes from: generators by part, seed and purpose, the same on every machine."""

from __future__ import annotations

import numpy as np

PARTS = {"train": 0, "search": 1, "judge": 2}
SEEDS = 2**32
# Apart, so that what is asked never changes what is drawn, nor pixels what happens.
_PURPOSES = {"setting": 0, "story": 1, "pixels": 2, "questions": 3}


def generator(part: int, seed: int, purpose: str) -> np.random.Generator:
    """A generator of its own for each part, seed and purpose.

    Raises:
        ValueError: for an unknown part, or a seed that does not fit into 32 bits.
    """
    if part not in PARTS.values():
        known = ", ".join(f"{number} ({name})" for name, number in PARTS.items())
        raise ValueError(f"part must be one of {known}, got {part!r}")
    if not 0 <= seed < SEEDS:
        raise ValueError(f"seed must be 0 to {SEEDS - 1}, got {seed}")
    return np.random.default_rng(np.random.SeedSequence([part, seed, _PURPOSES[purpose]]))
