"""Every family of hostile input: by fixed seeds in `make test`, by fresh ones in `make soak`."""

import random
from collections import Counter
from pathlib import Path

import pytest

from . import (
    broken_weights,
    checkpoints,
    configs,
    evidence_runs,
    far_positions,
    inputs,
    paths,
    rows,
    sessions,
    texts,
    videos,
)
from .cases import Family, survive
from .interrupts import INTERRUPTS

FAMILIES: tuple[Family, ...] = (
    *broken_weights.FAMILIES,
    *checkpoints.FAMILIES,
    *configs.FAMILIES,
    *evidence_runs.FAMILIES,
    *far_positions.FAMILIES,
    *inputs.FAMILIES,
    *paths.FAMILIES,
    *rows.FAMILIES,
    *sessions.FAMILIES,
    *texts.FAMILIES,
    *videos.FAMILIES,
    INTERRUPTS,
)
SOAK_CASES = 1000  # of each family


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("family", "seed"),
    [
        # Every other one is left to `make soak`, which draws fresh ones, too.
        pytest.param(
            *(family, seed),
            id=f"{family.name}-{seed}",
            marks=pytest.mark.soak if seed % 2 else [],
        )
        for family in FAMILIES
        for seed in range(family.count)
    ],
)
def test_hostile_input_works_or_is_refused_in_one_line(
    family: Family, seed: int, tmp_path: Path
) -> None:
    survive(family.draw(random.Random(f"{family.name} {seed}"), tmp_path))


@pytest.mark.soak
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_fresh_hostile_input(family: Family, tmp_path: Path) -> None:
    start = random.SystemRandom().randrange(10**9)
    counts: Counter[str] = Counter()
    for seed in range(start, start + SOAK_CASES):
        print(f"{family.name} seed {seed}")
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcome = survive(family.draw(random.Random(f"{family.name} {seed}"), folder))
        counts["works" if outcome == "works" else "refused"] += 1
    print(f"{family.name}: {dict(counts)} from seed {start}")
