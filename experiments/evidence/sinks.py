"""Where the attention sink of a decoder sits, and how much of the mass it draws.

python -m crossframe.experiments.evidence.sinks --output sinks.json
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jsonargparse import auto_cli
from pandas import DataFrame

from ...framework import NoArchive, Slots, VideoSession
from ...methods import ReadCarried
from ...models import DecoderModel, load_model
from ..observation.evidence import WatchedMemory
from ..streaming.environment import commit, machine_of
from .prediction import pass_streams
from .prose import encoder, prose_ids
from .suites import FRAME_TOKENS

FIRST = 4  # tokens whose share is listed one by one
GROUPED = 6  # layers in a line of the table


class SinkShares:
    """Collects, layer by layer, what the first tokens draw of the mass from later frames.

    The first `skipped` tokens of a stream are left out of what is measured: where little has passed
    everything is near the beginning.
    """

    def __init__(self, skipped: int) -> None:
        self._skipped = skipped
        self._shares: dict[int, list[list[float]]] = defaultdict(list)
        self._norms: dict[int, list[float]] = {}

    def __call__(self, slots: Slots) -> None:
        if slots.num_slots <= self._skipped:
            return
        assert slots.mass is not None  # a watched memory asks for it
        share = slots.mass / slots.mass.sum(-1, keepdim=True)
        first = share[..., :FIRST].mean((0, 1))
        rest = share[..., FIRST:-FRAME_TOKENS].amax(-1).mean()
        self._shares[slots.layer].append([*first.tolist(), float(rest)])
        norms = slots.values.float().norm(dim=-1)
        self._norms[slots.layer] = [float(norms[..., 0].mean()), float(norms.median())]

    def rows(self) -> list[dict[str, float]]:
        """For every layer the shares of all mass, means over frames, heads and streams: of each of
        the first tokens, and of the strongest token between them and the frame itself; and the
        length of the first token's value beside the median."""
        return [
            {
                "layer": layer,
                **{f"token {n}": fmean(row[n] for row in shares) for n in range(FIRST)},
                "strongest other": fmean(row[-1] for row in shares),
                "value norm of token 0": self._norms[layer][0],
                "median value norm": self._norms[layer][1],
            }
            for layer, shares in sorted(self._shares.items())
        ]


@torch.no_grad()
def sink_shares(model: DecoderModel, streams: int, tokens: int) -> list[dict[str, float]]:
    """`SinkShares.rows` of full attention over search streams of prose; the second half counts."""
    shares = SinkShares(tokens // 2)
    ids = [prose_ids(encoder(model), "search", seed, tokens) for seed in range(streams)]
    memory = WatchedMemory(shares)
    session = VideoSession(model, memory, archive=NoArchive(), reader=ReadCarried())
    pass_streams(model, session, torch.tensor(ids))
    return shares.rows()


def shares_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells: layers in groups, and the first token's share of all mass in each."""
    heads = ["layers", *(f"first token, {name}" for name in result["rows"])]
    heads += ["second token", "strongest other before the frame", "value length, first / median"]
    variants = [DataFrame(rows) for rows in result["rows"].values()]
    parts = zip(*(one.groupby(one["layer"] // GROUPED) for one in variants), strict=True)
    cells = []
    for (_, first), *others in parts:
        mean = first.mean()
        cells.append(
            [
                f"{first['layer'].min()}–{first['layer'].max()}",
                *(f"{own['token 0'].mean():.1%}" for own in (first, *(own for _, own in others))),
                f"{mean['token 1']:.1%}",
                f"{mean['strongest other']:.1%}",
                f"{mean['value norm of token 0']:.1f} / {mean['median value norm']:.1f}",
            ]
        )
    return heads, cells


def main(output: Path, model: str = "smollm2-135m", streams: int = 8, tokens: int = 1024) -> None:
    """Measure with and without the start-of-text token, and write both."""
    decoder = load_model(model)
    if not isinstance(decoder, DecoderModel):
        raise SystemExit(f"{model} is not a text decoder: give a GGUF file or smollm2-135m")
    bare = DecoderModel(decoder.hf_model, decoder.tokenizer)
    variants = {"with a start token": decoder, "without one": bare}
    content = {
        "settings": {"streams": streams, "tokens": tokens},
        "environment": {**machine_of(decoder), "commit": commit()},
        "rows": {name: sink_shares(one, streams, tokens) for name, one in variants.items()},
    }
    output.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
