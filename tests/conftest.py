"""What every test shares: seeds, hypothesis profiles, exact matrix products, no network."""

import os
import random
import sys
from collections.abc import Iterator

# Read by transformers and matplotlib when they are first imported, so set before any test is.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Read by torch of every process that a test starts; this one has its threads set below.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

BARE_ROOMS = {"framework", "methods", "models", "experiments"}

# The same examples at every run and on every machine. Without deadlines: a first call may build a
# model, and shared machines are slow now and then.
settings.register_profile(
    "repeatable",
    deadline=None,
    max_examples=25,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# `make soak` draws fresh examples and prints their seed; the kit knows this profile by its name.
settings.register_profile(
    "soak", settings.get_profile("repeatable"), derandomize=False, max_examples=100
)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile(config.getoption("--hypothesis-profile") or "repeatable")
    torch.set_float32_matmul_precision("highest")
    # Tensors here are tiny; threads that wait for each other on a busy machine cost far more.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def flex_is_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU flex attention computes the same traced or not, but tracing takes seconds for each
    new shape, and torch's FLOP counter does not see through it."""
    module = "torch.nn.attention.flex_attention"
    monkeypatch.setattr(f"{module}._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)


@pytest.fixture(scope="session", autouse=True)
def rooms_are_imported_by_full_name() -> Iterator[None]:
    """Fail the run if a test imported `framework` instead of `crossframe.framework`.

    Both work from the repository root, and the classes of the two are strangers to each other.
    """
    yield
    bare = BARE_ROOMS & sys.modules.keys()
    assert not bare, f"imported without the prefix 'crossframe.': {sorted(bare)}"
