"""Declared sizes against files, before anything of that size is made."""

import json
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import load_model

from ..damage import edit_config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_checkpoint(tmp_path, layers=1, hidden=32)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("layers", [1000, 10**9])
def test_more_layers_than_tensors_are_refused_before_one_is_built(
    folder: Path, layers: int
) -> None:
    edit_config(folder, "text_config", num_hidden_layers=layers)
    message = rf"config.json has text_config.num_hidden_layers={layers}, but .* \d+ tensors in all"
    with pytest.raises(ValueError, match=message):
        load_model(folder)


NO_SIZE = "config.json has vision_config.patch_size={!r}, which is no size; download"


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        *(
            (
                "text_config",
                {size: 2**28},
                r"config.json describes \d{10,} weights, but .* hold \d+;",
            )
            for size in ("hidden_size", "vocab_size", "intermediate_size")
        ),
        *(
            ("vision_config", {"patch_size": [14, value]}, NO_SIZE.format(value))
            for value in (0, -1, 2.5, True, "many", 2**70)
        ),
        ("vision_config", {"num_attention_heads": 3}, "num_attention_heads=3, .* divide 32; downl"),
    ],
)
def test_sizes_that_cannot_be_are_named(
    folder: Path, part: str, change: dict[str, Any], message: str
) -> None:
    edit_config(folder, part, **change)
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_an_index_without_files_is_named(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    for content, said in (
        ({}, "weight_map=None"),
        ({"weight_map": {"lm_head": 3}}, "'lm_head']=3"),
    ):
        index.write_text(json.dumps(content), "utf-8")
        with pytest.raises(ValueError, match=rf"{index} has .*{said}, .*; download it anew"):
            load_model(folder)
