"""How much memory a process can still take, by what Linux tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MACHINE = Path("/proc/meminfo")
# Limits of containers and of batch systems' jobs (cgroup v2), and which of them are the process's.
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def free_memory(
    machine: Path = _MACHINE, groups: Path = _GROUPS, own_group: Path = _OWN_GROUP
) -> int | None:
    """Bytes that can be taken without swapping: of the machine, and below every limit that the
    process's control groups set it. None where nobody tells."""
    told = [*_machine(machine), *_below_limits(groups, own_group)]
    return min(told, default=None)


def _machine(file: Path) -> Iterator[int]:
    lines = file.read_text("ascii").splitlines() if file.exists() else []
    for line in lines:
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            yield int(amount.split()[0]) * 1024


def _below_limits(groups: Path, own_group: Path) -> Iterator[int]:
    if not own_group.exists():
        return
    names = [line[3:] for line in own_group.read_text().splitlines() if line.startswith("0::")]
    for name in names:
        group = groups / name.lstrip("/")
        for folder in (group, *group.parents):
            if folder == groups.parent:
                break
            yield from _below_limit(folder)


def _below_limit(group: Path) -> Iterator[int]:
    limit = group / "memory.max"
    if not limit.exists() or (most := limit.read_text().strip()) == "max":
        return
    held = int((group / "memory.current").read_text())
    lines = (group / "memory.stat").read_text().splitlines()
    # Files read before are held, too, and let go when memory is wanted.
    cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    yield max(0, int(most) - held + cached)
