"""Checkpoints that come with crossframe itself: tiny video models, trained on drawn videos."""

from __future__ import annotations

from pathlib import Path

OWNER = "crossframe/"
FOLDER = Path(__file__).parent / "pretrained"


def pretrained_names(folder: Path = FOLDER) -> list[str]:
    """The names that `load_model` knows without a network or a path."""
    return sorted(f"{OWNER}{path.parent.name}" for path in folder.glob("*/config.json"))


def own_folder(name_or_path: str | Path, folder: Path = FOLDER) -> str | Path:
    """The folder of a checkpoint that comes along; anything else as it is.

    Raises:
        ValueError: for a name of ours that there is not, naming those that there are.
    """
    name = str(name_or_path)
    if not name.startswith(OWNER) or Path(name).exists():
        return name_or_path
    known = pretrained_names(folder)
    if name not in known:
        raise ValueError(
            f"no checkpoint {name} comes with crossframe; there are "
            f"{', '.join(known) or 'none in this installation'}"
        )
    return folder / name.removeprefix(OWNER)
