"""The kit accepts the framework's archives; and broken ones, which `test_kit.py` plants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    Archive,
    CPUArchive,
    DiskArchive,
    Int4Archive,
    Int8Archive,
    PlainArchive,
    WrappedArchive,
)
from crossframe.framework.archives.storage import ArchiveStorage
from crossframe.framework.testing import check_archive, check_archive_law

SHIPPED: list[Archive] = [
    PlainArchive(),
    CPUArchive(),
    DiskArchive(),
    Int8Archive(),
    Int4Archive(),
    Int4Archive(group=3),
    CPUArchive(inner=Int8Archive()),
    DiskArchive(inner=Int4Archive(group=4)),
]


@pytest.mark.parametrize("archive", SHIPPED, ids=repr)
def test_the_kit_accepts_every_archive_in_one_line(archive: Archive) -> None:
    check_archive(archive, max_examples=3)


@dataclass(frozen=True)
class Spoiled(WrappedArchive):
    """A plain archive to spoil."""


class RoundingInPlace(Spoiled):
    """Stream: writes into the keys that the running step goes on to use."""

    lossy = True

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return {"keys": keys.mul_(8).round_().div_(8), "values": values}


class Undeclared(Spoiled):
    """Answers: loses digits without saying so."""

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return {"keys": keys.to(torch.float8_e4m3fn), "values": values}

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return packed["keys"].float(), packed["values"]


class Smoothing(Spoiled):
    """Answers and parts: what a token unpacks to depends on the others."""

    lossy = True

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return packed["keys"] / packed["keys"].shape[2], packed["values"]


class Thinning(Spoiled):
    """Tokens: one of every run is lost."""

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        return {"keys": keys[:, :, 1:], "values": values[:, :, 1:]}


class Whole(Spoiled):
    """Tokens: comes back as whole numbers."""

    lossy = True

    def unpack(self, packed: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return packed["keys"].int(), packed["values"].int()


class ScaledByRun(Spoiled):
    """Parts: one scale for all tokens that happen to be packed together."""

    lossy = True
    across: tuple[int, ...] = (2, 3)

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        scale = keys.abs().amax(self.across, keepdim=True)
        scale = scale.expand(*keys.shape[:3], 1)
        return {"keys": (keys / scale * 8).round() / 8 * scale, "values": values}


class ScaledByBatch(ScaledByRun):
    """Parts: one scale for all rows of the batch."""

    across = (0, 3)


class OtherKeys(Spoiled):
    """Parts: keys that readers score are not those that are read."""

    def unpack_keys(self, packed: Mapping[str, Tensor]) -> Tensor:
        return packed["keys"].flip(-1)


class OtherRoom(Spoiled):
    """Parts: what is written into a room is not what unpacking gives."""

    def unpack_into(self, packed: Mapping[str, Tensor], keys: Tensor, values: Tensor) -> None:
        keys.copy_(packed["keys"])
        values.copy_(packed["values"].to(torch.bfloat16))


class BesideRoom(Spoiled):
    """Parts: writes before its room, into another block's."""

    def unpack_into(self, packed: Mapping[str, Tensor], keys: Tensor, values: Tensor) -> None:
        super().unpack_into(packed, keys, values)
        before = keys.as_strided(keys.shape, keys.stride(), keys.storage_offset() - keys.stride(2))
        before[:, :, :1] = 0


@dataclass(frozen=True)
class Counting(Spoiled):
    """Forks, saving, failure: a counter of its own, shared by all sessions."""

    calls: list[int] = field(default_factory=list)
    lossy = True

    def pack(self, keys: Tensor, values: Tensor) -> Mapping[str, Tensor]:
        self.calls.append(1)
        return {"keys": keys + len(self.calls), "values": values}


class Hoarding(Spoiled):
    """Growth: takes more room than it was asked for."""

    def room(self, example: Tensor, shape: Sequence[int]) -> Tensor:
        wide = example.new_empty(*shape[:2], 5 * shape[2], *shape[3:])
        return wide[:, :, : shape[2]]


BROKEN: list[tuple[str, Archive]] = [
    ("stream", RoundingInPlace()),
    ("answers", Undeclared()),
    ("answers", Smoothing()),
    ("tokens", Thinning()),
    ("tokens", Whole()),
    ("parts", Smoothing()),
    ("parts", ScaledByRun()),
    ("parts", ScaledByBatch()),
    ("parts", OtherKeys()),
    ("parts", OtherRoom()),
    ("parts", BesideRoom()),
    ("forks", Counting()),
    ("saving", Counting()),
    ("failure", Counting()),
    ("growth", Hoarding()),
]


def test_the_kit_rejects_storage_that_keeps_what_a_failed_push_appended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ArchiveStorage, "draft", lambda self: self)
    with pytest.raises((AssertionError, RuntimeError)):
        check_archive_law("failure", PlainArchive(), max_examples=1, shrink=False)


def test_the_planted_breaks_break_nothing_unspoiled() -> None:
    check_archive(Spoiled(), max_examples=2)
