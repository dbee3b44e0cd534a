"""Options of generate are looked at before a model is loaded."""

from typing import Any

import pytest

from crossframe.experiments.evaluation.generation import require_generation


def test_options_that_generate_has_pass() -> None:
    require_generation({})
    require_generation({"do_sample": True, "temperature": 0.5, "top_k": 5, "length_penalty": -1.0})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temprature": 1.0}, "'temprature' is no option of generate; did you mean temperature"),
        ({"zzz": 1}, "'zzz' is no option of generate; see transformers"),
        ({"temperature": "hot"}, "temperature must be a finite number, got 'hot'"),
        ({"temperature": float("nan")}, "temperature must be a finite number, got nan"),
        ({"top_k": True}, "top_k must be a whole number, got True"),
        ({"do_sample": "yes"}, "do_sample must be true or false, got 'yes'"),
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
        ({"num_beams": 4}, "ask decodes one sequence, token by token, got num_beams=4: leave it"),
        (
            {"guidance_scale": 2.0},
            "ask decodes one sequence, token by token, got guidance_scale=2.0",
        ),
    ],
)
def test_others_are_named_with_what_is_meant(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"generation: {said}"):
        require_generation(settings)
