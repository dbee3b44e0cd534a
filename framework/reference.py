"""A small decoder in plain torch: the kit's model, an oracle that owes nothing to transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .flops import DecoderSpec
from .frame_tokens import Cursor, FrameTokens
from .model import Generated, LayerAttention, Reading, RecurrentState, VideoModel

TINY = DecoderSpec(
    num_layers=2,
    hidden=24,
    intermediate=32,
    num_query_heads=4,
    num_kv_heads=2,
    head_dim=8,
    vocab=31,
)


@dataclass(eq=False)
class ReferenceDecoder(VideoModel):
    """A Llama-like decoder with random weights: grouped queries, RoPE, SwiGLU, RMS norms.

    Images become four visual tokens, the mean colours of their quarters, and one text marker.

    Args:
        sizes: of the decoder.
        float_type: of weights and activations.
        axes: 1 for RoPE; 3 for M-RoPE, frequencies dealt to the axes in turn.
        patch: raw frames that make one temporal patch.
        seed: of the weights.
    """

    sizes: DecoderSpec = TINY
    float_type: torch.dtype = torch.float64
    axes: int = 1
    patch: int = 1
    seed: int = 0
    weights: dict[str, Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.position_axes, self.frames_per_patch = self.axes, self.patch
        generator = torch.Generator().manual_seed(self.seed)
        self.weights = {
            name: (torch.randn(*shape, generator=generator) * shape[-1] ** -0.5).to(self.float_type)
            for name, shape in _shapes(self.sizes).items()
        }

    @property
    def spec(self) -> DecoderSpec:
        return self.sizes

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return self.float_type

    @property
    def trained_tokens(self) -> int:
        return 4096

    def encode(
        self, frames: Tensor, timestamps: Sequence[float | None], cursor: Cursor
    ) -> FrameTokens:
        pixels = frames.to(self.float_type).mean(0).permute(2, 0, 1)[None] / 255
        colours = functional.adaptive_avg_pool2d(pixels, 2).flatten(2).transpose(1, 2)
        marker = self.embed(torch.zeros(1, 1, dtype=torch.int64))
        embeds = torch.cat([colours @ self.weights["vision"].T, marker], 1)
        visual = torch.tensor([[True] * 4 + [False]])
        return FrameTokens(
            embeds, self.text_positions(cursor, 1, 5), visual, timestamp=timestamps[0]
        )

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        del height, width
        return 2, 2

    def embed(self, token_ids: Tensor) -> Tensor:
        return self.weights["embed"][token_ids]

    def step(
        self,
        frame: FrameTokens,
        attention: LayerAttention,
        max_tokens: int,
        recurrent: RecurrentState | None = None,
    ) -> Tensor:
        del max_tokens, recurrent
        hidden = frame.embeds
        for layer in range(self.sizes.num_layers):
            weights = {
                name.removeprefix(f"{layer}."): value
                for name, value in self.weights.items()
                if name.startswith(f"{layer}.")
            }
            hidden = hidden + self._attend(
                layer, _norm(hidden), frame.positions, weights, attention
            )
            inner = _norm(hidden)
            gate = functional.silu(functional.linear(inner, weights["gate"]))
            up = functional.linear(inner, weights["up"])
            hidden = hidden + functional.linear(gate * up, weights["down"])
        return _norm(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.weights["head"]) * 4

    def rotate(self, keys: Tensor, delta: Tensor, max_tokens: int) -> Tensor:
        angles = self._angles(delta)
        first, second = keys.double().chunk(2, -1)
        cos, sin = angles.cos(), angles.sin()
        turned = torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
        return turned.to(keys.dtype)

    def generate(
        self, token_ids: Tensor, positions: Tensor, reading: Reading, **options: Any
    ) -> Generated:
        return self.generate_each(token_ids, positions, reading, **options)[0]

    def generate_each(
        self,
        token_ids: Tensor,
        positions: Tensor,
        reading: Reading,
        *,
        max_tokens: int,
        max_new_tokens: int,
        recurrent: Mapping[str, Tensor] | None = None,
        **generation: Any,
    ) -> list[Generated]:
        """Greedy decoding; knows no generation options."""
        del recurrent
        if generation:
            raise ValueError(f"ReferenceDecoder decodes greedily, got {sorted(generation)}")
        new: list[Tensor] = []
        first: Tensor | None = None
        while len(new) < max_new_tokens:
            hidden = self.step(FrameTokens(self.embed(token_ids), positions), reading, max_tokens)
            logits = self.logits(hidden)[:, -1]
            first = logits if first is None else first
            token_ids, positions = logits.argmax(-1, keepdim=True), positions[..., -1:] + 1
            new.append(token_ids)
        assert first is not None  # max_new_tokens is at least 1
        return [Generated(*row) for row in zip(torch.cat(new, 1), first, strict=True)]

    def _attend(
        self,
        layer: int,
        hidden: Tensor,
        positions: Tensor,
        weights: dict[str, Tensor],
        attention: LayerAttention,
    ) -> Tensor:
        def heads(name: str) -> Tensor:
            projected = functional.linear(hidden, weights[name])
            return projected.unflatten(-1, (-1, self.sizes.head_dim)).transpose(1, 2)

        query, key = (self.rotate(heads(n), positions[:, :, None], 0) for n in ("query", "key"))
        output = attention(layer, query, key, heads("value"), self.sizes.head_dim**-0.5)
        return functional.linear(output.transpose(1, 2).flatten(2), weights["output"])

    def _angles(self, positions: Tensor) -> Tensor:
        """[..., head_dim / 2] from positions [axes, ...]."""
        half = self.sizes.head_dim // 2
        frequencies = 100.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        axis = torch.arange(half) % self.axes
        return positions[axis].movedim(0, -1) * frequencies


def _shapes(sizes: DecoderSpec) -> dict[str, tuple[int, int]]:
    queries = sizes.num_query_heads * sizes.head_dim
    keys = sizes.num_kv_heads * sizes.head_dim
    layer = {
        "query": (queries, sizes.hidden),
        "key": (keys, sizes.hidden),
        "value": (keys, sizes.hidden),
        "output": (sizes.hidden, queries),
        "gate": (sizes.intermediate, sizes.hidden),
        "up": (sizes.intermediate, sizes.hidden),
        "down": (sizes.hidden, sizes.intermediate),
    }
    layers = {f"{n}.{name}": s for n in range(sizes.num_layers) for name, s in layer.items()}
    return {
        **layers,
        "embed": (sizes.vocab, sizes.hidden),
        "head": (sizes.vocab, sizes.hidden),
        "vision": (sizes.hidden, 3),
    }


def _norm(hidden: Tensor) -> Tensor:
    return hidden * (hidden.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
