"""What the laws compare with: attention by plain loops, and one causal forward over everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..archives.storage import LayerArchive
from ..frame_tokens import Cursor, FrameTokens
from ..model import VideoModel
from ..slots import Slots
from ..stream.session import VideoSession
from ..stream.step import readable_keys

# The keys and values [S, D] before a step's own, of one batch row and KV head.
Before = Callable[[int, int], tuple[Tensor, Tensor]]


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
        carried = _real_slots(self.session.slots(layer), self.session)
        return _attend_by_loops(query, key, value, scale, carried)


@dataclass(eq=False)
class LoopReading:
    """A question, asked at positions [axes, B, tokens], and its answer, row by row over what a
    session's reader picks and the text so far."""

    session: VideoSession
    asked_at: Tensor
    read: dict[int, Slots] = field(default_factory=dict)
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    @property
    def num_read(self) -> int:
        return self.session.archive.num_tokens

    @property
    def num_text(self) -> int:
        return self.keys[0].shape[2] if self.keys else 0

    def __call__(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        if layer not in self.read:
            self.read[layer] = self._pick(layer, query)
            self.keys[layer], self.values[layer] = key[:, :, :0], value[:, :, :0]
        picked = _real_slots(self.read[layer], self.session)
        text_keys, text_values = self.keys[layer], self.values[layer]

        def before(row: int, kv_head: int) -> tuple[Tensor, Tensor]:
            keys, values = picked(row, kv_head)
            return (
                torch.cat([keys, text_keys[row, kv_head]]),
                torch.cat([values, text_values[row, kv_head]]),
            )

        output = _attend_by_loops(query, key, value, scale, before)
        self.keys[layer] = torch.cat([text_keys, key], 2)
        self.values[layer] = torch.cat([text_values, value], 2)
        return output

    def _pick(self, layer: int, query: Tensor) -> Slots:
        session = self.session
        archive = LayerArchive(
            session.archive,
            layer,
            rotate=_rotation(session),
            asked_at=self.asked_at,
            moved=session.state.origin.moved,
        )
        carried = session.state.carried(session.model, len(query))[layer]
        # A copy: what a reader writes into the queries shows as a difference.
        slots = session.reader.read(query.clone(), archive, carried)
        keys, values = slots.keys.to(query.dtype), slots.values.to(query.dtype)
        return replace(slots, keys=keys, values=values)


def _rotation(session: VideoSession) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda keys, delta: session.model.rotate(keys, delta, session.max_tokens)


def _real_slots(slots: Slots, session: VideoSession) -> Before:
    """Keys, as they read, and values of a layer's slots, without padding."""
    keys = slots.keys if slots.num_slots == 0 else readable_keys(slots, _rotation(session))

    def of(row: int, kv_head: int) -> tuple[Tensor, Tensor]:
        if slots.num_slots == 0:  # before the first push there is but one row
            return keys[0, 0], slots.values[0, 0]
        real = slice(None) if slots.valid is None else slots.valid[row, kv_head]
        return keys[row, kv_head][real], slots.values[row, kv_head][real]

    return of


def _attend_by_loops(
    query: Tensor, key: Tensor, value: Tensor, scale: float, before: Before
) -> Tensor:
    """[B, H, T, D]: each token attends to all before the step and to the step up to itself."""
    output = torch.zeros_like(query)
    group = query.shape[1] // key.shape[1]
    for row in range(query.shape[0]):
        for head in range(query.shape[1]):
            old_keys, old_values = before(row, head // group)
            keys = torch.cat([old_keys, key[row, head // group]])
            values = torch.cat([old_values, value[row, head // group]])
            for token in range(query.shape[2]):
                seen = len(old_keys) + token + 1
                weights = (keys[:seen] @ query[row, head, token] * scale).softmax(0)
                output[row, head, token] = weights @ values[:seen]
    return output


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
