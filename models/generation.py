"""Options of transformers' `generate` that can be kept here, and where answers of a batch end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..framework.stream.verify import check_generation

GREEDY = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1}
OF_ONE = ("streamer", "stopping_criteria", "stop_strings")
LOOKS_BACK = ("min_length", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size")


def require_one_by_one(generation: Mapping[str, Any]) -> None:
    """Refuse what needs several sequences, other passes than one per new token, or foreign code."""
    check_generation(generation)
    config = generation.get("generation_config")
    given = {**(config.to_dict() if config else {}), **generation}
    several = ("num_beams", "num_return_sequences")
    for name in (*several, "assistant_model", "prompt_lookup_num_tokens", "guidance_scale"):
        if given.get(name) not in (None, 1):
            remedy = " and ask several times to sample several answers" if name in several else ""
            raise ValueError(
                f"ask decodes one sequence, token by token, got {name}={given[name]}: leave it out"
                f"{remedy}"
            )


def require_together(positions: Tensor, default: Any, generation: Mapping[str, Any]) -> None:
    """Refuse what cannot be kept of questions at positions [axes, B, tokens] decoded together.

    A stop otherwise than by a token or a length, or somebody who reads the answer on the way: in a
    batch nobody tells which row it was. Where there is padding, what counts the tokens of the
    question or compares runs of them. `default` is the model's own generation_config.
    """
    if positions.shape[1] == 1:
        return
    for name in OF_ONE:
        if value := _option(name, default, generation):
            raise ValueError(
                f"generation option {name}={value!r:.100} is of one answer, several are decoded "
                "together: leave it out, or give each video a session of its own"
            )
    if not (positions.diff(dim=-1) == 0).any():  # only padding stands where the next token does
        return
    for name in LOOKS_BACK:
        if value := _option(name, default, generation):
            raise ValueError(
                f"generation option {name}={value} would take the padding of shorter questions for "
                "text: leave it out, ask questions of equal length, or give each video a session "
                "of its own"
            )


def cut_at_ends(new: Tensor, default: Any, generation: Mapping[str, Any]) -> list[Tensor]:
    """The tokens [B, tokens] of a batch, each row up to its first end token: behind it `generate`
    fills up the rows that ended before others."""
    ends = _option("eos_token_id", default, generation)
    if ends is None:
        return list(new)
    ended = torch.isin(new, torch.as_tensor(ends, device=new.device))
    kept = (ended.cumsum(-1) - ended.long() == 0).sum(-1)
    return [row[:count] for row, count in zip(new, kept.tolist(), strict=True)]


def _option(name: str, default: Any, generation: Mapping[str, Any]) -> Any:
    """An option as `generate` takes it: as given, of a given generation_config, of the model's."""
    config = generation.get("generation_config")
    values = (generation.get(name), *(one.to_dict().get(name) for one in (config, default) if one))
    return next((value for value in values if value is not None), None)
