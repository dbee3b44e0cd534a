import pytest

from crossframe.experiments.benchmarks.scores import accuracy, mean, share, shares


def row(correct: bool, **groups: str) -> dict[str, object]:
    return {"id": "q", "correct": correct, "groups": groups}


ROWS = [
    row(True, task="a", length="short"),
    row(False, task="a", length="long"),
    row(True, task="b", length="long"),
    row(False, task="b; a", length="long"),
]


def test_accuracy_is_in_percent_headline_first() -> None:
    scores = accuracy(ROWS, "task", "length")
    assert next(iter(scores)) == "accuracy"
    assert scores == pytest.approx(
        {
            "accuracy": 50.0,
            "task/a": 100 / 3,  # the last row counts in both of its tasks
            "task/b": 50.0,
            "length/short": 100.0,
            "length/long": 100 / 3,
        }
    )


def test_groups_come_in_order_of_appearance() -> None:
    assert list(shares(ROWS, "task")) == ["a", "b"]
    assert mean(shares(ROWS, "task").values()) == pytest.approx((100 / 3 + 50) / 2)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="no rows to score"):
        share([])


def test_rows_of_another_benchmark_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"no group 'domain' \(its groups are 'task', 'length'\)"):
        accuracy(ROWS, "domain")
