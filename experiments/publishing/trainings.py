"""How much trained models of one recipe differ: by seed, and by what their loss was on.

`python -m crossframe.experiments.publishing.trainings --folders '[runs/seed-1,runs/seed-2]'` adds
folders of `crossframe pretrain` to `docs/results/trainings.json`; then `publish`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli

from ..reports.tables import markdown_table
from ..streaming.environment import commit, machine

Result = Mapping[str, Any]
NAME = "trainings"
TRAINED = 32  # frames of the longest lessons, unless told
WRITTEN = ("pretrain.json", "minutes.json", "scores.json")


def trainings_part(result: Result) -> tuple[str, str]:
    """Accuracy of every model by task at the trained length, and at longer ones."""
    models = sorted(result["models"], key=_key)
    tasks = sorted(models[0]["asked"])
    # Those trained on longer lessons were scored on longer ones, too.
    asked = set.intersection(*(set(map(int, one["by_frames"])) for one in models))
    longer = [str(frames) for frames in sorted(asked) if frames > TRAINED]
    named = [task.replace("_", " ") for task in tasks]
    heads = ["model", *named, *(f"all at {frames} frames" for frames in longer), "minutes", "on"]
    lines = [
        [
            _name(one),
            *(_percent(one["by_frames"][str(TRAINED)].get(task)) for task in tasks),
            *(_percent(_mean(one["by_frames"][frames])) for frames in longer),
            f"{sum(one['minutes'].values()):.0f}" if one["minutes"] else "",
            one["cpu"] if one["minutes"] else "",
        ]
        for one in models
    ]
    about = (
        "Right answers of full attention in percent, on the same 64 held-out lessons of each "
        f"length ({_asked(models)} questions at 32 frames), the longest trained on unless another "
        "is named; *all* is the mean over tasks. Minutes of processor time on one thread of a busy "
        "machine, by its processor. "
    )
    return markdown_table(heads, lines), about


def scored(folder: Path) -> dict[str, Any]:
    """What a folder of `crossframe pretrain` says of its model.

    Raises:
        ValueError: for a folder whose model was not scored.
    """
    settings, minutes, scores = (_read(folder, name) for name in WRITTEN)
    named = {name: settings[name] for name in ("family", "kind", "seed")}
    told = {name: scores[name] for name in ("by_frames", "asked", "trained_frames")}
    return {**named, "minutes": minutes, **told}


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise ValueError(f"{folder} holds no {name}: run crossframe pretrain to its end there")
    return json.loads(path.read_text("utf-8"))


def added(result: Result, models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The result with models, each in the place of one of the same name."""
    known = {_key(one): one for one in (*result["models"], *models)}
    return {**result, "models": list(known.values())}


def main(folders: Sequence[Path], results: Path = Path("docs/results")) -> None:
    """Add trained models to the result.

    Args:
        folders: of `crossframe pretrain`.
        results: where the result lies.
    """
    path = results / f"{NAME}.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {"models": []}
    stamp = {**machine(torch.device("cpu")), "dtype": "float32", "commit": commit()}
    models = [{**scored(folder), "cpu": stamp["cpu"]} for folder in folders]
    result = {**added(known, models), "environment": stamp}
    path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def _key(model: Mapping[str, Any]) -> tuple[Any, ...]:
    return model["family"], model["kind"], model["trained_frames"], model["seed"]


def _name(model: Mapping[str, Any]) -> str:
    trained = model["trained_frames"]
    frames = "" if trained == TRAINED else f", {trained} frames"
    return f"{model['family']}, {model['kind']}, seed {model['seed']}{frames}"


def _asked(models: Sequence[Mapping[str, Any]]) -> str:
    """Questions that those were asked which were trained on no longer lessons, by family."""
    counts = {sum(one["asked"].values()) for one in models if one["trained_frames"] == TRAINED}
    return f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{min(counts)}"


def _mean(shares: Mapping[str, float]) -> float:
    return sum(shares.values()) / len(shares)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}"


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
