"""Keys that are given twice, and files without bound."""

from pathlib import Path

import pytest

from crossframe.experiments.command.cli import main
from crossframe.experiments.command.config_files import require_sound


def test_merges_and_equal_keys_elsewhere_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: &x {b: 1}\nc: {<<: *x, d: {b: 2}}\ne: [{b: 1}, {b: 2}]\n", "utf-8")
    require_sound([path])


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n".join(
                ["a0: &a0 [0]", *(f"a{n}: &a{n} [{f'*a{n - 1},' * 10}]" for n in range(1, 12))]
            ),
            r"has \d\.\de\+11 values with its aliases written out, more than 100000: use fewer",
        ),
        ("a: 1\nb: &b {c: [*b]}\n", "line 2: an alias holds itself; write out what is meant"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested more than 50 deep: write it flatter"),
        ("a: [1, 2\n", "is no YAML file, mend or replace it: "),
        ("# " + "x" * 2**20, "has more than 1048576 bytes: give a configuration file"),
        ("a: 1\nb: 2\na: 3\n", "config.yaml, line 3: 'a' is there already"),
        (
            "memories:\n  x: {capacity: 1}\n  x: {capacity: 2}\n",
            ", line 3: 'x' is there already",
        ),
        ("cells: [{a: 1, a: 2}]\n", "config.yaml, line 1: 'a' is there already"),
    ],
    ids=["bomb", "itself", "deep", "open", "huge", "twice", "twice inside", "twice in a line"],
)
def test_files_without_bound_and_with_keys_twice_are_refused_before_they_are_read(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=said):
        require_sound([path])


@pytest.mark.parametrize("command", ["ablate", "evaluate"])
def test_the_commands_tell_it_in_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("cells:\n  statekv: {}\n  statekv: {}\n", "utf-8")
    assert main([command, "--config", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"crossframe {command}: error: ")
    assert "line 3: 'statekv' is there already" in told
