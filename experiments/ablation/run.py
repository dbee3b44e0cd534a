"""`crossframe ablate`: a study of memories on models, resumable at any moment, to one page."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...framework.as_data import plain
from ..evaluation.folder import write_json
from ..evaluation.run import evaluate
from .grid import as_it_is, grid
from .options import AblateOptions, chosen_models
from .report import write_report
from .settle import Plan, known_plan, plan
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
        say: takes a line about what happens.

    Returns:
        What the page shows; None in all processes but the first.

    Raises:
        ValueError: for settings that cannot work, as `evaluate` does too.
    """
    say = say or (lambda _: None)
    trainer, memories = _trainer(options), variants(options)
    if options.budget is None:
        grid(options, map(as_it_is, memories))  # refuses what cannot be before a model is loaded
    plans: dict[str, Plan] = {}
    for name in chosen_models(options):
        say(f"{name}: a look at the model")
        plans[name] = plan(options, name, memories)
    first = True
    for number, (name, planned) in enumerate(plans.items(), 1):
        say(f"{name} ({number} of {len(plans)}): {len(planned.grid.cells)} cells")
        asked = replace(options.evaluation(name, planned.grid.cells), trainer=trainer)
        first = evaluate(asked, interactive=interactive) is not None and first
    if not first:
        return None
    write_json(options.output / "ablation.json", plain(options))
    for name in options.models.keys() - plans.keys():
        if (known := known_plan(options, name, memories)) is not None:
            plans[name] = known
    study = read_study(options, plans)
    say("drawing figures")
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
    counts = {name: len(n) if isinstance(n, list | tuple) else n for name, n in given.items()}
    asked = {name: given[name] for name, count in counts.items() if count != 1}
    launched = {name: os.environ[name] for name in LAUNCHED if os.environ.get(name, "1") != "1"}
    if asked or launched:
        several = ", ".join(f"{name}={value}" for name, value in (asked | launched).items())
        raise ValueError(
            f"ablate: several processes ({several}) take one model at a time: add --only NAME and "
            f"run the command for each of {', '.join(models)}"
        )
    return {"devices": 1, **settings}
