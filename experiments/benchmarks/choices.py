"""Which option a reply chooses: the published rules, re-implemented, without their random guesses.

A parser takes the reply and the options by letter, and gives a letter or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from string import ascii_uppercase
from types import MappingProxyType

Choices = Mapping[str, str]  # letter -> text
Parser = Callable[[str, Choices], str | None]

# What lmms-eval takes for the announcement of an answer.
ANNOUNCEMENTS = (
    "the answer is", "answer is", "the correct answer is", "correct answer is",
    "the best answer is", "best answer is", "the correct option is", "correct option is",
    "the best option is", "best option is", "the choice is", "choice is",
    "the correct choice is", "correct choice is", "i choose", "i select", "i pick",
    "my answer is", "my choice is",
    "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは",
)  # fmt: skip

# Texts that the older rules cut out before they look for a letter.
OPENINGS = (
    "The best answer is", "The correct answer is", "The answer is", "The answer",
    "The best option is", "The correct option is", "Best answer:", "Best option:",
)  # fmt: skip
# Two commas are missing in the list of 2025, so its last four texts are glued into two that hardly
# occur in a reply: "Best option: C" then reads as B.
OPENINGS_2025 = (
    *OPENINGS[:4], "The best option isThe correct option is", "Best answer:Best option:",
)  # fmt: skip


def lettered(texts: Sequence[str]) -> dict[str, str]:
    """Options by letter, from A."""
    return dict(zip(ascii_uppercase, texts, strict=False))


def likeliest_letter(reply: str, choices: Choices) -> str | None:
    """The letter in the most telling place; among equals the last (lmms-eval from 0.7 on).

    Places, by falling weight: alone at the start, alone at the end, after an announcement such as
    "the answer is", "(A)", "A.", "A:", "A)", "A " and, if there is none of these, anywhere.
    """
    text = reply.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    text = f" {text} "
    sightings = list(_sightings(text, choices))
    if not sightings:
        sightings = [(0, text.rfind(letter), letter) for letter in choices if letter in text]
    return max(sightings)[2] if sightings else None


def _sightings(text: str, choices: Choices) -> Iterator[tuple[int, int, str]]:
    """(weight, place, letter) of letters in telling places."""
    bare = text.strip()
    for letter in choices:
        if bare.startswith(letter) and not bare[1:2].isalpha():
            yield 10, 0, letter
        if bare.endswith(letter) and not bare[-2:-1].isalpha():
            yield 9, len(text) - 1, letter
        for weight, form in ((6, "({})"), (5, "{}."), (4, "{}:"), (3, "{})"), (2, "{} ")):
            place = text.rfind(form.format(letter))
            if place >= 0:
                yield weight, place, letter
        for begin in _announced(text):
            place = text.find(letter, begin)
            if place >= 0:
                yield 7, place, letter


def _announced(text: str) -> list[int]:
    """Where announcements end."""
    lower = text.lower()
    starts = ((lower.find(words), len(words)) for words in ANNOUNCEMENTS)
    return [start + length for start, length in starts if start >= 0]


def first_letter(
    reply: str, choices: Choices, *, openings: Sequence[str], letters: str | None = None
) -> str | None:
    """The first capital that is an option's, wherever it stands, known openings cut out.

    Args:
        letters: which count, where that is not the question's own.
    """
    for opening in openings:
        reply = reply.replace(opening, "")
    first = re.search(f"[{letters or ''.join(choices)}]", reply)
    return first[0] if first else None


def letter_before_parenthesis(reply: str, choices: Choices) -> str | None:
    """The character before the first ")", else the whole reply (MLVU's own rule)."""
    reply = reply.strip()
    before, parenthesis, _ = reply.partition(")")
    return _known(before[-1:] if parenthesis else reply, choices)


def first_character(reply: str, choices: Choices) -> str | None:
    """The first character of the reply (StreamingBench's own rule)."""
    return _known(reply.strip()[:1], choices)


def mentioned_letter(reply: str, choices: Choices) -> str | None:
    """Of the letters written "(A)", "A " or "A." the one whose last mention comes first; without
    any, and in replies above five words, the option whose text occurs (EgoSchema in lmms-eval)."""
    for mark in ",.!?;:'":
        reply = reply.strip(mark)
    text = f" {reply} "
    forms = [(form.format(letter), letter) for form in ("({})", "{} ", "{}.") for letter in choices]
    places = [(text.rfind(form), letter) for form, letter in forms if form in text]
    if not places and len(text.split()) > 5:
        lower = text.lower()
        last = ((lower.rfind(words.strip().lower()), letter) for letter, words in choices.items())
        places = [(place, letter) for place, letter in last if place >= 0 and choices[letter]]
    return min(places, key=lambda place: place[0])[1] if places else None


def strict_letter(reply: str, choices: Choices) -> str | None:
    """The letter that a reply obeying its instruction begins with, else the only one in it.

    None where another letter stands beside it ("A or B"), or where the only one may be the article
    "A". What follows the letter may begin with that article ("B. A man").
    """
    letter = f"[{''.join(choices)}]"
    # ASCII, so that the letter in "选B" stands alone.
    alone = set(re.findall(rf"(?<![\w']){letter}(?![\w'])", reply, re.ASCII))
    named = set(re.findall(rf"(?<![\w'])(?!A [a-z]){letter}(?![\w'])", reply, re.ASCII))
    if obeyed := re.match(rf"\s*\(?({letter})(?:[.):]|\s*$)", reply):
        return obeyed[1] if named <= {obeyed[1]} else None
    return alone.pop() if len(alone) == 1 and named else None


def option_text(reply: str, choices: Choices) -> str | None:
    """The option whose text is what the reply begins with, word by word, of several the longest;
    case and stops at the ends of words do not count (for models that never learnt letters)."""
    said = _plain_words(reply)
    found: list[tuple[int, str]] = []
    for letter, text in choices.items():
        words = _plain_words(re.sub(rf"^\(?{letter}[.):]\s*", "", text))
        if words and words == said[: len(words)]:
            found.append((len(words), letter))
    longest = [letter for length, letter in found if length == max(found)[0]]
    return longest[0] if len(longest) == 1 else None


def _plain_words(text: str) -> list[str]:
    words = (word.strip(".,!?;:'\"").casefold() for word in text.split())
    return [word for word in words if word]


def _known(letter: str, choices: Choices) -> str | None:
    return letter if letter in choices else None


PARSERS: Mapping[str, Parser] = MappingProxyType(
    {
        "lmms-eval": likeliest_letter,
        "lmms-eval-2025": partial(first_letter, openings=OPENINGS_2025),
        "longvideobench": partial(first_letter, openings=OPENINGS, letters="ABCDE"),
        "mlvu": letter_before_parenthesis,
        "egoschema": mentioned_letter,
        "first-character": first_character,
        "strict": strict_letter,
        "text": option_text,
    }
)
