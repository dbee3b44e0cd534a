"""Several videos in one session, with every family: rows are what sessions of their own are."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from crossframe.framework import VideoSession, stack_videos
from crossframe.methods import StateKVMemory
from crossframe.models.hf import HFDecoder

from ..every import FAMILIES
from .streams import video

EXACT = {torch.float64: 1e-9, torch.float32: 1e-5}
CLIPS = [video(4, seed=seed) for seed in range(3)]
QUESTIONS = ["What?", "What happens in this video, and why?", "Who is it?"]
# With an unbounded memory, so that rounding cannot choose other slots in one of the two.
MEMORY = StateKVMemory(None)


def small(name: str, dtype: torch.dtype = torch.float64) -> Any:
    family = FAMILIES[name]
    return family.shipped(*family.loaded(dtype, **family.small)).for_stream(4)


def after(model: HFDecoder, *clips: Tensor) -> VideoSession:
    session, videos = VideoSession(model, MEMORY), stack_videos(clips)
    session.push(videos[:, :3], [0.0, 0.5, 1.0])  # one waits where two make a patch
    session.push(videos[:, 3:], 1.5)
    return session


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_videos_side_by_side_are_answered_as_each_alone(name: str, dtype: torch.dtype) -> None:
    model = small(name, dtype)
    questions: list[str] | list[Tensor] = QUESTIONS
    if model.spec.recurrent:  # padding would pass its layers without KV
        ids = [model.question_ids(question) for question in QUESTIONS]
        least = min(one.shape[1] for one in ids)
        questions = [one[:, -least:] for one in ids]
    batch = after(model, *CLIPS)
    answers = batch.ask(questions, max_new_tokens=5)
    logits = batch.question_logits([3, 1, 4])
    for row, (clip, question, answer) in enumerate(zip(CLIPS, questions, answers, strict=True)):
        alone = after(model, clip)
        assert batch.cursor == alone.cursor
        expected = alone.ask(question, max_new_tokens=5)
        close = {"atol": EXACT[dtype], "rtol": 0}
        torch.testing.assert_close(answer.first_logits, expected.first_logits, **close)
        torch.testing.assert_close(logits[row], alone.question_logits([3, 1, 4])[0], **close)
        assert torch.equal(answer.token_ids, expected.token_ids)
        assert answer.text == expected.text


def test_padding_never_passes_layers_without_kv() -> None:
    model = small("qwen3_5")
    words = (
        r"questions of \[\d+, \d+, \d+\] tokens cannot .*: the layers of Qwen3_5 that have no KV"
    )
    with pytest.raises(ValueError, match=words):
        after(model, *CLIPS).ask(QUESTIONS)


def test_every_answer_ends_by_itself() -> None:
    model = small("internvl3")
    batch = after(model, *CLIPS)
    whole = [answer.token_ids.tolist() for answer in batch.ask(QUESTIONS, max_new_tokens=8)]
    # Said by one of them in the middle of its answer: it is the end there.
    end = next(token for token in whole[0][2:6] if token not in whole[1][:4])
    for ends in (end, [end, 0]):
        answers = batch.ask(QUESTIONS, max_new_tokens=8, eos_token_id=ends)
        for clip, question, answer in zip(CLIPS, QUESTIONS, answers, strict=True):
            alone = after(model, clip).ask(question, max_new_tokens=8, eos_token_id=ends)
            assert answer.token_ids.tolist() == alone.token_ids.tolist()
        assert len({len(answer.token_ids) for answer in answers}) > 1


@pytest.mark.parametrize("name", ["streamer", "stop_strings", "stopping_criteria"])
def test_what_is_of_one_answer_is_refused(name: str) -> None:
    batch = after(small("internvl3"), *CLIPS)
    options: dict[str, Any] = {name: ["stop"]}
    with pytest.raises(ValueError, match=rf"generation option {name}=.* is of one answer"):
        batch.ask(QUESTIONS, **options)


LOOKS_BACK = [("no_repeat_ngram_size", 2), ("min_length", 7), ("encoder_no_repeat_ngram_size", 2)]


@pytest.mark.parametrize(("name", "value"), LOOKS_BACK)
def test_what_looks_back_on_padding_is_refused_and_on_questions_is_kept(
    name: str, value: int
) -> None:
    model = small("internvl3")
    # Its first token is said again and again unless an option forbids it.
    options: dict[str, Any] = {"max_new_tokens": 6, "sequence_bias": [[[5], 50.0]], name: value}
    if name == "min_length":
        options["eos_token_id"] = 5
    batch = after(model, *CLIPS)
    words = f"option {name}={value} would take the padding of shorter questions for text"
    unequal = [[5, 6], [5, 6, 7, 8, 9, 3], [5, 1, 2]]
    with pytest.raises(ValueError, match=words):
        batch.ask(unequal, **options)
    with pytest.raises(ValueError, match=words):
        batch.ask(unequal, generation_config=GenerationConfig(**{name: value}))
    equal = [[5, 6, 1], [5, 6, 7], [5, 1, 2]]
    answers = batch.ask(equal, **options)
    for clip, question, answer in zip(CLIPS, equal, answers, strict=True):
        expected = after(model, clip).ask(question, **options)
        assert answer.token_ids.tolist() == expected.token_ids.tolist()
