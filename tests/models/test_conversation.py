"""A conversation about a stream equals the stock model's over the same turns."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from crossframe.framework import FullMemory, VideoSession
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2, tiny_tokenizer

from ..every import FAMILIES, NATIVE
from .stock import greedy, processed, stock_logits, worst
from .streams import TOLERANCES, video

QUESTIONS = ("What happens?", "And then?", "Who was it?")


def prompt(processor: Any, messages: list[dict[str, str]]) -> str:
    """The conversation about one video, by the processor's own template."""
    turns: list[dict[str, Any]] = [
        {"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]}
        for turn in messages
    ]
    turns[0]["content"].insert(0, {"type": "video"})
    return processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)


@pytest.mark.parametrize("name", NATIVE)
def test_every_turn_equals_the_stock_models(name: str) -> None:
    family, frames, dtype = NATIVE[name], video(4), torch.float64
    model = family.model(dtype, "").for_stream(4)
    session = VideoSession(model, FullMemory())
    talk, exact = session.chat(), TOLERANCES[dtype] if name != "qwen3_5" else 1e-6
    for number, frame in enumerate(frames):
        session.push(frame, family.fps and number / family.fps)
        # SmolVLM's prompt begins with the number of frames, so that only the whole video is equal.
        stops = (3,) if name == "smolvlm" else (1, 3)
        for question in QUESTIONS[: (number + 1) // 2] if number in stops else ():
            asked = [*talk.messages, {"role": "user", "content": question}]
            answer = talk.ask(question, max_new_tokens=6, min_new_tokens=6)
            text = prompt(model.prompt.processor, asked)
            inputs = processed(model, frames[: number + 1], fps=family.fps, text=text)
            expected = stock_logits(model.hf_model, **inputs)[0, -1]
            assert worst(answer.first_logits, expected) <= exact
            assert answer.token_ids.tolist() == greedy(model.hf_model, 6, **inputs)
            assert talk.messages == [*asked, {"role": "assistant", "content": answer.text}]
    assert len(talk.messages) == (4 if name == "smolvlm" else 6)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_turn_is_a_question(name: str) -> None:
    model = FAMILIES[name].model(torch.float32, "")
    turn = {"role": "user", "content": "What happens?"}
    assert torch.equal(model.conversation_ids([turn]), model.question_ids("What happens?"))


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_turns_about_images_follow_one_another(name: str) -> None:
    model = FAMILIES[name].model(torch.float32, "")
    images = model.for_images()
    turns = [{"role": role, "content": text} for role, text in (
        ("user", "Who?"), ("assistant", "He."), ("user", "Where?"),
    )]  # fmt: skip
    told = model.prompt.processor.tokenizer.decode(images.conversation_ids(turns)[0])
    assert told == (
        "\nWho?<|im_end|>\n<|im_start|>assistant\nHe.<|im_end|>\n<|im_start|>user\nWhere?"
        "<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_text_decoder_without_a_template_reads_lines() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    model = DecoderModel(tiny_qwen2(), tokenizer)
    turns = [{"role": role, "content": text} for role, text in (
        ("user", "Who?"), ("assistant", "He."), ("user", "Where?"),
    )]  # fmt: skip
    assert tokenizer.decode(model.conversation_ids(turns)[0]) == "Who?\nHe.\nWhere?"
