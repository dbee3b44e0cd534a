"""What a request of lmms-eval asks for, or why it cannot be had: one video, text, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

# lmms-eval adds this to every task without a stop text of its own (its few-shot delimiter), where
# it would cut a reply that reasons first. Its adapters for Qwen and Gemma leave it out too.
FEWSHOT_DELIMITER = "\n\n"
# Passed on to `generate`; the first three say whether and how to sample.
SAMPLING = ("temperature", "top_p", "top_k")
PASSED = ("num_beams", "repetition_penalty", "no_repeat_ngram_size")
ABOUT_IMAGES = ("image_aspect_ratio",)
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
SOUNDS = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus")


@dataclass(frozen=True)
class Generation:
    """How a reply is made.

    Attributes:
        max_new_tokens: most tokens of it.
        until: texts that end it, themselves left out.
        options: further ones of `generate`, as pairs.
    """

    max_new_tokens: int
    until: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any], default_tokens: int) -> Self:
        """From a task's `generation_kwargs`.

        Greedy unless a temperature above 0, or `do_sample` without one, asks for sampling.

        Args:
            default_tokens: length where the task sets none.

        Raises:
            ValueError: for settings that are unknown or of a wrong kind.
        """
        known = {"max_new_tokens", "until", "do_sample", *SAMPLING, *PASSED, *ABOUT_IMAGES}
        unknown = sorted(given.keys() - known)
        if unknown:
            raise ValueError(
                f"generation_kwargs {', '.join(unknown)} mean nothing here; known are "
                f"{', '.join(sorted(known))}"
            )
        tokens = given.get("max_new_tokens") or default_tokens
        options = {name: given[name] for name in PASSED if given.get(name) is not None}
        return cls(int(tokens), _until(given.get("until")), (*_sampling(given), *options.items()))

    def cut(self, text: str) -> str:
        """The text up to where it should have stopped."""
        return min((text.partition(stop)[0] for stop in self.until), key=len, default=text)


def _sampling(given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    temperature = given.get("temperature")
    samples = bool(given.get("do_sample")) if temperature is None else temperature > 0
    if not samples or given.get("do_sample") is False:
        return (("do_sample", False),)
    told = {name: given[name] for name in SAMPLING if given.get(name) is not None}
    return (("do_sample", True), *told.items())


def _until(given: object) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, Sequence) or not all(isinstance(stop, str) for stop in stops):
        raise ValueError(f"generation_kwargs until must be a text or a list of them, got {given!r}")
    return tuple(stop for stop in stops if stop and stop != FEWSHOT_DELIMITER)


def the_video(visuals: object) -> Path:
    """The one video file that a task shows.

    Args:
        visuals: what its `doc_to_visual` gave.

    Raises:
        ValueError: for text alone, pictures, sound, several videos, or a video elsewhere.
    """
    remedy = "crossframe answers questions about one local video file; choose a task of that kind"
    if not visuals or not isinstance(visuals, list | tuple):
        raise ValueError(f"shows nothing, it is text alone; {remedy}")
    kinds = [_kind(visual) for visual in visuals]
    if kinds != ["video"]:
        shown = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
        raise ValueError(f"shows {shown}; {remedy}")
    return Path(visuals[0])


def _kind(visual: object) -> str:
    if isinstance(visual, str | Path):
        name = str(visual)
        if "://" in name:
            return f"address ({name})"
        if name.lower().endswith(PICTURES):
            return "picture"
        return "sound" if name.lower().endswith(SOUNDS) else "video"
    if isinstance(visual, Mapping):
        return "sound" if "array" in visual else f"mapping of {', '.join(map(str, visual))}"
    return f"picture ({type(visual).__name__})"
