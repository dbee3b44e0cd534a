"""Texts in frames of tokens, and text files that are none."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from crossframe.framework import FullMemory, TextFrames, VideoSession
from crossframe.framework.text import as_text_frames, read_text
from crossframe.models import DecoderModel, InternVL3
from crossframe.models.tiny import tiny_internvl, tiny_qwen2, tiny_tokenizer

TEXT = "Which way does the red square move: left or right? How many people are there?"


class Letters:
    """A tokenizer with a token for every letter."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) for letter in text]


@pytest.mark.parametrize(
    ("size", "cut"),
    [(1, ["a", "b", "c", "d", "e"]), (2, ["ab", "cd", "e"]), (5, ["abcde"])],
)
def test_frames_hold_so_many_tokens_and_the_last_what_is_left(size: int, cut: list[str]) -> None:
    frames = TextFrames(Letters(), "abcde", size)
    assert len(frames) == len(cut)
    assert ["".join(map(chr, frame.tolist())) for frame, _ in frames] == cut
    assert [number for _, number in frames] == [float(place) for place in range(len(cut))]
    assert next(iter(frames))[1] == 0.0, "a second look begins anew"


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        ("abcde", 6, "the text has 5 tokens, fewer than one frame of 6: give a longer text"),
        ("", 32, "the text has 0 tokens, fewer than one frame of 32"),
        ("abc", 0, "TextFrames: tokens_per_frame must be an integer of at least 1, got 0"),
        ("abc", 2.0, "tokens_per_frame must be an integer of at least 1, got 2.0"),
        ("ab\ud800c", 1, r"the text has '\\ud800' at character 2, half of a surrogate pair"),
    ],
)
def test_what_makes_no_frame_is_refused(text: str, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextFrames(Letters(), text, size)


def test_only_ids_in_one_row_are_frames_of_a_text() -> None:
    ids = torch.tensor([1, 2, 3])
    found = as_text_frames([ids, ids])
    assert found is not None and [frame.tolist() for frame in found] == [[1, 2, 3]] * 2
    other = (ids[None], ids.int(), ids.to(torch.uint8), [ids, ids[None]], [], None, "text")
    assert all(as_text_frames(frames) is None for frames in other)


def test_pushed_frames_of_a_text_are_those_that_the_decoder_makes_by_hand() -> None:
    model = reader()
    frames = model.text_frames(TEXT)
    session, by_hand = (VideoSession(model, FullMemory()) for _ in range(2))
    session.push(frames)
    prompt = model.prologue(by_hand.cursor)
    assert prompt is not None
    by_hand.push(prompt)
    for ids, _ in frames:
        by_hand.push(model.frame(ids[None], by_hand.cursor))
    assert session.cursor == by_hand.cursor and session.cursor.frames == len(frames)
    question = [1, 2, 3]
    assert torch.equal(session.question_logits(question), by_hand.question_logits(question))


def test_models_are_given_only_what_they_read() -> None:
    image, ids = torch.zeros(1, 56, 56, 3, dtype=torch.uint8), torch.tensor([1, 2, 3])
    sees = VideoSession(InternVL3(*tiny_internvl()), FullMemory())
    reads = VideoSession(reader(), FullMemory())
    with pytest.raises(ValueError, match="InternVL3 sees images, not frames of a text: push im"):
        sees.push(ids)
    with pytest.raises(ValueError, match="InternVL3 sees images and reads no text in frames"):
        sees.model.text_frames(TEXT)
    with pytest.raises(ValueError, match="DecoderModel has no vision side: push FrameTokens"):
        reads.push(image)
    with pytest.raises(ValueError, match="token id 100000 is none of the model's"):
        reads.push([ids, torch.tensor([100_000])])
    assert sees.cursor.tokens == reads.cursor.tokens == 0


# Files


def test_a_file_is_read_as_utf_8_without_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "Grüße\n".encode())
    assert read_text(path) == "Grüße\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "has no words: give a file with text in it"),
        (lambda path: path.write_bytes(b" \n\t\n"), "has no words"),
        (lambda path: path.write_bytes(b"abc\xff"), r"is not UTF-8 \(byte 0xff at 3\): save the"),
        (lambda path: path.write_bytes("Grüße".encode("utf-16")), "is not UTF-8"),
        (lambda path: path.mkdir(), "is no file: give the path of a text"),
        (lambda path: os.mkfifo(path), "is no file: give the path of a text"),
        (lambda path: None, "is no file: give the path of a text"),
    ],
)
def test_a_file_that_holds_no_text_is_named(
    damage: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    damage(path)
    with pytest.raises(ValueError, match=re.escape(str(path)) + " " + message):
        read_text(path)


def reader(**changed: int) -> DecoderModel:
    """An untrained text decoder."""
    return DecoderModel(
        tiny_qwen2(), tiny_tokenizer(), start="<|endoftext|>", **{"tokens_per_frame": 8, **changed}
    )
