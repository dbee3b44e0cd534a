"""PerceptionLM: frames alone between the chat template's headers, and a tower of timm's."""

from typing import Any

import pytest
from transformers.utils import import_utils

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import PerceptionLM, load_model
from crossframe.models.tiny import tiny_perception_lm, tiny_perception_lm_processor

from ..every import NATIVE
from .stock import processed
from .streams import QUESTION, asked, session_after, video

FAMILY = NATIVE["perception_lm"]


def test_the_prompt_reads_as_the_templates():
    model = FAMILY.model()
    asked(session_after(model, video(2)))
    assert model.processor.decode(model.passed_ids()) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "You are a helpful assistant.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        + 8 * "<|video|>"
        + f"{QUESTION}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize("image_size", [14, 42])
def test_other_tiles_have_the_tokens_that_the_processor_counts(image_size):
    model = FAMILY.adapter(*FAMILY.loaded(image_size=image_size))
    session = session_after(model, video(3))
    rows, columns = model.patch_grid(70, 100)
    assert rows == columns == image_size // 14
    pictures = processed(model, video(3))["input_ids"][0] == model.picture_id
    assert int(session.slots(0).visual[0, 0].sum()) == int(pictures.sum()) == 3 * rows**2


def test_a_processor_that_counts_on_another_pooling_is_refused():
    processor: Any = tiny_perception_lm_processor()
    processor.pooling_ratio = 1
    with pytest.raises(ValueError, match="counts on pooling by 1, the model pools by 2: load the"):
        PerceptionLM(tiny_perception_lm()[0], processor)
    with pytest.raises(ValueError, match=r"image_size=20 is not a multiple of 14; take 14"):
        tiny_perception_lm_processor(image_size=20)


def test_loading_a_tower_without_timm_says_what_to_install(tmp_path, monkeypatch):
    folder = save_tiny_checkpoint(tmp_path, family="perception_lm", layers=1, tower="timm")
    backends: Any = import_utils.BACKENDS_MAPPING
    monkeypatch.setitem(backends, "timm", (lambda: False, backends["timm"][1]))
    with pytest.raises(ValueError, match=r"needs a package .*timm.*: install .* extra `families`"):
        load_model(folder)


def test_another_tower_is_refused():
    with pytest.raises(ValueError, match="tower must be 'clip' or 'timm', got 'resnet'"):
        tiny_perception_lm(tower="resnet")
