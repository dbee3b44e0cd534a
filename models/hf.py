"""The one seam to transformers: decoders run with our attention, and nothing stays on the model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Cache, GenerationMixin, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from ..framework import DecoderSpec, FrameTokens, VideoModel
from ..framework.model import Generated, LayerAttention, Reading
from ..framework.stream.verify import check_generation
from .loans import NAME, Changes, FirstLogits, lender_of, running_attention

GREEDY = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1}


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

    def step(self, frame: FrameTokens, attention: LayerAttention, max_tokens: int) -> Tensor:
        inputs = {
            "inputs_embeds": frame.embeds.to(self.device, self.dtype),
            "position_ids": self._position_ids(frame.positions),
            **self.decoder_inputs(frame),
        }
        out: Any = lender_of(self.decoder).run(
            self.decoder,
            attention,
            Changes(self._rotary(max_tokens)),
            lambda: self.decoder(use_cache=False, **inputs),
        )
        return out.last_hidden_state

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
        if cos.shape[-1] != keys.shape[-1]:
            raise ValueError(
                f"{self.config.model_type} rotates {cos.shape[-1]} of {keys.shape[-1]} "
                "dimensions; memories that move slots need a rotary embedding of whole heads"
            )
        # The scaling is in the stored keys already.
        cos, sin = (x.view(*keys.shape) / rotary.attention_scaling for x in (cos, sin))
        first, second = keys.to(wide).chunk(2, -1)
        turned = torch.cat([-second, first], -1)
        return (keys.to(wide) * cos + turned * sin).to(keys.dtype)

    def generate(
        self,
        token_ids: Tensor,
        positions: Tensor,
        reading: Reading,
        *,
        max_tokens: int,
        max_new_tokens: int,
        **generation: Any,
    ) -> Generated:
        _require_one_by_one(generation)
        layers = [ReadingLayer(reading) for _ in range(self.spec.num_layers)]
        cache, first = Cache(layers=[*layers]), FirstLogits()

        def attention(
            layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
        ) -> Tensor:
            layers[layer].require_own(key)
            return reading(layer, query, key, value, scale)

        ids: Any = lender_of(self.decoder).run(
            self.decoder,
            attention,
            Changes(self._rotary(max_tokens), self.hf_model.get_output_embeddings(), first),
            lambda: self.hf_model.generate(
                input_ids=token_ids,
                attention_mask=token_ids.new_ones(1, reading.num_read + token_ids.shape[1]),
                position_ids=self._position_ids(positions),
                max_new_tokens=max_new_tokens,
                use_cache=True,
                **{cache_argument(): cache},
                **(generation if "generation_config" in generation else GREEDY | generation),
            ),
        )
        sequence = ids if isinstance(ids, Tensor) else ids.sequences
        assert first.seen is not None  # generate has passed the question
        return Generated(sequence[0, token_ids.shape[1] :], first.seen)

    def _position_ids(self, positions: Tensor) -> Tensor:
        on_device = positions.to(self.device)
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


class ReadingLayer(CacheLayerMixin):
    """A cache layer that holds nothing: the attention function joins what the reader picked."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.reading = reading
        self._passing: Tensor | None = None

    def require_own(self, key: Tensor) -> None:
        """Refuse, with a RuntimeError, keys that did not come through this cache just now but by a
        forward pass of somebody else, in a streamer say: its text would join the answer."""
        own, self._passing = self._passing is key, None
        if not own:
            raise RuntimeError(
                "the model was called in the middle of an answer of crossframe, in a streamer or "
                "a stopping rule: call it when ask has returned"
            )

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self._passing = key_states
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return self.reading.num_read + self.reading.num_text

    def get_max_length(self) -> int:
        return -1


def cache_argument() -> str:
    """The name under which the installed transformers' models take a cache: newer ones warn of
    `past_key_values` (5.24), older ones do not know `cache` (5.23)."""
    taken = inspect.signature(vars(GenerationMixin)["prepare_inputs_for_generation"]).parameters
    return "cache" if "cache" in taken else "past_key_values"


def spec_of(config: Any) -> DecoderSpec:
    """Sizes of a decoder from its transformers text configuration."""
    heads = config.num_attention_heads
    return DecoderSpec(
        num_layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        num_query_heads=heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.to_dict().get("head_dim") or config.hidden_size // heads,
        vocab=config.vocab_size,
    )


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
    needed = ("num_attention_heads", "num_key_value_heads", "intermediate_size")
    missing = [name for name in needed if name not in sizes]
    missing += [name for name in ("rotary_emb",) if name not in dict(decoder.named_children())]
    if missing:
        raise ValueError(
            f"{family} is not a decoder like Qwen2 or Llama, with grouped-query attention and one "
            f"rotary embedding: it lacks {missing}"
        )
    layers = set(sizes.get("layer_types") or ["full_attention"])
    if layers != {"full_attention"}:
        raise ValueError(
            f"{family} has layers of type {sorted(layers)}; cross-frame memories need "
            "full_attention in every layer"
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


def _require_one_by_one(generation: Mapping[str, Any]) -> None:
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
