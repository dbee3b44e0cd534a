"""Prompt arithmetic that adapters share."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from crossframe.framework import Cursor
from crossframe.models import DecoderModel
from crossframe.models.prompt import stable_prefix, surround, text_tokens
from crossframe.models.tiny import tiny_qwen2, tiny_tokenizer

MODEL = DecoderModel(tiny_qwen2(layers=1, dtype=torch.float64))
TOKENIZER = tiny_tokenizer()


def tokenize(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False)


@given(prefix=st.text(), following=st.text())
def test_the_parts_are_the_whole_and_the_first_a_prefix_of_both(prefix, following):
    first, second = stable_prefix(tokenize, prefix, following)
    alone = tokenize(prefix)
    assert first + second == tokenize(prefix + following)
    assert first == alone[: len(first)]


def test_a_token_that_merges_across_the_cut_goes_to_the_second_part():
    first, second = stable_prefix(tokenize, "with 2.00 fps: ", "Frame 1")
    assert TOKENIZER.decode(first) == "with 2.00 fps:"
    assert TOKENIZER.decode(second) == " Frame 1"
    assert stable_prefix(tokenize, "", "Frame") == ([], tokenize("Frame"))
    assert stable_prefix(tokenize, "Frame", "") == (tokenize("Frame"), [])


@given(before=st.integers(0, 3), count=st.integers(0, 4), after=st.integers(0, 3))
def test_features_stand_between_their_markers(before, count, after):
    features = torch.randn(1, count, MODEL.spec.hidden)
    ids = torch.arange(before + after)
    cursor = Cursor(tokens=7, frames=2, position=5)
    with torch.no_grad():
        frame = surround(MODEL, ids[:before].tolist(), features, ids[before:].tolist(), cursor, 1.5)
        text = MODEL.embed(ids[None])
    assert frame.num_tokens == before + count + after and frame.timestamp == 1.5
    assert frame.visual is not None and frame.embeds.dtype == torch.float64
    assert frame.visual[0].tolist() == [
        before <= n < before + count for n in range(len(ids) + count)
    ]
    assert torch.equal(frame.embeds[frame.visual], features[0].double())
    assert torch.equal(frame.embeds[~frame.visual], text[0])
    assert torch.equal(frame.positions[0, 0], torch.arange(5, 5 + frame.num_tokens))


def test_text_has_nothing_visual_and_no_text_is_none():
    with torch.no_grad():
        text = text_tokens(MODEL, [4, 5], Cursor())
    assert text is not None and text.visual is not None and not text.visual.any()
    assert text.positions.tolist() == [[[0, 1]]]
    assert text_tokens(MODEL, [], Cursor()) is None
