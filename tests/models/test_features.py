"""Features of many frames at once are what `encode` puts at the visual tokens of each."""

from typing import Any

import pytest
import torch

from crossframe.framework import Cursor

from ..every import FAMILIES
from .streams import video

TAUGHT = {name: FAMILIES[name] for name in ("internvl3", "qwen3_vl", "eagle2_5")}


@torch.no_grad()
@pytest.mark.parametrize("family", TAUGHT.values(), ids=TAUGHT)
def test_features_are_what_encode_puts_at_visual_tokens(family: Any) -> None:
    model = family.model().for_stream(6)
    frames = torch.as_tensor(video(6))
    features = model.features(frames)
    cursor, per = Cursor(40, 3, 40), model.frames_per_patch
    for number, patch in enumerate(frames.split(per)):
        tokens = model.encode(patch, [None] * per, cursor)
        found = {"embeds": tokens.embeds, **tokens.extras}
        assert set(found) == set(features)
        for name, values in found.items():
            expected = values[tokens.visual]
            torch.testing.assert_close(features[name][number], expected, rtol=1e-5, atol=1e-5)


def test_half_a_pair_has_no_features() -> None:
    with pytest.raises(ValueError, match="features are of whole pairs, got 3 frames: add the last"):
        FAMILIES["qwen3_vl"].model().features(torch.as_tensor(video(3)))
