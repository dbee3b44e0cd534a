"""The suites: text streams by seed whose future depends on their past in a known way.

Every stream is cut into frames of `FRAME_TOKENS` tokens, so that a frame of text passes a decoder
as a frame of video does. Each suite turns one knob:

- prose: documentation. Every other token of the second half is predicted, whatever it depends on.
- copy: lists of random words among prose, each written again 2, 4, 8 or 16 frames later. The second
  writing is predicted; without the first it is chance.
- scene: every frame tells what one of six people is doing; most of it stays as it was when they
  were last seen. What stayed is predicted, by how long ago it was seen. The nearest to video: much
  of a frame repeats an earlier one.
- needle: facts among prose, asked about when the stream has ended.

A stream has a seed and a half: "search" for choosing rules, "judge" for the one look at what was
chosen. The halves share no document and no random word list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from ...framework.text import TOKENS_PER_FRAME
from .prose import Encode, prose_ids
from .vocabulary import COLORS, FILLER, NAMES, PETS, PLACES, SCENE, SEEN, THINGS, WORDS

FRAME_TOKENS = TOKENS_PER_FRAME
GAPS = (2, 4, 8, 16)  # frames between a list of words and its copy

STAYS = 0.8  # of being as it was, for each of a person's attributes
FACT = "The secret animal of {name} is {pet}."
ASKED = "\nThe secret animal of {name} is"


@dataclass(frozen=True)
class Needle:
    """A question about a stream that has ended.

    Attributes:
        question: ids of the text that asks.
        choices: the ids an answer may begin with, the right one first.
        age: frames between the fact and the end.
    """

    question: Sequence[int]
    choices: Sequence[int]
    age: int


@dataclass(frozen=True)
class TextStream:
    """One stream of a suite.

    Attributes:
        ids: token ids, a whole number of frames.
        scored: places in `ids` whose token is to be predicted, by what they are grouped by.
        after: ids of the text that goes on behind the stream, not part of it.
        needles: what is asked at the end.
    """

    ids: Sequence[int]
    scored: Mapping[str, Sequence[int]] = field(default_factory=dict)
    after: Sequence[int] = ()
    needles: Sequence[Needle] = ()


Draw = Callable[[Encode, str, int, int], TextStream]


def prose(encode: Encode, half: str, seed: int, tokens: int) -> TextStream:
    """Documentation; every other token of its second half is scored: neighbours tell much the
    same, and the vocabulary's logits cost as much as the pass."""
    ids = prose_ids(encode, half, seed, tokens + 2 * FRAME_TOKENS)
    scored = {"second half": range(tokens // 2, tokens, 2)}
    return TextStream(ids[:tokens], scored, after=ids[tokens:])


def copy(encode: Encode, half: str, seed: int, tokens: int) -> TextStream:
    """Prose with a list of words and its copy for every gap; the copies are scored from their
    fifth word on, after which it is clear what is being copied."""
    random = Random(f"copy {half} {seed}")
    ids = prose_ids(encode, half, seed, tokens)
    words, scored = single_tokens(encode, WORDS.split()), {}
    for gap, first in zip(GAPS, _places_for(GAPS, tokens // FRAME_TOKENS, random), strict=True):
        listed = random.choices(words, k=FRAME_TOKENS)
        for frame in (first, first + gap):
            ids[frame * FRAME_TOKENS : (frame + 1) * FRAME_TOKENS] = listed
        start = (first + gap) * FRAME_TOKENS
        scored[f"{gap} frames"] = range(start + 5, start + FRAME_TOKENS)
    return TextStream(ids, scored)


def scene(encode: Encode, half: str, seed: int, tokens: int) -> TextStream:
    """A person a frame, some often and some rarely; what stayed as it was is scored, by the frames
    since it was last told."""
    random = Random(f"scene {half} {seed}")
    world = {name: _new_person(random) for name in random.sample(NAMES, len(NAMES))}
    ids: list[int] = []
    seen: dict[str, int] = {}
    scored: dict[str, list[int]] = {}
    for frame in range(tokens // FRAME_TOKENS):
        name = random.choices(list(world), SEEN)[0]
        before = dict(world[name])
        for kind, values in _ATTRIBUTES.items():
            if random.random() > STAYS:
                world[name][kind] = random.choice(values)
        if name in seen:
            age = frame - seen[name]
            group = next((f"{n} frames" for n in GAPS if age <= n), f"over {GAPS[-1]} frames")
            stayed = [k for k, value in world[name].items() if before[k] == value]
            places = (len(ids) + _place_of(encode, name, world[name], k) for k in stayed)
            scored.setdefault(group, []).extend(sorted(places))
        seen[name] = frame
        ids += _scene_ids(encode, name, world[name])
    return TextStream(ids, scored)


def needle(encode: Encode, half: str, seed: int, tokens: int) -> TextStream:
    """Six facts in random frames of prose, each asked about at the end."""
    random = Random(f"needle {half} {seed}")
    ids = prose_ids(encode, half, seed, tokens)
    frames = sorted(random.sample(range(1, tokens // FRAME_TOKENS - 1), len(NAMES)))
    pets = random.sample(PETS, len(NAMES))
    needles = []
    for frame, name, pet in zip(frames, random.sample(NAMES, len(NAMES)), pets, strict=True):
        fact = encode("\n" + FACT.format(name=name, pet=pet) + "\n")
        ids[frame * FRAME_TOKENS : frame * FRAME_TOKENS + len(fact)] = fact
        others = [other for other in pets if other != pet]
        choices = [*single_tokens(encode, [pet]), *single_tokens(encode, others)]
        age = tokens // FRAME_TOKENS - frame
        needles.append(Needle(encode(ASKED.format(name=name)), choices, age))
    return TextStream(ids, needles=needles)


SUITES: Mapping[str, Draw] = {"prose": prose, "copy": copy, "scene": scene, "needle": needle}


def streams(
    suite: str, encode: Encode, half: str, seeds: Sequence[int], tokens: int
) -> Iterator[TextStream]:
    """The streams of a suite, one for each seed.

    Args:
        encode: text to ids, without special tokens.
        half: "search" or "judge".
        tokens: of each stream, a whole number of frames.

    Raises:
        ValueError: for an unknown suite, or a length that is no number of frames or too short.
    """
    if suite not in SUITES:
        raise ValueError(f"no suite is called {suite!r}; there are {', '.join(SUITES)}")
    least = (2 * max(GAPS) if suite == "copy" else 2 * len(NAMES)) * FRAME_TOKENS
    if tokens % FRAME_TOKENS or tokens < least:
        raise ValueError(
            f"{suite} streams have a multiple of {FRAME_TOKENS} tokens, at least {least}, got "
            f"{tokens}"
        )
    return (SUITES[suite](encode, half, seed, tokens) for seed in seeds)


def single_tokens(encode: Encode, words: Sequence[str]) -> list[int]:
    """The ids of words that are one token behind a blank.

    Raises:
        ValueError: naming words that this tokenizer cuts, unless most words are whole.
    """
    coded = {word: encode(" " + word) for word in words}
    cut = [word for word, ids in coded.items() if len(ids) != 1]
    if 2 * len(cut) > len(words):
        raise ValueError(f"the tokenizer cuts {cut[:5]} into pieces: the suites need whole words")
    return [ids[0] for ids in coded.values() if len(ids) == 1]


_ATTRIBUTES = {"place": PLACES, "color": COLORS, "pet": PETS, "thing": THINGS}


def _new_person(random: Random) -> dict[str, str]:
    return {kind: random.choice(values) for kind, values in _ATTRIBUTES.items()}


def _scene_ids(encode: Encode, name: str, person: Mapping[str, str]) -> list[int]:
    ids = encode(SCENE.format(name=name, **person) + FILLER)
    return [*ids[: FRAME_TOKENS - 1], *encode("\n")]


def _place_of(encode: Encode, name: str, person: Mapping[str, str], kind: str) -> int:
    """Where in a frame the token of an attribute stands."""
    before = SCENE.partition("{" + kind + "}")[0]
    return len(encode(before.format(name=name, **person).rstrip()))


def _places_for(gaps: Sequence[int], frames: int, random: Random) -> list[int]:
    """First frames, one for each gap, so that no list or copy meets another."""
    while True:
        firsts = [random.randrange(1, frames - gap) for gap in gaps]
        copies = [first + gap for first, gap in zip(firsts, gaps, strict=True)]
        if len({*firsts, *copies}) == 2 * len(gaps):
            return firsts
