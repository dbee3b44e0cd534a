"""Hybrid decoders: layers of Gated DeltaNet between those of full attention, as in Qwen3.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin, LinearAttentionLayer

from ..framework.flops import RecurrentSpec
from ..framework.model import RECURRENT, LayerAttention, RecurrentState

LINEAR = "linear_attention"
# Fields of a configuration, in the order of `RecurrentSpec`.
DELTA_SIZES = (
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_conv_kernel_dim",
)


def recurrent_spec(config: Any) -> RecurrentSpec | None:
    """Sizes of the layers without KV from a transformers text configuration; None if there are
    none."""
    fields = config.to_dict()
    kinds = fields.get("layer_types") or []
    layers = tuple(number for number, kind in enumerate(kinds) if kind == LINEAR)
    return RecurrentSpec(layers, *(fields[name] for name in DELTA_SIZES)) if layers else None


class HybridLayers:
    """The layers without KV of one step or one answer, in transformers' own cache layers.

    The stock code writes states in place; those here are copies, so what was given stays as it is.

    Args:
        attention: numbers in the decoder of the layers with KV.
        given: the state they begin with, see `RecurrentState`; none at the start of a stream.
    """

    def __init__(
        self, spec: RecurrentSpec, attention: Sequence[int], given: Mapping[str, Tensor]
    ) -> None:
        self._attention = attention
        self._layers = {number: LinearAttentionLayer() for number in spec.layers}
        for number, layer in self._layers.items() if given else ():
            convolution, matrices = (given[f"{number}.{name}"] for name in RECURRENT)
            layer.update_conv_state(convolution)
            layer.update_recurrent_state(matrices)

    def among(self, others: Sequence[CacheLayerMixin]) -> list[Any]:
        """All layers of the decoder in order; `others` are those with KV."""
        layers = {**self._layers, **dict(zip(self._attention, others, strict=True))}
        return [layers[number] for number in sorted(layers)]

    def numbered(self, attention: LayerAttention) -> LayerAttention:
        """The same attention, called with numbers in the decoder."""
        places = {number: place for place, number in enumerate(self._attention)}

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
            return attention(places[layer], query, key, value, scale)

        return attend

    @property
    def state(self) -> RecurrentState:
        """What they carry now."""
        found: RecurrentState = {}
        for number, layer in self._layers.items():
            for name, states in zip(
                RECURRENT, (layer.conv_states, layer.recurrent_states), strict=True
            ):
                value = states[0]
                assert value is not None  # every forward pass sets it
                found[f"{number}.{name}"] = value
        return found
