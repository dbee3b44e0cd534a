"""`DeferredChecks`: at once on the CPU, before the next answer where waiting would cost."""

import pytest
import torch

from crossframe.framework.stream.checks import DeferredChecks

TRUE, FALSE = torch.tensor(True), torch.tensor(False)


def deferred(*flags: bool) -> DeferredChecks:
    checks = DeferredChecks(deferred=True)
    for number, flag in enumerate(flags):
        checks.require(torch.tensor(flag), f"condition {number} failed")
    return checks


def test_on_the_cpu_a_failure_is_raised_at_once() -> None:
    checks = DeferredChecks()
    checks.require(TRUE, "fine")
    with pytest.raises(ValueError, match="frame 3 is broken"):
        checks.require(FALSE, "frame 3 is broken")
    assert len(checks) == 0
    checks.raise_failed()


def test_deferred_nothing_is_raised_until_asked_for() -> None:
    checks = deferred(True, False)
    assert len(checks) == 2
    with pytest.raises(ValueError, match="condition 1 failed"):
        checks.raise_failed()


def test_the_first_failure_is_named() -> None:
    with pytest.raises(ValueError, match="condition 2 failed"):
        deferred(True, True, False, True, False).raise_failed()


def test_a_failure_stays() -> None:
    checks = deferred(True, False)
    for _ in range(3):
        with pytest.raises(ValueError, match="condition 1 failed"):
            checks.raise_failed()
        checks.require(TRUE, "later")


def test_conditions_that_held_are_forgotten() -> None:
    checks = deferred(True, True)
    checks.raise_failed()
    assert len(checks) == 0


def test_many_conditions_are_read_before_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeferredChecks, "MOST", 3)
    checks = deferred(True, True)
    checks.raise_many()
    assert len(checks) == 2, "too few to wait for"
    checks.require(TRUE, "later")
    checks.raise_many()
    assert len(checks) == 0
    spoiled = deferred(True, False, True)
    with pytest.raises(ValueError, match="condition 1 failed"):
        spoiled.raise_many()


def test_a_fork_has_the_same_conditions_and_then_its_own() -> None:
    checks = deferred(True)
    fork = checks.fork()
    fork.require(FALSE, "only in the fork")
    checks.raise_failed()
    with pytest.raises(ValueError, match="only in the fork"):
        fork.raise_failed()
    spoiled = deferred(False).fork()
    with pytest.raises(ValueError, match="condition 0 failed"):
        spoiled.raise_failed()


def test_shapes_without_numbers_are_not_checked() -> None:
    DeferredChecks().require(torch.zeros((), dtype=torch.bool, device="meta"), "unknown")
