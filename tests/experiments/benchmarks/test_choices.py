"""Tables of replies: what each published rule makes of them, and what it cannot make of them."""

import ast
from pathlib import Path

import pytest

from crossframe.experiments import benchmarks
from crossframe.experiments.benchmarks.choices import PARSERS, lettered

FOUR = lettered(["A. red car", "B. a blue dog", "C. a cat", "D. a tree"])
FIVE = lettered([*FOUR.values(), "E. nothing at all"])

RULES = ("lmms-eval", "lmms-eval-2025", "mlvu", "first-character", "strict")
REPLIES = [
    ("B", "B", "B", "B", "B", "B"),
    (" C.\n", "C", "C", None, "C", "C"),
    ("(D)", "D", "D", "D", None, "D"),
    ("(B", "B", "B", None, None, "B"),
    ("B) a blue dog", "B", "B", "B", "B", "B"),
    ("Answer: (B)", "B", "A", "B", "A", "B"),
    ("Because...", "B", "B", None, "B", None),
    ("The best answer is C.", "C", "C", None, None, "C"),
    ("The best option is C", "C", "C", None, None, "C"),
    ("Best option: C", "C", "B", None, "B", "C"),
    ("Best answer: D", "D", "B", None, "B", "D"),
    ("Best option: (C) a cat", "C", "B", "C", "B", "C"),
    ("A or B", "A", "A", None, "A", None),
    ("(C) or (B)", "B", "C", "C", None, None),
    ("A man walks his dog", "A", "A", None, "A", None),
    ("B. A man walks his dog", "B", "B", None, "B", "B"),
    ("I cannot tell", None, None, None, None, None),
    ("It shows Dogs.", "D", "D", None, None, None),
    ("", None, None, None, None, None),
    (" \n", None, None, None, None, None),
    ("...", None, None, None, None, None),
    ("b", None, None, None, None, None),
    ("E", None, None, None, None, None),
    ("B、蓝色的狗", "B", "B", None, "B", "B"),
    ("答案是C，因为它是猫", "C", "C", None, None, "C"),
    ("选B", "B", "B", None, None, "B"),
    ("**B**", "B", "B", None, None, "B"),
    ("C is wrong, D is wrong, so the answer is B", "C", "C", None, "C", None),
    ("It is C rather than D: the answer is (B) here", "B", "C", "B", None, None),
    ("It is A, I see: (B) here", "B", "A", "B", None, None),
    ("Option A. Option D. Enough", "D", "A", None, None, None),
    ("It is A, I see, no, (C) or rather B", "B", "A", "C", None, None),
    ("USA", "A", "A", None, None, None),
]


@pytest.mark.parametrize("row", REPLIES, ids=lambda row: repr(row[0]))
def test_what_the_rules_make_of_a_reply(row: tuple[str, ...]) -> None:
    reply, *expected = row
    assert [PARSERS[rule](reply, FOUR) for rule in RULES] == expected


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("The best option is C", "C"),
        ("Best option: C", "C"),  # the commas that the list of 2025 lacks
        ("Best answer: D", "D"),
        ("E", "E"),  # also where there are four options
        ("Because", "B"),
        ("nothing", None),
        ("", None),
    ],
)
def test_longvideobench_takes_the_first_letter_after_known_openings(
    reply: str, letter: str | None
) -> None:
    assert PARSERS["longvideobench"](reply, FOUR) == letter


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("E", "E"),
        ("(C) a cat", "C"),
        ("(D) or (B)", "D"),  # the first of the last mentions
        ("B. or D. but B. again", "D"),
        ("Because", None),
        ("I would say it must be c. a cat", "C"),  # by its text
        ("it must be c. a cat", "C"),
        ("must be c. a cat", None),  # too short to be read by its text
        ("I would say it must be that animal", None),
        ("", None),
    ],
)
def test_egoschema_reads_mentions_then_texts(reply: str, letter: str | None) -> None:
    assert PARSERS["egoschema"](reply, FIVE) == letter


def test_empty_option_texts_are_found_in_no_reply() -> None:
    assert PARSERS["egoschema"]("one two three four five six", dict.fromkeys("ABC", "")) is None


def test_more_options_than_four_are_read_where_a_question_has_them() -> None:
    assert PARSERS["lmms-eval"]("The answer is (E).", FIVE) == "E"
    assert PARSERS["lmms-eval"]("The answer is (E).", FOUR) is None


WORDS = ["red", "Red star.", "C. blue", "two left"]


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("red", "A"),
        (" Red. And more", "A"),
        ("RED, of course", "A"),
        ("red star", "B"),  # the longest text that fits
        ("red stars", "A"),
        ("blue", "C"),
        ("two left", "D"),
        ("two  left .", "D"),
        ("two", None),
        ("it is red", None),
        ("redder", None),
        ("A", None),
        ("C. blue", None),  # a letter is not its text
        ("", None),
    ],
)
def test_texts_of_options_are_read_as_the_first_words(reply: str, letter: str | None) -> None:
    assert PARSERS["text"](reply, lettered(WORDS)) == letter


def test_a_text_that_stands_twice_among_the_options_chooses_none() -> None:
    assert PARSERS["text"]("red", lettered(["red", "blue", "Red."])) is None
    assert PARSERS["text"]("blue", lettered(["red", "blue", "Red."])) == "B"
    assert PARSERS["text"]("red", dict.fromkeys("ABCD", "")) is None


def test_nothing_is_ever_drawn_at_random() -> None:
    folder = Path(str(benchmarks.__file__)).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                assert "random" not in [*names, getattr(node, "module", "")], path
