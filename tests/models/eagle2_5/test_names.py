"""Eagle2.5's weights have the official checkpoint's names, shapes and number."""

import torch
from safetensors.torch import load_file

from crossframe.models.eagle2_5.checkpoint import POOLING_HEAD, native_name, official_name
from crossframe.models.eagle2_5.modules import Eagle2_5Config, Eagle2_5ForConditionalGeneration

from .layout import SHARDS, save_official_eagle2_5

VISION, TEXT = "vision_model.vision_model.", "language_model."
Shape = tuple[int, ...]


def linear(name: str, out: int, into: int) -> dict[str, Shape]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def official_table(vocab: int = 151674) -> dict[str, Shape]:
    """Names and shapes of the official 8B, without the pooling head (models.md §2)."""
    table: dict[str, Shape] = {
        f"{VISION}embeddings.patch_embedding.weight": (1152, 3, 14, 14),
        f"{VISION}embeddings.patch_embedding.bias": (1152,),
        f"{VISION}embeddings.position_embedding.weight": (1024, 1152),
        **norm(f"{VISION}post_layernorm", 1152),
        **norm("mlp1.0", 4608),
        **linear("mlp1.1", 3584, 4608),
        **linear("mlp1.3", 3584, 3584),
        f"{TEXT}model.embed_tokens.weight": (vocab, 3584),
        f"{TEXT}model.norm.weight": (3584,),
        f"{TEXT}lm_head.weight": (vocab, 3584),
    }
    for layer in (f"{VISION}encoder.layers.{n}." for n in range(27)):
        table |= norm(layer + "layer_norm1", 1152) | norm(layer + "layer_norm2", 1152)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            table |= linear(f"{layer}self_attn.{part}", 1152, 1152)
        table |= linear(layer + "mlp.fc1", 4304, 1152) | linear(layer + "mlp.fc2", 1152, 4304)
    for layer in (f"{TEXT}model.layers.{n}." for n in range(28)):
        table |= linear(layer + "self_attn.q_proj", 3584, 3584)
        table |= linear(layer + "self_attn.k_proj", 512, 3584)
        table |= linear(layer + "self_attn.v_proj", 512, 3584)
        table[layer + "self_attn.o_proj.weight"] = (3584, 3584)
        table[layer + "mlp.gate_proj.weight"] = table[layer + "mlp.up_proj.weight"] = (18944, 3584)
        table[layer + "mlp.down_proj.weight"] = (3584, 18944)
        table[layer + "input_layernorm.weight"] = (3584,)
        table[layer + "post_attention_layernorm.weight"] = (3584,)
    return table


def test_names_and_shapes_of_the_8b_are_the_official_ones():
    with torch.device("meta"):
        model = Eagle2_5ForConditionalGeneration(Eagle2_5Config())
    weights = {official_name(name): tuple(w.shape) for name, w in model.named_parameters()}
    assert weights == official_table()
    assert model.state_dict().keys() == {native_name(key) for key in weights}
    assert sum(weight.numel() for weight in model.parameters()) == 8_055_524_592
    assert model.config.tokens_per_frame == 256
    assert model.config.text_config.rope_parameters["rope_theta"] == 1e6


def test_a_larger_vocabulary_is_taken_from_the_config():
    text = Eagle2_5Config().text_config.to_dict() | {"vocab_size": 152064}
    with torch.device("meta"):
        model = Eagle2_5ForConditionalGeneration(Eagle2_5Config(text_config=text))
    weights = {official_name(name): tuple(w.shape) for name, w in model.named_parameters()}
    assert weights == official_table(152064)


def test_the_layout_under_test_is_the_official_one(tmp_path):
    official = save_official_eagle2_5(tmp_path, layers=1)
    stored = {name for shard in SHARDS for name in load_file(official / shard)}
    head = {name.removeprefix(POOLING_HEAD) for name in stored if name.startswith(POOLING_HEAD)}
    assert len(head) == 11 and "attention.in_proj_weight" in head
    tiny = {name for name in stored if not name.startswith(POOLING_HEAD)}
    layers = ("vision_model.vision_model.encoder.layers.2", "language_model.model.layers.1")
    inside = {name for name in official_table() if name in tiny or not name.startswith(layers)}
    assert tiny <= inside
