"""Numbers as people read them."""

import json

import pytest

from crossframe.experiments.reports.tables import markdown_table
from crossframe.experiments.reports.text import (
    cell,
    finite,
    formatted,
    leading_number,
    number,
    scale,
    strict_json,
)

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.0123"), (99.96, "100"), (12345.6, "12,346"), (2.0, "2")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_columns_take_one_unit() -> None:
    assert scale([1.0, 2.5e9]) == ("G", 1e9)
    assert scale([0.0]) == ("", 1.0)
    assert scale([]) == ("", 1.0)


def test_what_is_missing_gets_a_dash_or_a_word() -> None:
    assert [formatted(value, "+.1f") for value in (1.25, None, NAN)] == ["+1.2", "–", "–"]
    assert formatted(None, ".3f", "") == ""


def test_cells_show_counts_measures_and_text() -> None:
    assert [cell(value) for value in (12345, 0.125, NAN, "a", 0)] == [
        *("12,345", "0.12", "–", "a", "0")
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("46.9 kB", 46_900), ("1.2 GFLOP", 1.2e9), ("+1.5 <small>[0, 2]</small>", 1.5),
        ("1,234", 1234), ("88%", 88), ("1e-05", 1e-5), ("3 Killers", 3), ("–", None), ("", None),
        ("statekv 4", None), ("NaN inside", None),
    ],
)  # fmt: skip
def test_cells_begin_with_numbers(text: str, value: float | None) -> None:
    assert leading_number(text) == value


def test_what_is_not_finite_is_null_in_json() -> None:
    assert [finite(value) for value in (NAN, -INFINITE, 1.5, 2, "nan", None)] == [
        *(None, None, 1.5, 2, "nan", None)
    ]
    nested = json.loads(strict_json({"a": [{"b": NAN}, (1, INFINITE)]}))
    assert nested == {"a": [{"b": None}, [1, None]]}


def test_tables_align_numbers_to_the_right() -> None:
    assert markdown_table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
