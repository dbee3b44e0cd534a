"""Words that belong to no option come first, and options keep theirs."""

from argparse import ArgumentParser

import pytest

from crossframe.experiments.command.word_order import plain_first


@pytest.mark.parametrize(
    ("written", "ordered"),
    [
        ("v a b", "v a b"),
        ("--one 1 v --pair x y a", "v a --one 1 --pair x y"),
        ("--one=1 v --flag a", "v a --one=1 --flag"),
        ("v --maybe x a --maybe --one 1", "v a --maybe x --maybe --one 1"),
        ("--one -4 - a", "- a --one -4"),
        ("a --many x y --one 1 b", "a b --many x y --one 1"),
        ("--unknown x v", "v --unknown x"),
        ("--one 1 v -- --not a", "v --one 1 -- --not a"),
        ("v --one", "v --one"),
    ],
)
def test_plain_words_come_first(written: str, ordered: str) -> None:
    parser = ArgumentParser()
    parser.add_argument("--one")
    parser.add_argument("--pair", nargs=2)
    parser.add_argument("--flag", action="store_true")
    parser.add_argument("--maybe", nargs="?")
    parser.add_argument("--many", nargs="*")
    options = parser._option_string_actions
    assert plain_first(written.split(), options) == ordered.split()
