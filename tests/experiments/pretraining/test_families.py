"""Models to be trained: their sizes, their words, and that a saved one is the same one."""

import json
from pathlib import Path

import pytest
import torch

from crossframe.experiments.pretraining.checkpoint import save_trained
from crossframe.experiments.pretraining.families import Trainable, trainable
from crossframe.experiments.pretraining.options import FAMILIES
from crossframe.framework import FullMemory, VideoSession
from crossframe.models import load_model

from .shapes import Shapes

COURSE = Shapes(every=2)


@pytest.fixture(params=list(FAMILIES))
def model(request: pytest.FixtureRequest) -> Trainable:
    return trainable(request.param, COURSE.words, seed=1)


def test_a_model_is_as_small_as_promised(model: Trainable) -> None:
    count = sum(weight.numel() for weight in model.hf_model.parameters())
    assert 450_000 < count < 700_000
    assert model.spec.num_layers == 4
    assert model.patch_grid(32, 32) == (2, 2)


@torch.no_grad()
def test_a_loaded_checkpoint_gives_the_same_logits_in_few_bytes(
    model: Trainable, tmp_path: Path
) -> None:
    save_trained(model, tmp_path)
    loaded = load_model(tmp_path, device="cpu")
    frames = COURSE.lesson(3, 6).frames
    logits = []
    for one in (model, loaded):
        session = VideoSession(one, FullMemory())
        session.push(frames)
        logits.append(session.question_logits(one.question_ids("what colour was the bar last ?")))
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(*logits, rtol=0, atol=0)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3e6


@torch.no_grad()
def test_frames_of_other_sizes_become_as_many_tokens(model: Trainable) -> None:
    session = VideoSession(model.for_stream(10**5), FullMemory())
    session.push(torch.zeros(model.frames_per_patch, 96, 96, 3, dtype=torch.uint8))
    assert int(session.slots(0).visual.sum(-1)[0, 0]) == 4


def test_every_word_is_one_token_and_comes_back(model: Trainable) -> None:
    for word in COURSE.words:
        (ids,) = model.reply_ids(word)
        assert len(ids) == 1
        assert model.text(ids) == word


def test_a_prompt_is_all_known_words(model: Trainable) -> None:
    tokenizer = model.processor.tokenizer
    texts = ["Frame12: ", "<1.0 seconds>", "Frame 3 sample at 10.50s: "]
    texts += ["The first video sampled with 2.00 fps: "]
    ids = [*model.question_ids("what was red ?")[0].tolist(), *tokenizer(texts).input_ids]
    assert tokenizer.unk_token_id not in ids
    assert model.text(torch.tensor(tokenizer.encode("platypus"))) == ""


def test_a_system_turn_stands_in_front(model: Trainable) -> None:
    tokens = model.processor.tokenizer.convert_ids_to_tokens(
        model.processor.tokenizer.encode(json.dumps("You are a helpful assistant."))
    )
    assert tokens == ["You", "are", "a", "helpful", "assistant", "."]
    assert model.for_stream(8, system="what was red ?") is not model


def test_a_seed_gives_the_same_weights() -> None:
    first, again, other = (
        trainable("internvl3", COURSE.words, seed).hf_model.state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"family must be one of .*internvl3.*, got 'llava'"):
        trainable("llava", COURSE.words, seed=0)


@pytest.mark.parametrize("word", ["two words", "12", "#"])
def test_a_word_of_several_tokens_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=f"word '{word}' is no single token: take letters"):
        trainable("internvl3", ["red", word], seed=0)
