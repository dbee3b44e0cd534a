"""`crossframe ablate`: a study of memories on models, resumable at any moment, to one page."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..evaluation.folder import write_json
from ..evaluation.options import plain
from ..evaluation.run import evaluate
from .grid import Grid, as_it_is, grid
from .options import AblateOptions, chosen_models
from .report import write_report
from .settle import Settled, settle
from .tidy import Study, read_study
from .variants import variants

Say = Callable[[str], None]
LAUNCHED = ("WORLD_SIZE", "SLURM_NTASKS")  # by torchrun, by srun


def ablate(
    options: AblateOptions, *, interactive: bool = False, say: Say | None = None
) -> Study | None:
    """Evaluate what is not there yet, model by model, then write tables, figures and the page.

    All memories of all models are sized first, so that what cannot be is refused before hours are
    spent.

    Args:
        interactive: draw progress bars.
        say: is told what happens.

    Returns:
        What the page tells; None in all processes but the first.

    Raises:
        ValueError: for settings that cannot work, as `evaluate` does too.
    """
    tell = say or (lambda _: None)
    trainer = _trainer(options)
    if options.budget is None:
        grid(options, as_it_is)  # refuses what cannot be before any model is loaded
    else:
        variants(options)
    plans = {name: _planned(options, name, tell) for name in chosen_models(options)}
    first = True
    for number, (name, plan) in enumerate(plans.items(), 1):
        tell(f"{name} ({number} of {len(plans)}): {len(plan.cells)} cells")
        asked = options.evaluation(
            options.models[name], plan.cells, options.output / name, options.reference
        )
        asked = replace(asked, trainer=trainer)
        first = evaluate(asked, interactive=interactive) is not None and first
    if not first:
        return None
    write_json(options.output / "ablation.json", plain(options))
    study = read_study(options)
    tell("drawing figures")
    write_report(study, options)
    return study


def _trainer(options: AblateOptions) -> dict[str, Any]:
    """The trainer's settings: one process where several models take their turns.

    Processes of one model end hours apart and meet again only at the end, so they cannot go on to
    the next model together.
    """
    settings, models = options.trainer, chosen_models(options)
    if len(models) == 1:
        return settings
    given = {name: settings.get(name, 1) for name in ("devices", "num_nodes")}
    # [1] is one device, the second.
    asked = {name: n for name, n in given.items() if n != 1 and not (_listed(n) and len(n) == 1)}
    launched = {name: os.environ[name] for name in LAUNCHED if os.environ.get(name, "1") != "1"}
    if asked or launched:
        said = ", ".join(f"{name}={value}" for name, value in (asked | launched).items())
        raise ValueError(
            f"ablate: several processes ({said}) take one model at a time: add --only NAME and run "
            f"the command for each of {', '.join(models)}"
        )
    return {"devices": 1, **settings}


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _planned(options: AblateOptions, name: str, tell: Say) -> Grid:
    tell(f"{name}: a look at the model")
    settled: Settled = settle(options, name)
    return grid(options, settled.size)
