"""Free memory is the machine's, or less where a container or a job may not take so much."""

from pathlib import Path

from crossframe.framework.archives.free_memory import free_memory

GIB = 1 << 30
MACHINE = "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"


def limited(group: Path, most: str, held: int, cached: int = 0) -> None:
    """A control group's files."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{held}\n")
    (group / "memory.stat").write_text(f"anon {held}\nactive_file 5\ninactive_file {cached}\n")


def test_the_tightest_limit_above_a_process_counts(tmp_path: Path) -> None:
    machine, groups, own = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "own"
    assert free_memory(machine, groups, own) is None
    machine.write_text(MACHINE)
    assert free_memory(machine, groups, own) == 8 * GIB
    own.write_text("0::/jobs/step\n")
    groups.mkdir()
    assert free_memory(machine, groups, own) == 8 * GIB

    limited(groups / "jobs/step", "max", 3 * GIB)
    limited(groups / "jobs", str(6 * GIB), 3 * GIB, cached=GIB)
    assert free_memory(machine, groups, own) == 4 * GIB
    limited(groups / "jobs/step", str(GIB), 2 * GIB)
    assert free_memory(machine, groups, own) == 0


def test_a_container_sees_its_own_limit_at_the_root(tmp_path: Path) -> None:
    machine, groups, own = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "own"
    machine.write_text(MACHINE)
    own.write_text("0::/\n")
    limited(groups, str(2 * GIB), GIB)
    assert free_memory(machine, groups, own) == GIB


def test_older_control_groups_are_left_alone(tmp_path: Path) -> None:
    machine, own = tmp_path / "meminfo", tmp_path / "own"
    machine.write_text(MACHINE)
    own.write_text("9:memory:/jobs\n1:cpu:/\n")
    assert free_memory(machine, tmp_path, own) == 8 * GIB
