"""Every reader against every law of readers."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from crossframe import methods
from crossframe.framework import (
    CPUArchive,
    CrossFrameMemory,
    FullMemory,
    Int8Archive,
    PlainArchive,
    ReadAll,
    Reader,
)
from crossframe.framework.testing import READER_LAWS, check_reader, check_reader_law
from crossframe.framework.testing.reader_laws import PlacedAnew
from crossframe.methods import (
    ReadCarried,
    ReadLastFrames,
    ReadSinksAndRecent,
    ReKVReader,
    StateKVMemory,
    TokenDroppingMemory,
)

from ..every import FAMILIES

READERS: list[Reader] = [
    ReadAll(),
    ReadCarried(),
    ReadLastFrames(2),
    ReadLastFrames(1, prompt=False),
    ReadSinksAndRecent(2, 4),
    ReadSinksAndRecent(0, 3),
    ReKVReader(2),
    ReKVReader(1, block_frames=2, positions="kept"),
]
MEMORIES: list[CrossFrameMemory] = [
    FullMemory(),
    StateKVMemory(5),
    TokenDroppingMemory(PlacedAnew(4), ratio=0.4),
]
ARCHIVES = [PlainArchive(), Int8Archive(), CPUArchive()]


@pytest.mark.parametrize("law", READER_LAWS)
@pytest.mark.parametrize("memory", MEMORIES, ids=repr)
@pytest.mark.parametrize("reader", READERS, ids=repr)
def test_law(reader: Reader, memory: CrossFrameMemory, law: str) -> None:
    check_reader_law(law, reader, memories=[memory], archives=ARCHIVES, max_examples=2)


@pytest.mark.parametrize("reader", READERS, ids=repr)
def test_the_kit_s_own_memories_and_archives(reader: Reader) -> None:
    check_reader(reader, max_examples=2)


@pytest.mark.parametrize("law", ["selection", "attention"])
@pytest.mark.parametrize("name", ["internvl3", "qwen3_vl"])
@pytest.mark.parametrize("reader", [ReadCarried(), ReKVReader(1)], ids=repr)
def test_law_on_adapters(reader: Reader, name: str, law: str) -> None:
    check_reader_law(law, reader, models=st.just(FAMILIES[name].small_model()), max_examples=2)


def test_every_reader_is_held_to_the_laws() -> None:
    exported = {name: kind for name, kind in vars(methods).items() if isinstance(kind, type)}
    readers = {name for name, kind in exported.items() if issubclass(kind, Reader)}
    assert readers == {type(reader).__name__ for reader in READERS}
    memories = {name for name, kind in exported.items() if issubclass(kind, CrossFrameMemory)}
    # It answers without a memory and without an archive: its tests are its own.
    assert exported.keys() - readers - memories == {"SimpleStream"}
