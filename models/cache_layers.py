"""Cache layers for transformers that hold nothing: the running step has what is carried."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor
from transformers import GenerationMixin
from transformers.cache_utils import CacheLayerMixin

from ..framework.model import Reading


class PassingLayer(CacheLayerMixin):
    """A cache layer that holds nothing and lets keys and values pass."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1


class ReadingLayer(PassingLayer):
    """That of a question: the attention function joins what the reader picked."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.reading = reading
        self._passing: Tensor | None = None

    def require_own(self, key: Tensor) -> None:
        """Refuse, with a RuntimeError, keys that did not come through this cache just now but by a
        forward pass of somebody else, in a streamer say: its text would join the answer."""
        own, self._passing = self._passing is key, None
        if not own:
            raise RuntimeError(
                "the model was called in the middle of an answer of crossframe, in a streamer or "
                "a stopping rule: call it when ask has returned"
            )

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self._passing = key_states
        return key_states, value_states

    def get_seq_length(self) -> int:
        return self.reading.num_read + self.reading.num_text


def cache_argument() -> str:
    """The name under which the installed transformers' models take a cache: newer ones warn of
    `past_key_values` (5.24), older ones do not know `cache` (5.23)."""
    taken = inspect.signature(vars(GenerationMixin)["prepare_inputs_for_generation"]).parameters
    return "cache" if "cache" in taken else "past_key_values"
