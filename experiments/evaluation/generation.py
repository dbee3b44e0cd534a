"""Options of `generate` as a configuration gives them, looked at before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

NUMBERS = (
    *("temperature", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"),
    *("repetition_penalty", "encoder_repetition_penalty", "length_penalty", "guidance_scale"),
    "max_time",
)
COUNTS = (
    *("top_k", "num_beams", "num_return_sequences", "min_new_tokens", "min_length", "max_length"),
    *("no_repeat_ngram_size", "num_assistant_tokens", "prompt_lookup_num_tokens"),
)
AT_LEAST_ONE = ("num_beams", "num_return_sequences")
SWITCHES = ("do_sample", "use_cache", "remove_invalid_values", "renormalize_logits")


def require_generation(settings: Mapping[str, Any]) -> None:
    """Refuse options that `generate` does not have, values that it cannot use, and what no session
    decodes; the ValueError names option, value and remedy."""
    from transformers import GenerationConfig

    from ...models.generation import require_one_by_one

    known = GenerationConfig().to_dict().keys()
    for name, value in settings.items():
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            meant = f"did you mean {near[0]}?" if near else "see transformers' GenerationConfig"
            raise ValueError(f"generation: {name!r} is no option of generate; {meant}")
        _require_value(name, value)
    try:
        require_one_by_one(settings)
    except ValueError as error:
        raise ValueError(f"generation: {error}") from None
    try:
        GenerationConfig(**settings).validate()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"generation: {dict(settings)!r:.100} cannot be used ({reason}); see transformers' "
            "GenerationConfig"
        ) from error


def _require_value(name: str, value: object) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = whole or (isinstance(value, float) and math.isfinite(value))
    least = -math.inf if name == "length_penalty" else float(name in AT_LEAST_ONE)
    if isinstance(value, int | float) and name in (*NUMBERS, *COUNTS) and value < least:
        raise ValueError(f"generation: {name} must be at least {least:g}, got {value!r}")
    for names, fits, wanted in (
        (NUMBERS, number, "a finite number"),
        (COUNTS, whole, "a whole number"),
        (SWITCHES, isinstance(value, bool), "true or false"),
    ):
        if name in names and not fits:
            raise ValueError(f"generation: {name} must be {wanted}, got {value!r:.60}")
