"""How the KV of all frames is kept for answering, apart from what later frames may attend to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


class Archive(ABC):
    """A codec for archived keys and values: a frozen dataclass of settings, without tensors.

    The archive is the KV of every frame, kept apart so that an answer can read it (the paper's
    "detailed state"). The session owns the storage and appends what `pack` returns.

    Attributes:
        lossy: unpacking does not give back exactly what was packed.
    """

    lossy: bool = False

    @abstractmethod
    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        """Named tensors [B, K, tokens, ...] to store for keys and values [B, K, tokens, D]."""

    @abstractmethod
    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values [B, K, tokens, D] from any run of stored tokens."""


@dataclass(frozen=True)
class PlainArchive(Archive):
    """Keys and values as they are, on the layer's device."""

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return {"keys": keys, "values": values}

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return packed["keys"], packed["values"]
