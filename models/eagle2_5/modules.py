"""Eagle2.5 as a native transformers model: SigLIP tower, pixel shuffle, connector, Qwen2.

Transformers 5 has no Eagle2.5, and the checkpoint's own code, which breaks on it, is never run.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn
from transformers import (
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

# The 8B, where no config.json says otherwise; the smallest vocabulary that holds Eagle's tokens.
VISION_8B: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 448,
    "patch_size": 14,
}
TEXT_8B: dict[str, Any] = {
    "vocab_size": 151674,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "eos_token_id": 151645,
    "pad_token_id": 151643,
}
# Written into checkpoints by the software that trained them; says nothing about the model.
LEFT_OUT = ("auto_map", "_attn_implementation", "_attn_implementation_autoset", "_commit_hash")
# Pixels of frames that pass the vision tower together, which bounds its memory: 8 frames of the
# released size, and as many more as they are smaller.
VISION_PIXELS = 8 * 448 * 448

# Type checkers cannot follow how transformers declares attributes of its classes.
_Config: Any = PreTrainedConfig
_Model: Any = PreTrainedModel


class Eagle2_5Config(_Config):
    """Eagle2.5's configuration, in the fields of the official config.json.

    Args:
        vision_config: of the SigLIP tower, without pooling head; default is the 8B's.
        text_config: of Qwen2; default is the 8B's.
        image_token_index: the token that stands for a visual token in the prompt.
        downsample_ratio: side of the grid of visual tokens over that of the patches.
        force_image_size: side of a tile in pixels.
        select_layer: -1, the tower's output after its last norm.
        use_pixel_shuffle, mlp_connector_layers: True and 2, as is the connector.

    Raises:
        ValueError: for a tower, decoder, connector or sizes this module does not build.
    """

    model_type = "eagle_2_5_vl"
    sub_configs: ClassVar = {"vision_config": SiglipVisionConfig, "text_config": Qwen2Config}

    vision_config: Any = None
    text_config: Any = None
    image_token_index: int = 151667
    downsample_ratio: float = 0.5
    force_image_size: int = 448
    select_layer: int = -1
    use_pixel_shuffle: bool = True
    mlp_connector_layers: int = 2
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        vision, text = self.vision_config or VISION_8B, self.text_config or TEXT_8B
        self.vision_config = _part(SiglipVisionConfig, vision, vision_use_head=False)
        # Training switches the cache off; an answer wants it.
        self.text_config = _part(Qwen2Config, text, use_cache=True)
        self.tie_word_embeddings = self.text_config.tie_word_embeddings
        self._require_known()
        super().__post_init__(**{k: v for k, v in kwargs.items() if k not in LEFT_OUT})

    @property
    def merge(self) -> int:
        """Patches along each side of a visual token."""
        return round(1 / self.downsample_ratio)

    @property
    def tokens_per_frame(self) -> int:
        """Visual tokens of one tile, 256 in the 8B."""
        return (self.vision_config.image_size // self.vision_config.patch_size // self.merge) ** 2

    def _require_known(self) -> None:
        _require("select_layer", self.select_layer, -1)
        _require("use_pixel_shuffle", self.use_pixel_shuffle, True)
        _require("mlp_connector_layers", self.mlp_connector_layers, 2)
        size, patch = self.vision_config.image_size, self.vision_config.patch_size
        if self.force_image_size != size or size % (patch * self.merge):
            raise ValueError(
                f"tiles of {self.force_image_size} pixels do not fit a vision tower of image_size="
                f"{size}, patch_size={patch} and downsample_ratio={self.downsample_ratio}"
            )


def _part(family: type[PreTrainedConfig], given: Any, **fixed: Any) -> Any:
    """A part's configuration, from a config.json's dict or ready made."""
    fields = given.to_dict() if isinstance(given, PreTrainedConfig) else dict(given)
    _require("model_type", fields.pop("model_type", family.model_type), family.model_type)
    return family(**{k: v for k, v in fields.items() if k not in LEFT_OUT} | fixed)


def _require(name: str, given: Any, known: Any) -> None:
    if given != known:
        raise ValueError(f"Eagle2.5 with {name}={given!r} is not supported; the 8B has {known!r}")


class Eagle2_5ForConditionalGeneration(_Model, GenerationMixin):
    """Frames and text in, logits out; new tokens through `generate`.

    Example:
        model = Eagle2_5ForConditionalGeneration.from_pretrained(folder)  # saved by itself
        model(**processor(frames, "What happens?")).logits                # [1, tokens, vocab]
    """

    config_class = Eagle2_5Config
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"vision_model\.head\."]
    _no_split_modules: ClassVar[list[str]] = ["SiglipEncoderLayer", "Qwen2DecoderLayer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: Eagle2_5Config) -> None:
        super().__init__(config)
        hidden = config.text_config.hidden_size
        merged = config.vision_config.hidden_size * config.merge**2
        self.vision_model = SiglipVisionModel(config.vision_config)
        self.mlp1 = nn.Sequential(
            nn.LayerNorm(merged), nn.Linear(merged, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )
        self.language_model = Qwen2ForCausalLM(config.text_config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.lm_head

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """[frames, tokens_per_frame, hidden] visual tokens of [frames, 3, size, size] pixels."""
        tower, merge = self.vision_model, self.config.merge
        together = max(1, VISION_PIXELS // pixel_values[0, 0].numel())
        parts = pixel_values.to(tower.dtype).split(together)
        patches = (tower(part).last_hidden_state for part in parts)
        return torch.cat([self.mlp1(pixel_shuffle(part, merge)) for part in patches])

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Qwen2's output over the prompt.

        Args:
            input_ids: [B, tokens], `image_token_index` where a visual token goes.
            pixel_values: [frames, 3, size, size], frames in the order of the prompt.
            inputs_embeds: [B, tokens, hidden] instead of both.
            kwargs: of `Qwen2ForCausalLM.forward`.

        Raises:
            ValueError: if the prompt has room for more or fewer visual tokens than the frames give.
        """
        if inputs_embeds is None and input_ids is not None:
            inputs_embeds = self._embedded(input_ids, pixel_values)
        return self.language_model(inputs_embeds=inputs_embeds, **kwargs)

    def _embedded(self, input_ids: Tensor, pixel_values: Tensor | None) -> Tensor:
        embeds = self.get_input_embeddings()(input_ids)
        if pixel_values is None:
            return embeds
        features = self.get_image_features(pixel_values).to(embeds).flatten(0, 1)
        places = input_ids == self.config.image_token_index
        if not places.is_meta and (room := int(places.sum())) != len(features):
            raise ValueError(f"the prompt has {room} image tokens, the frames give {len(features)}")
        return embeds.masked_scatter(places[..., None], features)


def pixel_shuffle(patches: Tensor, merge: int) -> Tensor:
    """[n, side², channels] patches as [n, (side / merge)², merge² · channels], row by row.

    out[i, j, (merge·a + b)·channels + c] = in[merge·i + a, merge·j + b, c]
    """
    rows = round(patches.shape[1] ** 0.5) // merge
    return rearrange(patches, "n (i a j b) c -> n (i j) (a b c)", i=rows, j=rows, a=merge, b=merge)
