"""`DeferredChecks`: at once on the CPU, before the next answer where waiting would cost."""

import pytest
import torch

from crossframe.framework.stream.checks import DeferredChecks, stacked

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


@pytest.mark.parametrize("later", [False, True])
def test_of_several_conditions_the_one_that_failed_is_named(later: bool) -> None:
    checks = DeferredChecks(deferred=later)
    with pytest.raises(ValueError, match="layer 1 is broken"):
        checks.require(torch.tensor([True, False]), "layer 0 is broken", "layer 1 is broken")
        checks.raise_failed()


def test_tensors_of_one_shape_are_looked_at_together() -> None:
    given = [torch.zeros(2), torch.zeros(3), torch.ones(2)]
    found = [(numbers, together.tolist()) for numbers, together in stacked(given)]
    assert found == [([0, 2], [[0, 0], [1, 1]]), ([1], [[0, 0, 0]])]
