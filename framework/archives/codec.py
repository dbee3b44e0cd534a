"""How the KV of all frames is kept for answering, apart from what later frames may attend to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

# 16 MiB: an hour of InternVL3-8B at one frame per second has 57 of them per tensor and layer.
PAGE_BYTES = 1 << 24
BLOCK_BYTES = 1 << 26
KEPT_BYTES = 1 << 28


class Archive(ABC):
    """A codec for archived keys and values: a frozen dataclass of settings, without tensors.

    The archive is the KV of every frame, kept apart so that an answer can read it (the paper's
    "detailed state"). The session owns the storage and appends what `pack` returns, so a token
    must be packed the same in whatever run of tokens it comes, and unpacked the same from any
    choice of stored tokens.

    Attributes:
        lossy: unpacking does not give back exactly what was packed.
        keeps: False if nothing is stored at all.
        block_bytes: of the keys and values, in the model's dtype, that a question unpacks at a
            time; it holds two such blocks.
        kept_bytes: of those that it unpacks once and keeps until it is answered, if all layers
            together have no more; else blocks are unpacked anew for every token of the answer.
        page_bytes: of a whole page of one packed tensor of one layer, see `paged.py`. A stream that
            has filled the first few holds at most one such page beside what was packed.
    """

    lossy: bool = False
    keeps: bool = True
    page_bytes: int = PAGE_BYTES
    block_bytes: int = BLOCK_BYTES
    kept_bytes: int = KEPT_BYTES

    @property
    def as_they_are(self) -> bool:
        """Whether keys and values are stored by these names as they came, on the layer's device: a
        memory that keeps all of them need not hold them a second time."""
        return False

    @abstractmethod
    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        """Named tensors [B, K, tokens, ...] to store for keys and values [B, K, tokens, D].

        The same names, dtypes and sizes at every call; the arguments stay as they are.
        """

    @abstractmethod
    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values [B, K, tokens, D] of any stored tokens, in stream order.

        They may come in another dtype and on another device than the model's: a question moves and
        converts what it reads.
        """

    def unpack_keys(self, packed: Mapping[str, Tensor]) -> Tensor:
        """The keys alone, for readers that score them; by default `unpack` without its values."""
        return self.unpack(packed)[0]

    def unpack_into(self, packed: Mapping[str, Tensor], keys: Tensor, values: Tensor) -> None:
        """Write what `unpack` gives into tensors [B, K, tokens, D] of the model's dtype, on its
        device; to be overridden where that spares a copy."""
        for room, unpacked in zip((keys, values), self.unpack(packed), strict=True):
            room.copy_(unpacked)

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        """Uninitialised storage of exactly this shape and the example's dtype.

        Called for every page of the packed tensors of one name and layer. Where it lies is where
        the archive lives; by default on the device of what was packed.
        """
        return example.new_empty(shape)

    def place(self, example: Tensor) -> torch.device | str:
        """Where `room` lies for what is packed like the example: a device, or a folder."""
        return self.room(example, (0,)).device


@dataclass(frozen=True)
class PlainArchive(Archive):
    """Keys and values as they are, on the layer's device.

    Bytes held: 2 D numbers of the model's dtype per token and KV head, and room to grow.
    """

    @property
    def as_they_are(self) -> bool:
        """True but for subclasses, which may store something else or somewhere else."""
        return type(self) is PlainArchive

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return {"keys": keys, "values": values}

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return packed["keys"], packed["values"]


@dataclass(frozen=True)
class WrappedArchive(Archive):
    """An archive around another one: packs as the inner one does, subclasses change one thing.

    Args:
        inner: how keys and values are packed; as they are by default.

    Raises:
        ValueError: if inner is no archive.
    """

    inner: Archive = field(default=PlainArchive(), kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Archive):
            raise ValueError(
                f"{type(self).__name__}: inner must be an Archive instance, got {self.inner!r}"
            )
        # Read from the instance; a frozen dataclass has no other way to set it.
        object.__setattr__(self, "lossy", self.lossy or self.inner.lossy)
        for name in ("page_bytes", "block_bytes", "kept_bytes"):
            least = min(getattr(self, name), getattr(self.inner, name))
            object.__setattr__(self, name, least)

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return self.inner.pack(keys, values)

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.inner.unpack(packed)

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        return self.inner.room(example, shape)


@final
@dataclass(frozen=True)
class CPUArchive(WrappedArchive):
    """Keep what the inner archive packs in CPU memory; a question moves what it reads.

    Rule: packing happens on the layer's device, then the packed numbers go to the CPU in one copy.
    Readers get CPU tensors; what they return is moved to the layer's device, nothing else.

    Args:
        pinned: page-locked memory, from which a GPU copies faster; it cannot be swapped out, so a
            long stream takes it away from everything else on the machine.
        inner: how keys and values are packed; as they are by default.

    Raises:
        ValueError: if pinned memory is asked for where there is no CUDA device.

    Cost per frame: one copy of the frame's packed KV to the CPU.
    Bytes held: as the inner archive, none of it on the accelerator. While a question is answered,
    what its reader picked lies on the accelerator, in the model's dtype.
    """

    pinned: bool = False

    def unpack_keys(self, packed: Mapping[str, Tensor]) -> Tensor:
        return self.inner.unpack_keys(packed)

    def unpack_into(self, packed: Mapping[str, Tensor], keys: Tensor, values: Tensor) -> None:
        self.inner.unpack_into(packed, keys, values)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pinned and not torch.cuda.is_available():
            raise ValueError(
                "CPUArchive: pinned=True needs a CUDA device, which only then copies faster: "
                "leave it False"
            )

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        return torch.empty(*shape, dtype=example.dtype, pin_memory=self.pinned)


@dataclass(frozen=True)
class NoArchive(Archive):
    """Nothing is kept: with `ReadCarried`, a stream of constant memory from end to end.

    What the memory evicts is gone, and a question can read only what it carries.

    Bytes held: none.
    """

    keeps = False

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        del keys, values
        return {}

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        del packed
        raise ValueError("NoArchive keeps nothing that could be unpacked")
