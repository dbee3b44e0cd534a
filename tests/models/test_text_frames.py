"""A text in frames equals the text in one piece, and questions follow it as a user's turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from crossframe.framework import CrossFrameMemory, FullMemory, TextFrames, VideoSession
from crossframe.methods import RecencyMemory, StateKVMemory
from crossframe.models import DecoderModel
from crossframe.models.decoder import next_turns
from crossframe.models.tiny import special_tokenizer, tiny_qwen2, tiny_tokenizer

TEXT = """Which way does the red square move: left or right? How many people are there, and where?
What did I say before? The colour of the ball is red, and a man's car is at the left."""
QUESTION = "What is the colour?"
START = "<|endoftext|>"
TURN = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
WITH_SYSTEM = """\
{% if messages[0].role != 'system' %}<|im_start|>system
You see.<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
# Says how many turns there were, so that no prompt begins another.
COUNTS = "{{ messages | length }} turns, the last: {{ messages[-1].content }}"


@pytest.mark.parametrize("size", [1, 5, 32, 47])
@pytest.mark.parametrize("memory", [FullMemory(), StateKVMemory(None), RecencyMemory(None)])
def test_unbounded_memories_give_the_stock_logits_whatever_a_frame_holds(
    size: int, memory: CrossFrameMemory
) -> None:
    model = DecoderModel(
        tiny_qwen2(dtype=torch.float64), tiny_tokenizer(), start=START, tokens_per_frame=size
    )
    session = VideoSession(model, memory)
    frames = model.text_frames(TEXT)
    assert len(frames.ids) == 47 and len(frames) == -(-47 // size)
    session.push(frames)
    asked = model.question_ids(QUESTION)
    ours = session.question_logits(asked)
    stock = stock_logits(model, START + TEXT + TURN)[:, -asked.shape[1] :]
    torch.testing.assert_close(ours, stock, rtol=0, atol=1e-9)


def test_hidden_states_of_all_frames_are_those_of_one_pass() -> None:
    model = DecoderModel(tiny_qwen2(dtype=torch.float64), tiny_tokenizer(), tokens_per_frame=7)
    passed = VideoSession(model, FullMemory()).push(model.text_frames(TEXT), return_hidden=True)
    assert passed is not None
    torch.testing.assert_close(model.logits(passed), stock_logits(model, TEXT), rtol=0, atol=1e-9)


def test_frames_are_cut_by_the_models_own_tokenizer() -> None:
    model = DecoderModel(tiny_qwen2(), tiny_tokenizer(), tokens_per_frame=3)
    frames = model.text_frames(TEXT)
    assert isinstance(frames, TextFrames) and frames.tokens_per_frame == 3
    assert model.text(frames.ids) == TEXT
    assert DecoderModel(tiny_qwen2(), tiny_tokenizer()).tokens_per_frame == 32


@pytest.mark.parametrize("template", [WITH_SYSTEM, None])
def test_a_question_is_a_turn_behind_the_text(template: str | None) -> None:
    tokenizer = tiny_tokenizer() if template is None else special_tokenizer(template)
    assert next_turns(tokenizer, [{"role": "user", "content": QUESTION}]) == TURN
    model = DecoderModel(tiny_qwen2(), tokenizer)
    expected = tokenizer.encode(TURN, add_special_tokens=False)
    assert model.question_ids(QUESTION).tolist() == [expected]
    assert model.reply_ids(QUESTION).tolist() != [expected], "words go on as they are"


def test_a_template_without_a_middle_gives_the_turn_alone() -> None:
    assert (
        next_turns(special_tokenizer(COUNTS), [{"role": "user", "content": QUESTION}])
        == f"1 turns, the last: {QUESTION}"
    )


def test_a_tokenizer_without_a_template_gives_the_question_as_it_is() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    assert next_turns(tokenizer, [{"role": "user", "content": QUESTION}]) == QUESTION


def test_a_template_that_refuses_is_told_in_one_line() -> None:
    tokenizer = special_tokenizer("{{ raise_exception('no user turns') }}")
    model = DecoderModel(tiny_qwen2(), tokenizer)
    with pytest.raises(ValueError, match=r"refuses \['user', 'assistant'\] turns: no user"):
        model.question_ids(QUESTION)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, None])
def test_frames_without_tokens_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="DecoderModel: tokens_per_frame must be an integer of"):
        DecoderModel(tiny_qwen2(), tiny_tokenizer(), tokens_per_frame=size)


def test_a_decoder_without_a_tokenizer_reads_no_text() -> None:
    with pytest.raises(ValueError, match="no tokenizer to read a text with: pass one"):
        DecoderModel(tiny_qwen2()).text_frames(TEXT)


def stock_logits(model: DecoderModel, *texts: str) -> Tensor:
    """[1, tokens, vocab] of one pass of the model of transformers."""
    tokenizer = model.tokenizer
    assert tokenizer is not None
    ids: Sequence[int] = tokenizer.encode("".join(texts), add_special_tokens=False)
    with torch.no_grad():
        return model.hf_model(torch.tensor([list(ids)])).logits
