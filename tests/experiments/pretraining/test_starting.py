"""What a model begins with: vision or decoder of a checkpoint, and which ones are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.experiments.pretraining.checkpoint import save_trained
from crossframe.experiments.pretraining.families import Trainable, trainable
from crossframe.experiments.pretraining.options import PretrainOptions
from crossframe.experiments.pretraining.parts import decoder_weights
from crossframe.experiments.pretraining.run import train
from crossframe.experiments.pretraining.starting import take_weights

from .shapes import Shapes

COURSE = Shapes(every=2)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Trainable]:
    folder = tmp_path_factory.mktemp("other")
    model = trainable("internvl3", COURSE.words, seed=7)
    save_trained(model, folder)
    return str(folder), model


def options(**changed: Any) -> PretrainOptions:
    given: dict[str, Any] = {"family": "internvl3", "output": Path("nowhere")}
    return PretrainOptions(**{**given, **changed})


def weights(model: Trainable) -> tuple[dict[str, Tensor], set[str]]:
    """All weights by name, and the names of the decoder's."""
    own = {id(weight) for weight in decoder_weights(model)}
    named = dict(model.hf_model.named_parameters())
    copied = {name: weight.detach().clone() for name, weight in named.items()}
    return copied, {name for name, weight in named.items() if id(weight) in own}


@pytest.mark.parametrize("taken", [("vision",), ("decoder",), ("vision", "decoder"), ()])
def test_the_named_parts_are_the_checkpoints_and_no_others(
    other: tuple[str, Trainable], taken: tuple[str, ...]
) -> None:
    folder, source = other
    model = trainable("internvl3", COURSE.words, seed=1)
    before, decoders = weights(model)
    take_weights(model, options(**dict.fromkeys(taken, folder)))
    given, _ = weights(source)
    for name, weight in weights(model)[0].items():
        part = "decoder" if name in decoders else "vision"
        assert torch.equal(weight, (given if part in taken else before)[name]), name
    assert 0 < len(decoders) < len(before)


def test_vision_of_a_checkpoint_stays_as_it_is(
    other: tuple[str, Trainable], tmp_path: Path
) -> None:
    folder, source = other
    chosen = options(
        output=tmp_path, vision=folder, steps=3, max_frames=4, frames_per_step=8, growing=False
    )
    trained = train(chosen, COURSE)
    given, decoders = weights(source)
    same = {
        name for name, weight in weights(trained)[0].items() if torch.equal(weight, given[name])
    }
    assert same >= given.keys() - decoders
    assert "lm_head.weight" not in same
    assert not (tmp_path / "vision.csv").exists()


def test_another_family_is_refused(other: tuple[str, Trainable]) -> None:
    model = trainable("eagle2_5", COURSE.words, seed=1)
    with pytest.raises(ValueError, match=r"of the adapter InternVL3, .* of Eagle2_5: give a check"):
        take_weights(model, options(family="eagle2_5", vision=other[0]))


def test_other_words_are_refused(other: tuple[str, Trainable]) -> None:
    model = trainable("internvl3", [*COURSE.words, "more"], seed=1)
    with pytest.raises(ValueError, match="reads other words than the course has"):
        take_weights(model, options(decoder=other[0]))


def test_other_sizes_are_refused(other: tuple[str, Trainable]) -> None:
    model = trainable("internvl3", COURSE.words, seed=1)
    model.hf_model.get_output_embeddings().weight = torch.nn.Parameter(torch.zeros(3, 96))
    with pytest.raises(ValueError, match=r"weights of other sizes \(lm_head.weight\): give one"):
        take_weights(model, options(decoder=other[0]))
