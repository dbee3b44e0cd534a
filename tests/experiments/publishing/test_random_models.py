"""Random models have the sizes of the paper's, whatever their vocabulary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from crossframe.experiments.publishing.random_models import (
    VOCAB,
    decoder_config,
    random_decoder,
    random_internvl3,
)
from crossframe.models.hf import spec_of
from crossframe.models.paper_models import paper_specs

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ("InternVL3-1B", "InternVL3-2B", "InternVL3-8B", "Qwen3-VL-8B"))
def test_a_decoder_has_the_sizes_of_the_papers_model(name: str) -> None:
    expected = replace(paper_specs(name)[0], vocab=VOCAB)
    assert spec_of(decoder_config(name)) == expected
    assert spec_of(decoder_config(name, 3)) == replace(expected, num_layers=3)


def test_a_model_is_made_where_and_as_it_is_asked_for() -> None:
    model = random_decoder("InternVL3-1B", 1, torch.device("meta"), torch.bfloat16)
    assert (model.device.type, model.dtype, model.spec.num_layers) == ("meta", torch.bfloat16, 1)


def test_an_internvl3_sees_frames_of_259_tokens() -> None:
    model: Any = random_internvl3("InternVL3-1B", 1, torch.device("meta"), torch.float32)
    assert model.hf_model.config.image_seq_length + 3 == 259
    assert model.spec == spec_of(decoder_config("InternVL3-1B", 1))
    assert len(model.hf_model.model.vision_tower.encoder.layer) == 1


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no model 'InternVL3-3B'; choose one of"):
        decoder_config("InternVL3-3B")
    with pytest.raises(ValueError, match="layers must be at least 1, got 0: None takes all of Int"):
        decoder_config("InternVL3-1B", 0)
