"""What the laws compare with: attention by plain loops, and one causal forward over everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .frame_tokens import Cursor, FrameTokens
from .model import VideoModel
from .session import VideoSession
from .step import readable_keys


@dataclass(eq=False)
class LoopAttention:
    """Attention row by row over what a session carries: the oracle of law 1."""

    session: VideoSession
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        self.keys[layer], self.values[layer] = key, value
        output = torch.zeros_like(query)
        group = query.shape[1] // key.shape[1]
        for row in range(query.shape[0]):
            for head in range(query.shape[1]):
                kv_head = head // group
                old_keys, old_values = self._carried(layer, row, kv_head)
                keys = torch.cat([old_keys, key[row, kv_head]])
                values = torch.cat([old_values, value[row, kv_head]])
                for token in range(query.shape[2]):
                    seen = len(old_keys) + token + 1
                    weights = (keys[:seen] @ query[row, head, token] * scale).softmax(0)
                    output[row, head, token] = weights @ values[:seen]
        return output

    def _carried(self, layer: int, row: int, kv_head: int) -> tuple[Tensor, Tensor]:
        slots, model = self.session.slots(layer), self.session.model
        if slots.num_slots == 0:
            return slots.keys[0, 0], slots.values[0, 0]
        keys = readable_keys(slots, lambda k, d: model.rotate(k, d, self.session.max_tokens))
        real = slice(None) if slots.valid is None else slots.valid[row, kv_head]
        return keys[row, kv_head][real], slots.values[row, kv_head][real]


def one_shot_logits(model: VideoModel, frames: Sequence[FrameTokens], question: Tensor) -> Tensor:
    """[B, tokens, vocab] of the question after all frames, by one causal forward."""
    batch, count = question.shape
    position = max(int(frame.positions.max()) for frame in frames) + 1
    text = model.text_positions(Cursor(position=position), batch, count)
    whole = FrameTokens(
        embeds=torch.cat([*(frame.embeds for frame in frames), model.embed(question)], 1),
        positions=torch.cat([*(frame.positions for frame in frames), text], -1),
    )

    def causal(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale, enable_gqa=True
        )

    return model.logits(model.step(whole, causal, model.trained_tokens)[:, -count:])
