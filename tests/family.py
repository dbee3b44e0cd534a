"""An adapter and what it is tested with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from .models.delta_rule import widen_delta_rules


@cache
def _loaded(make: Callable[..., Any], sizes: tuple[tuple[str, Any], ...]) -> tuple[Any, Any]:
    widen_delta_rules()
    return make(**dict(sizes))


@dataclass(frozen=True)
class Family:
    """An adapter and what it is tested with.

    Attributes:
        adapter: one that notes what passes its decoder.
        save: writes a tiny checkpoint into a folder.
        stock: transformers' classes of the model, the processor and its video processor; none
            where the family is not theirs.
        small: sizes of the smallest model that has all parts.
        kinds: other sizes that its parity is tested with.
        brief: which of these, "" for the default sizes, are tested with few memories: what they
            share with other families is tested there with all.
        tokens: special tokens whose ids the adapter compares, as the processor names them.
        fps: at which the processor is told that frames were taken; None if it does not ask.
        own_template: the processor heeds a chat template of the checkpoint's.
    """

    adapter: Any
    tiny: Callable[..., tuple[Any, Any]]
    save: Callable[..., Path]
    stock: tuple[type, ...] = ()
    small: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    brief: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ("video",)
    fps: float | None = None
    own_template: bool = True

    @property
    def shipped(self) -> Any:
        """The adapter itself, without the notes."""
        return self.adapter.__bases__[1]

    def loaded(self, dtype: torch.dtype = torch.float64, **sizes: Any) -> tuple[Any, Any]:
        """A tiny model and its processor, made once; not to be changed."""
        return _loaded(self.tiny, (("dtype", dtype), *sorted(sizes.items())))

    def model(self, dtype: torch.dtype = torch.float64, kind: str = "", **options: Any) -> Any:
        """A new adapter around the model of that kind, or the default one."""
        return self.adapter(*self.loaded(dtype, **(self.kinds[kind] if kind else {})), **options)

    def small_model(self) -> Any:
        """A new adapter around the smallest model, for streams of 4 frames."""
        return self.adapter(*self.loaded(**self.small)).for_stream(4)
