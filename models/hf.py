"""The one seam to transformers: decoders run with our attention, and nothing stays on the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Cache, PreTrainedModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from ..framework import DecoderSpec, FrameTokens, VideoModel
from ..framework.model import Generated, LayerAttention, Reading, RecurrentState
from ..framework.transfer import sent
from .cache_layers import PassingLayer, ReadingLayer, cache_argument
from .generation import GREEDY, cut_at_ends, require_one_by_one, require_together
from .hybrid import DELTA_SIZES, LINEAR, HybridLayers, recurrent_spec
from .loans import NAME, Changes, FirstLogits, lender_of, running_attention
from .rotary import rotated, rotation_of


class HFDecoder(VideoModel):
    """A `VideoModel` around a loaded transformers model with a causal text decoder.

    Args:
        model: has `generate` and the LM head (`...ForCausalLM`, `...ForConditionalGeneration`).
        decoder: its text decoder, without the LM head.

    Raises:
        ValueError: if the decoder needs something this seam does not do, naming it.
    """

    def __init__(self, model: PreTrainedModel, decoder: nn.Module) -> None:
        # transformers adds methods to its models at run time, past what type checkers see.
        self.hf_model: Any = model
        self.decoder: Any = decoder
        self.config: Any = decoder.config
        _require_supported(self.config, decoder)
        AttentionInterface.register(NAME, _attention)
        self._spec = spec_of(self.config)
        self.scaled_by_length = self.decoder.rotary_emb.rope_type == "dynamic"
        self._planned: dict[tuple[int, torch.device], nn.Module] = {}

    @property
    def spec(self) -> DecoderSpec:
        return self._spec

    @property
    def device(self) -> torch.device:
        return self.decoder.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.decoder.get_input_embeddings().weight.dtype

    @property
    def trained_tokens(self) -> int:
        return self.config.max_position_embeddings

    def embed(self, token_ids: Tensor) -> Tensor:
        return self.decoder.get_input_embeddings()(token_ids.to(self.device))

    def step(
        self,
        frame: FrameTokens,
        attention: LayerAttention,
        max_tokens: int,
        recurrent: RecurrentState | None = None,
    ) -> Tensor:
        inputs: dict[str, Any] = {
            "inputs_embeds": sent(frame.embeds, self.device).to(self.dtype),
            "position_ids": self._position_ids(frame.positions),
            "use_cache": False,
            **self.decoder_inputs(frame),
        }
        hybrid = self._hybrid(recurrent or {})
        if hybrid is not None:
            passing = [PassingLayer() for _ in range(self.spec.num_layers)]
            inputs |= {"use_cache": True, cache_argument(): Cache(layers=hybrid.among(passing))}
        out: Any = lender_of(self.decoder).run(
            self.decoder,
            attention if hybrid is None else hybrid.numbered(attention),
            Changes(self._rotary(max_tokens)),
            lambda: self.decoder(**inputs),
        )
        if hybrid is not None and recurrent is not None:
            recurrent.update(hybrid.state)
        return out.last_hidden_state

    def _hybrid(self, state: Mapping[str, Tensor]) -> HybridLayers | None:
        """The layers without KV as a step finds them; None where all layers have it."""
        spec = self.spec.recurrent
        return None if spec is None else HybridLayers(spec, self.spec.attention_layers, state)

    def decoder_inputs(self, frame: FrameTokens) -> Mapping[str, Any]:
        """Further keyword arguments of the decoder for one step; none by default."""
        del frame
        return {}

    def logits(self, hidden: Tensor) -> Tensor:
        return self.hf_model.get_output_embeddings()(hidden)

    def rotate(self, keys: Tensor, delta: Tensor, max_tokens: int) -> Tensor:
        flat = delta.flatten(1, 2) if len(delta) > 1 else delta[0].flatten(0, 1)
        wide = torch.float64 if keys.dtype == torch.float64 else torch.float32
        rotary: Any = self._rotary(max_tokens)
        cos, sin = rotary(keys.new_empty(0, dtype=wide), flat.to(keys.device))
        # The scaling is in the stored keys already.
        shape = (*keys.shape[:-1], cos.shape[-1])
        cos, sin = (x.view(shape) / rotary.attention_scaling for x in (cos, sin))
        return rotated(rotation_of(self.decoder), keys.to(wide), cos, sin).to(keys.dtype)

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
        require_one_by_one(generation)
        require_together(positions, self.hf_model.generation_config, generation)
        layers = [ReadingLayer(reading) for _ in range(self.spec.num_layers)]
        hybrid = self._hybrid(recurrent or {})
        cache = Cache(layers=[*layers] if hybrid is None else hybrid.among(layers))
        first, count = FirstLogits(), token_ids.shape[1]

        def attention(
            layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
        ) -> Tensor:
            layers[layer].require_own(key)
            return reading(layer, query, key, value, scale)

        ids: Any = lender_of(self.decoder).run(
            self.decoder,
            attention if hybrid is None else hybrid.numbered(attention),
            Changes(self._rotary(max_tokens), self.hf_model.get_output_embeddings(), first),
            lambda: self.hf_model.generate(
                input_ids=token_ids,
                attention_mask=token_ids.new_ones(len(token_ids), reading.num_read + count),
                position_ids=self._position_ids(positions),
                max_new_tokens=max_new_tokens,
                use_cache=True,
                **{cache_argument(): cache},
                **(generation if "generation_config" in generation else GREEDY | generation),
            ),
        )
        sequence = ids if isinstance(ids, Tensor) else ids.sequences
        assert first.seen is not None  # generate has passed the question
        new = [sequence[0, count:]]
        if len(token_ids) > 1:  # those that ended earlier are filled up
            new = cut_at_ends(sequence[:, count:], self.hf_model.generation_config, generation)
        return [Generated(*each) for each in zip(new, first.seen, strict=True)]

    def _position_ids(self, positions: Tensor) -> Tensor:
        on_device = sent(positions, self.device)
        return on_device[0] if len(on_device) == 1 else on_device

    def _rotary(self, max_tokens: int) -> nn.Module:
        """The decoder's rotary embedding; of dynamic NTK, one frozen at the planned length.

        Left alone, transformers would change the base whenever a stream outgrows the trained
        range, and keys of one session would be rotated by different bases.
        """
        if not self.scaled_by_length:
            return self.decoder.rotary_emb
        key = (max_tokens, self.device)
        if key not in self._planned:
            self._planned[key] = self._frozen_rotary(max_tokens)
        return self._planned[key]

    def _frozen_rotary(self, max_tokens: int) -> nn.Module:
        compute: Any = ROPE_INIT_FUNCTIONS["dynamic"]
        # A tensor beyond the trained range, as the stock forward has it: that rounds the base.
        beyond = max_tokens > self.trained_tokens
        length = torch.tensor(max_tokens, device=self.device) if beyond else None
        rotary: Any = type(self.decoder.rotary_emb)(self.config).to(self.device)
        rotary.inv_freq, rotary.attention_scaling = compute(
            self.config, self.device, seq_len=length
        )
        rotary.rope_type = "default"
        return rotary


def spec_of(config: Any) -> DecoderSpec:
    """Sizes of a decoder from its transformers text configuration."""
    heads, recurrent = config.num_attention_heads, recurrent_spec(config)
    dense = config.to_dict().get("first_k_dense_replace") or 0
    return DecoderSpec(
        num_layers=config.num_hidden_layers - (len(recurrent.layers) if recurrent else 0),
        hidden=config.hidden_size,
        intermediate=_mlp_width(config.to_dict()),
        num_query_heads=heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.to_dict().get("head_dim") or config.hidden_size // heads,
        vocab=config.vocab_size,
        gated=config.to_dict().keys() >= set(DELTA_SIZES),
        recurrent=recurrent,
        dense_layers=dense,
        dense_intermediate=config.intermediate_size if dense else 0,
    )


def _mlp_width(fields: Mapping[str, Any]) -> int:
    """Of the MLP; of experts, of all that a token passes."""
    if not fields.get("num_experts_per_tok"):
        return fields["intermediate_size"]
    shared = fields.get("shared_expert_intermediate_size") or 0
    count = fields["num_experts_per_tok"] + (fields.get("n_shared_experts") or 0)
    return count * fields["moe_intermediate_size"] + shared


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in every layer; hands over to the running step."""
    del attention_mask
    for name in ("sliding_window", "softcap", "s_aux"):
        if kwargs.get(name) is not None:
            raise ValueError(
                f"{type(module).__name__} asks for {name}={kwargs[name]}; cross-frame memories "
                "need plain full attention in every layer"
            )
    layer: Any = module.layer_idx
    output = running_attention()(layer, query, key, value, scaling)
    return output.transpose(1, 2).contiguous(), None


def _require_supported(config: Any, decoder: nn.Module) -> None:
    sizes, family = config.to_dict(), config.model_type
    width = "moe_intermediate_size" if sizes.get("num_experts_per_tok") else "intermediate_size"
    needed = ("num_attention_heads", "num_key_value_heads", width)
    missing = [name for name in needed if name not in sizes]
    missing += [name for name in ("rotary_emb",) if name not in dict(decoder.named_children())]
    if missing:
        raise ValueError(
            f"{family} is not a decoder like Qwen2 or Llama, with grouped-query attention and one "
            f"rotary embedding: it lacks {missing}"
        )
    layers = set(sizes.get("layer_types") or ["full_attention"])
    if "full_attention" not in layers or layers - {"full_attention", LINEAR}:
        raise ValueError(
            f"{family} has layers of type {sorted(layers)}; cross-frame memories need "
            "full_attention in every layer, or Gated DeltaNet in some of them as in Qwen3.5"
        )
    if LINEAR in layers and not sizes.keys() >= set(DELTA_SIZES):
        raise ValueError(
            f"{family} has linear attention that is no Gated DeltaNet as in Qwen3.5: it lacks "
            f"{sorted(set(DELTA_SIZES) - sizes.keys())}"
        )
    if (sizes.get("rope_parameters") or {}).get("rope_type") == "longrope":
        raise ValueError(
            f"{family} uses longrope scaling, which cannot be fixed for a whole session"
        )
    for name in ("logit_scale", "logits_scaling", "final_logit_softcapping"):
        if sizes.get(name) not in (None, 1):
            raise ValueError(
                f"{family} changes its logits by {name}={sizes[name]} behind the LM head, which is "
                "not supported"
            )
