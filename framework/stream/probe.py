"""Text that looks at the slots after a step and is forgotten again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..attention.attend import attend, choose
from ..attention.backend import Visibility
from ..flops import step_flops
from ..frame_tokens import FrameTokens
from ..memory import CrossFrameMemory
from ..model import VideoModel
from ..slots import Slots
from ..transfer import sent
from .state import StreamState
from .step import place_of, readable_keys
from .verify import check_room


def run_probe(
    memory: CrossFrameMemory,
    model: VideoModel,
    layers: Sequence[Slots],
    state: StreamState,
    max_tokens: int,
    attention: str,
) -> int:
    """Pass the memory's probe text, if it has one, behind a step; returns its FLOPs by closed form.

    It attends to [carried ; frame] and to itself, as if it followed the stream, and leaves nothing
    but the mass its queries hand out: `Slots.probe_mass`. This is the small set of outside queries
    by which StreamMem (arXiv 2508.15717) and others score slots.

    Args:
        layers: [carried ; frame] of every layer; `probe_mass` is filled in.
        state: after the step's frames.
        attention: the session's, see `choose`.

    Raises:
        ValueError: for ids that are no text of this model, or no room behind the stream.
    """
    token_ids = memory.probe(model)
    if token_ids is None:
        return 0
    _require_text(type(memory).__name__, token_ids, model.spec.vocab)
    _require_room(memory, state, token_ids.shape[1], max_tokens)
    token_ids = sent(token_ids, model.device).expand(layers[0].keys.shape[0], -1)
    positions = model.text_positions(state.cursor, *token_ids.shape)
    text = FrameTokens(model.embed(token_ids), state.origin.angles(positions))
    backend = choose(attention, needs_mass=True, place=place_of(model))

    def look(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        slots = layers[layer]
        keys = readable_keys(slots, lambda k, d: model.rotate(k, d, max_tokens))
        output, mass, _ = attend(
            query,
            torch.cat([keys, key], 2),
            torch.cat([slots.values, value], 2),
            backend=backend,
            scale=scale,
            visibility=Visibility(valid=_and_own(slots.valid, key)),
            needs_mass=True,
        )
        assert mass is not None  # asked for
        # A view would hold the storage of the text's own columns for as long as it is kept.
        slots.probe_mass = mass[..., : slots.num_slots].clone()
        return output

    model.step(text, look, max_tokens, dict(state.recurrent))
    return step_flops(
        model.spec,
        batch=token_ids.shape[0],
        new_tokens=token_ids.shape[1],
        context_tokens=[slots.num_slots for slots in layers],
        extra_products=backend.extra_products(True, (), model.spec.head_dim),
    )


def _and_own(valid: Tensor | None, key: Tensor) -> Tensor | None:
    """`valid` with the text's own keys behind it."""
    if valid is None:
        return None
    return torch.cat([valid, valid.new_ones(*valid.shape[:2], key.shape[2])], -1)


def _require_text(name: str, token_ids: Tensor, vocab: int) -> None:
    shape, dtype = tuple(token_ids.shape), token_ids.dtype
    single = len(shape) == 2 and shape[0] == 1 and shape[1] > 0
    if not single or token_ids.is_floating_point() or dtype == torch.bool:
        raise ValueError(
            f"{name}: the probe must be integer ids [1, tokens] of at least one token, got shape "
            f"{shape} of {dtype}"
        )
    low, high = int(token_ids.min()), int(token_ids.max())
    if low < 0 or high >= vocab:
        raise ValueError(
            f"{name}: the probe has ids {low}..{high}, the model knows 0..{vocab - 1}: take the "
            "ids from the model's own tokenizer"
        )


def _require_room(
    memory: CrossFrameMemory, state: StreamState, text_tokens: int, planned: int
) -> None:
    seen, reach = state.cursor.tokens, memory.reach(state.largest_frame)
    if reach is not None:
        seen = min(seen, reach + state.largest_frame)
    check_room(seen + text_tokens, planned, f"the stream and {type(memory).__name__}'s probe")
