"""Options of transformers' `generate` that can be kept here, and where answers of a batch end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..framework.stream.verify import check_generation

GREEDY = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1}


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


def require_ends_alone(default: Any, generation: Mapping[str, Any]) -> None:
    """Refuse what ends an answer otherwise than by a token or a length, or reads it on the way: in
    a batch nobody tells which row it was. `default` is the model's own generation_config."""
    for name in ("streamer", "stopping_criteria", "stop_strings"):
        value = generation.get(name) or _configured(name, default, generation)
        if value:
            raise ValueError(
                f"generation option {name}={value!r:.100} is of one answer, several are decoded "
                "together: leave it out, or give each video a session of its own"
            )


def cut_at_ends(new: Tensor, default: Any, generation: Mapping[str, Any]) -> list[Tensor]:
    """The tokens [B, tokens] of a batch, each row up to its first end token: behind it `generate`
    fills up the rows that ended before others."""
    ends = generation.get("eos_token_id")
    if ends is None:
        ends = _configured("eos_token_id", default, generation)
    if ends is None:
        return list(new)
    ended = torch.isin(new, torch.as_tensor(ends, device=new.device))
    kept = (ended.cumsum(-1) - ended.long() == 0).sum(-1)
    return [row[:count] for row, count in zip(new, kept.tolist(), strict=True)]


def _configured(name: str, default: Any, generation: Mapping[str, Any]) -> Any:
    """An option as `generate` takes it of a generation_config, else of the model's own."""
    given = generation.get("generation_config")
    value = None if given is None else given.to_dict().get(name)
    return default.to_dict().get(name) if value is None else value
