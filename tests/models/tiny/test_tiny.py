"""The tiny models really work: tokenizer, processor, weights, and a checkpoint on disk."""

import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    InternVLForConditionalGeneration,
)

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models.internvl3.original import IMAGE_TOKENS
from crossframe.models.tiny import tiny_internvl, tiny_processor, tiny_qwen2, tiny_tokenizer
from crossframe.models.tiny.qwen2 import TURN_TOKENS

TOKENIZER = tiny_tokenizer()
VIDEO = np.random.default_rng(0).integers(0, 256, (2, 90, 120, 3), dtype=np.uint8)
PROMPT = [
    {
        "role": "user",
        "content": [{"type": "video"}, {"type": "text", "text": "What happens in this video?"}],
    }
]


def pieces(text: str) -> list[str]:
    return [str(TOKENIZER.decode([token])) for token in TOKENIZER(text).input_ids]


def video_inputs(processor, video=VIDEO) -> dict[str, torch.Tensor]:
    text = processor.apply_chat_template(PROMPT, tokenize=False, add_generation_prompt=True)
    return dict(processor(text=text, videos=[video], return_tensors="pt"))


def logits(model, inputs) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


@given(st.text())
def test_decoding_gives_the_text_back(text):
    token_ids = TOKENIZER(text).input_ids
    assert TOKENIZER.decode(token_ids) == unicodedata.normalize("NFC", text)
    assert all(0 <= token < len(TOKENIZER) for token in token_ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Frame1: ", ["Frame", "1", ":", " "]),
        ("\nFrame12: <img>", ["\n", "Frame", "1", "2", ":", " ", "<img>"]),
        (": Frame 1", [":", " Frame", " ", "1"]),
        ("user\nFrame", ["user", "\n", "Frame"]),
        ("yes\n\nAnswer: ", ["yes", "\n\n", "Answer", ":", " "]),
        ("Options:\n<", ["Options", ":\n", "<"]),
        ("yes?\n\n", ["yes", "?\n\n"]),
        ("It's", ["It", "'s"]),
        ("yes<|im_end|>\n<|im_start|>", ["yes", "<|im_end|>", "\n", "<|im_start|>"]),
    ],
)
def test_text_splits_as_in_qwen2(text, expected):
    assert pieces(text) == expected


def test_a_cut_in_the_wrong_place_gives_other_tokens():
    assert TOKENIZER("?\n\n").input_ids != TOKENIZER("?\n").input_ids + TOKENIZER("\n").input_ids


def test_special_tokens_are_single_ids_after_the_learnt_pieces():
    special = [*TURN_TOKENS, *IMAGE_TOKENS.values()]
    ids = TOKENIZER("".join(special)).input_ids
    assert ids == list(range(len(TOKENIZER) - len(special), len(TOKENIZER)))
    assert TOKENIZER.eos_token == "<|im_end|>"
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == ""


def test_the_tokenizer_is_the_same_in_every_process(tmp_path):
    code = (
        "import sys; from crossframe.models.tiny import tiny_tokenizer; "
        "tiny_tokenizer().save_pretrained(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    TOKENIZER.save_pretrained(tmp_path / "here")
    file = "tokenizer.json"
    assert (tmp_path / file).read_bytes() == (tmp_path / "here" / file).read_bytes()


def test_a_saved_tokenizer_keeps_everything(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is type(TOKENIZER)
    assert loaded.get_vocab() == TOKENIZER.get_vocab()
    for name, token in IMAGE_TOKENS.items():
        assert getattr(loaded, name) == token
        assert getattr(loaded, f"{name}_id") == TOKENIZER.convert_tokens_to_ids(token)
    assert loaded.eos_token_id == TOKENIZER.eos_token_id
    assert loaded.pad_token_id == TOKENIZER.pad_token_id
    text = "<|im_start|>user\nFrame1: <img></img>\nIt's 12 o'clock — 早上好<|im_end|>\n"
    assert loaded(text).input_ids == TOKENIZER(text).input_ids


def test_the_prompt_is_internvl3s():
    turns = [
        {"role": "system", "content": "Be brief."},
        PROMPT[0],
        {"role": "assistant", "content": [{"type": "text", "text": "A ball."}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where?"}]},
    ]
    assert tiny_processor().apply_chat_template(turns, tokenize=False) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<video>\nWhat happens in this video?<|im_end|>\n"
        "<|im_start|>assistant\nA ball.<|im_end|>\n"
        "<|im_start|>user\n<IMG_CONTEXT>\nWhere?<|im_end|>\n"
    )


@pytest.mark.parametrize(("image_size", "per_frame"), [(28, 1), (56, 4), (112, 16)])
def test_the_processor_writes_the_frames_into_the_prompt(image_size, per_frame):
    processor = tiny_processor(image_size=image_size)
    inputs = video_inputs(processor)
    frame = "<img>" + "<IMG_CONTEXT>" * per_frame + "</img>\n"
    assert processor.decode(inputs["input_ids"][0]) == (
        f"<|im_start|>user\nFrame1: {frame}Frame2: {frame}What happens in this video?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert inputs["pixel_values"].shape == (2, 3, image_size, image_size)
    assert inputs["pixel_values"].dtype == torch.float32


def test_pixel_values_are_normalised_as_imagenets():
    white = np.full((1, 40, 40, 3), 255, dtype=np.uint8)
    pixels = tiny_processor().video_processor([white], return_tensors="pt")["pixel_values_videos"]
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(pixels, expected[:, None, None].expand(1, 1, 3, 56, 56))


def test_an_image_size_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="image_size=50 is not a multiple of 28"):
        tiny_processor(image_size=50)


@pytest.mark.parametrize("image_size", [28, 56, 112])
def test_the_stock_model_reads_the_pixels(image_size):
    model, processor = tiny_internvl(image_size=image_size)
    inputs = video_inputs(processor)
    swapped = video_inputs(processor, VIDEO[::-1].copy())
    assert torch.equal(inputs["input_ids"], swapped["input_ids"])
    first, second = logits(model, inputs), logits(model, swapped)
    assert first.shape == (1, inputs["input_ids"].shape[1], len(processor.tokenizer))
    assert first.isfinite().all()
    assert (first - second)[:, -1].abs().max() > 0.1
    assert torch.equal(first[:, :7], second[:, :7])  # what precedes the first frame's pixels


def test_attention_is_neither_uniform_nor_a_single_peak():
    model, processor = tiny_internvl(dtype=torch.float64)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        outputs = model(**video_inputs(processor), output_attentions=True)
    for weights in outputs.attentions:
        last = weights[0, :, -1]
        entropy = -(last * last.clamp_min(1e-30).log()).sum(-1)
        assert (entropy > 0.3).all()
        assert (entropy < 0.9 * np.log(last.shape[-1])).all()


def test_vision_positions_and_layer_scale_matter():
    model, processor = tiny_internvl()
    tower = model.model.vision_tower
    pixels = video_inputs(processor)["pixel_values"]
    with torch.no_grad():
        before = tower(pixels).last_hidden_state
        tower.embeddings.position_embeddings.zero_()
        without_positions = tower(pixels).last_hidden_state
        tower.encoder.layer[0].lambda_1.zero_()
        without_scale = tower(pixels).last_hidden_state
    assert (before - without_positions).abs().max() > 0.1
    assert (without_positions - without_scale).abs().max() > 0.1


def test_options_reach_the_decoder():
    model, _ = tiny_internvl(
        layers=3,
        hidden=96,
        heads=6,
        kv_heads=1,
        max_position_embeddings=128,
        rope_factor=4.0,
        tie_word_embeddings=True,
    )
    text: Any = model.config.text_config
    assert (text.num_hidden_layers, text.hidden_size) == (3, 96)
    assert (text.num_attention_heads, text.num_key_value_heads) == (6, 1)
    assert text.max_position_embeddings == 128
    assert text.rope_parameters["rope_type"] == "dynamic"
    assert text.rope_parameters["factor"] == 4.0
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_rope_scaling_is_dynamic_for_internvl3_and_can_be_left_out():
    models = tiny_internvl()[0], tiny_internvl(rope_factor=None)[0], tiny_qwen2()
    configs: list[Any] = [model.config.get_text_config() for model in models]
    kinds = [config.rope_parameters["rope_type"] for config in configs]
    assert kinds == ["dynamic", "default", "default"]


def test_the_seed_alone_decides_and_the_global_generator_stays():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = tiny_internvl(seed=5)[0].state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = tiny_internvl(seed=5)[0].state_dict(), tiny_internvl(seed=6)[0].state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_dtype_rounds_the_same_weights(dtype):
    reference = tiny_qwen2(seed=3)
    model = tiny_qwen2(seed=3, dtype=dtype)
    assert model.dtype == dtype
    assert not model.training
    for name, parameter in reference.named_parameters():
        assert torch.equal(parameter.to(dtype), model.get_parameter(name))
    assert all(buffer.dtype == torch.float32 for buffer in model.buffers())  # the rotary table


@pytest.mark.parametrize("tied", [False, True])
def test_a_checkpoint_loads_like_a_downloaded_one(tmp_path, tied):
    options = {"seed": 4, "dtype": torch.float64, "tie_word_embeddings": tied}
    folder = save_tiny_checkpoint(tmp_path, **options)
    model, processor = tiny_internvl(**options)
    loaded = InternVLForConditionalGeneration.from_pretrained(folder).eval()
    inputs = video_inputs(AutoProcessor.from_pretrained(folder))
    assert loaded.dtype == torch.float64
    assert loaded.generation_config.eos_token_id == processor.tokenizer.eos_token_id
    for name, value in video_inputs(processor).items():
        assert torch.equal(inputs[name], value)
    assert torch.equal(logits(model, inputs), logits(loaded, inputs))


def test_a_decoder_checkpoint_loads_and_generates(tmp_path):
    folder = save_tiny_checkpoint(str(tmp_path), "qwen2", layers=1)
    assert isinstance(folder, Path)
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder)
    inputs = AutoTokenizer.from_pretrained(folder)("Describe this video.", return_tensors="pt")
    assert torch.equal(logits(loaded, inputs), logits(tiny_qwen2(layers=1), inputs))
    tokens = loaded.generate(**inputs, max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert tokens.shape[1] == inputs["input_ids"].shape[1] + 3


def test_an_unknown_family_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'llava'; choose one of 'qwen2', 'internvl3', 'eag"):
        save_tiny_checkpoint(tmp_path / "none", "llava")
    assert not (tmp_path / "none").exists()
