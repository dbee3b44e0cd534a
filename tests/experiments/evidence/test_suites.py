"""The streams of the suites: the same by seed, whole frames, and scored where the past decides."""

import re
import zlib

import pytest

from crossframe.experiments.evidence.prose import content_hash, documents, prose_ids
from crossframe.experiments.evidence.suites import (
    FRAME_TOKENS,
    GAPS,
    SUITES,
    TextStream,
    single_tokens,
    streams,
)

TOKENS = 1024


def encode(text: str) -> list[int]:
    """Words with the blank before them, as tokenizers of today cut them."""
    return [zlib.crc32(part.encode()) for part in re.findall(r" ?\w+|\s|[^\w\s]", text)]


def one(suite: str, seed: int = 0, half: str = "search", tokens: int = TOKENS) -> TextStream:
    return next(iter(streams(suite, encode, half, [seed], tokens)))


@pytest.mark.parametrize("suite", SUITES)
def test_a_stream_is_its_seeds_own_and_made_of_whole_frames(suite: str) -> None:
    assert one(suite) == one(suite)
    others = {tuple(one(suite, seed).ids) for seed in range(8)}
    assert len(others) == 8
    assert len(one(suite, half="judge").ids) == TOKENS
    assert one(suite, half="judge").ids != one(suite).ids
    assert len(one(suite, tokens=2048).ids) == 2048


@pytest.mark.parametrize("suite", ["prose", "copy", "scene"])
def test_every_scored_place_lies_in_the_stream_and_is_scored_once(suite: str) -> None:
    for seed in range(20):
        stream = one(suite, seed)
        places = [place for group in stream.scored.values() for place in group]
        assert places and len(set(places)) == len(places)
        assert 0 < min(places) <= max(places) < TOKENS


def test_prose_goes_on_behind_the_stream() -> None:
    longer = one("prose", tokens=TOKENS + 2 * FRAME_TOKENS)
    stream = one("prose")
    assert [*stream.ids, *stream.after] == list(longer.ids)
    assert len(stream.after) == 2 * FRAME_TOKENS


def test_64_streams_of_prose_share_no_text() -> None:
    # Characters as tokens: some 3,500 tokens of SmolLM2's.
    length, half = 12_000, "".join(text + "\n\n" for text in documents("search"))
    begun = []
    for seed in range(64):
        stream = "".join(map(chr, prose_ids(lambda t: list(map(ord, t)), "search", seed, length)))
        assert len(stream) == length
        begun.append((half + half).index(stream))
    begun.sort()
    apart = [b - a for a, b in zip(begun, [*begun[1:], begun[0] + len(half)], strict=True)]
    assert min(apart) >= length


def test_more_seeds_begin_between_those_before() -> None:
    def first(seed: int) -> tuple[int, ...]:
        return tuple(prose_ids(encode, "search", seed, 200))

    assert len({first(seed) for seed in range(256)}) == 256


def test_copies_stand_their_gap_behind_what_they_copy() -> None:
    for seed in range(20):
        stream = one("copy", seed)
        assert list(stream.scored) == [f"{gap} frames" for gap in GAPS]
        for gap, places in zip(GAPS, stream.scored.values(), strict=True):
            for place in places:
                assert stream.ids[place] == stream.ids[place - gap * FRAME_TOKENS]
            assert len(places) == FRAME_TOKENS - 5


def test_what_stayed_in_a_scene_was_told_in_an_earlier_frame() -> None:
    told_before = told_anew = 0
    for seed in range(10):
        stream = one("scene", seed)
        for places in stream.scored.values():
            for place in places:
                frame = place // FRAME_TOKENS
                earlier = stream.ids[: frame * FRAME_TOKENS]
                told_before += stream.ids[place] in earlier
                told_anew += stream.ids[place] not in earlier
    assert told_before > 300
    assert told_anew == 0


def test_needles_are_in_the_stream_once_and_asked_with_six_choices() -> None:
    for seed in range(10):
        stream = one("needle", seed)
        assert len(stream.needles) == 6
        for needle in stream.needles:
            frame = TOKENS // FRAME_TOKENS - needle.age
            fact = stream.ids[frame * FRAME_TOKENS : (frame + 1) * FRAME_TOKENS]
            assert needle.choices[0] in fact, "the right one comes first"
            assert not set(needle.choices[1:]) & set(fact)
            assert len(set(needle.choices)) == 6


def test_the_halves_share_no_document() -> None:
    search, judge = set(documents("search")), set(documents("judge"))
    assert not search & judge
    assert min(len(search), len(judge)) > 250
    with pytest.raises(ValueError, match=r"prose has the halves .*, got 'train'"):
        documents("train")


def test_the_committed_prose_is_the_one_that_results_name() -> None:
    assert content_hash() == "df59e71e8f19"


def test_prose_of_two_lengths_begins_alike() -> None:
    short, long = (prose_ids(encode, "search", 3, tokens) for tokens in (500, 4096))
    assert long[:500] == short
    assert len(long) == 4096


@pytest.mark.parametrize(
    ("suite", "tokens", "message"),
    [
        ("poetry", 1024, "no suite is called 'poetry'; there are prose, copy, scene, needle"),
        ("prose", 1000, "prose streams have a multiple of 32 tokens, at least 384, got 1000"),
        ("copy", 512, "copy streams have a multiple of 32 tokens, at least 1024, got 512"),
    ],
)
def test_streams_that_cannot_be_are_refused(suite: str, tokens: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        streams(suite, encode, "search", [0], tokens)


def test_a_tokenizer_that_cuts_words_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the tokenizer cuts \['river', 'stone'\] into pieces"):
        single_tokens(lambda text: [ord(c) for c in text], ["river", "stone"])
