"""Whether a processor's means and deviations are numbers, before the first frame needs them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .faults import ANEW, shortened

FIELDS = ("image_mean", "image_std", "rescale_factor")
PARTS = ("image_processor", "video_processor")


def require_numbers(processor: Any, where: str | Path) -> None:
    """Refuse a processor whose pixels would not be numbers.

    Args:
        processor: of a checkpoint, with the parts that make pixels.
        where: the checkpoint, for the message.

    Raises:
        ValueError: naming checkpoint, part, field and value.
    """
    for part in PARTS:
        settings: dict[str, Any] = getattr(processor, part).to_dict()
        for field in FIELDS:
            given = settings.get(field)
            if given is not None and not _usable(given, zero=field != "image_std"):
                raise ValueError(
                    f"the {part} of {where} has {field}={shortened(repr(given), 40)}, "
                    f"which is no number per channel; {ANEW}"
                )


def _usable(value: object, *, zero: bool) -> bool:
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    return len(numbers) in (1, 3) and all(
        isinstance(number, int | float)
        and abs(number) < 2**31
        and math.isfinite(number)
        and (zero or number != 0)
        for number in numbers
    )
