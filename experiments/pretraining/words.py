"""A tokenizer of whole words: those of a course, of the families' prompts, and digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

UNKNOWN = "<unk>"
TURNS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SYSTEM = "You are a helpful assistant."
# What the prompts of all three families are written in: turns, headers, lead-ins and times.
PROMPTS = "system user assistant The first video sampled with fps Frame sample at s seconds"
DIGITS = "0 1 2 3 4 5 6 7 8 9 ."
# Words, single digits, and the signs of sentences; all else (blanks, colons, brackets) is dropped,
# which keeps the text around a frame short.
PIECE = r"[\p{L}_][\p{L}_'-]*|\p{N}|[.?]"


def word_tokenizer(
    words: Sequence[str], markers: Sequence[str], roles: Mapping[str, str]
) -> PreTrainedTokenizerFast:
    """A tokenizer that knows these words and no others.

    Args:
        words: of the course, each once.
        markers: special tokens of the family besides those of turns.
        roles: more of them, by the name under which the family's processor looks for each.

    Raises:
        ValueError: for a word that would not be one token.
    """
    special = [UNKNOWN, *TURNS, *markers, *roles.values()]
    known = dict.fromkeys([*special, *DIGITS.split(), *_pieces(PROMPTS), *_pieces(SYSTEM), *words])
    backend = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(known)}, unk_token=UNKNOWN)
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "removed", invert=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=UNKNOWN,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", *markers],
        model_specific_special_tokens=dict(roles),
    )
    _require_single(tokenizer, words)
    return tokenizer


def _pieces(text: str) -> list[str]:
    return text.replace(".", " .").split()


def _require_single(tokenizer: PreTrainedTokenizerFast, words: Sequence[str]) -> None:
    for word in words:
        if tokenizer.tokenize(word) != [word]:
            raise ValueError(
                f"the course's word {word!r} is no single token: take letters, _, ' and -, a "
                "single digit, or one of . and ?"
            )
