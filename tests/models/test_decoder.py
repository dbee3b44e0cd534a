"""A text decoder's questions are the text's own tokens, whatever its tokenizer likes to add."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

from crossframe.framework import FullMemory, VideoSession
from crossframe.models import DecoderModel

PIECES = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "▁b"]
BOS = 1


@pytest.fixture
def model() -> DecoderModel:
    """A tiny Llama, whose tokenizer begins every text with BOS."""
    tokenizer = LlamaTokenizer(
        vocab={piece: number for number, piece in enumerate(PIECES)},
        merges=[("▁", "a"), ("▁", "b")],
        add_bos_token=True,
    )
    assert tokenizer.encode("a b") == [BOS, 6, 7]  # as transformers does by itself
    config = LlamaConfig(
        vocab_size=len(PIECES),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    return DecoderModel(LlamaForCausalLM(config).eval(), tokenizer)


def test_no_bos_comes_into_the_middle_of_the_stream(model: DecoderModel) -> None:
    assert model.question_ids("a b").tolist() == [[6, 7]]
    assert model.reply_ids("b").tolist() == [[7]]
    session = VideoSession(model, FullMemory())
    session.push(model.frame(torch.tensor([[BOS, 6, 6, 7]])))
    asked = session.ask("a b", max_new_tokens=1).first_logits
    assert torch.equal(asked, session.ask([6, 7], max_new_tokens=1).first_logits)
    stock = model.hf_model(torch.tensor([[BOS, 6, 6, 7, 6, 7]])).logits[0, -1]
    torch.testing.assert_close(asked, stock, rtol=0, atol=1e-5)


def test_text_without_tokens_is_refused(model: DecoderModel) -> None:
    with pytest.raises(ValueError, match="'' has no tokens: give at least one word"):
        model.question_ids("")
