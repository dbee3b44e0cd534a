"""Law 6 on Qwen3-VL where it differs: the release's layout, and what stock `generate` leaves."""

from typing import Any

import pytest
from torch import Tensor

from crossframe.framework import FullMemory, VideoSession
from crossframe.models.qwen_vl.qwen3_vl import Qwen3VL

from ...every import NATIVE
from ..stock import greedy, processed, require_equal
from ..streams import QUESTION, video


def adapter(count: int, **options: Any) -> Any:
    return NATIVE["qwen3_vl"].model(**options).for_stream(count)


@pytest.mark.parametrize("count", [2, 5])
def test_the_releases_layout_equals_a_forward_without_the_outer_markers(count):
    model, frames = adapter(count, layout="release"), video(count)
    session = VideoSession(model, FullMemory())
    session.push(frames, [number / 2.0 for number in range(count)])
    inputs = processed(model, frames, fps=2.0)
    ids = inputs["input_ids"]
    for name in ("input_ids", "mm_token_type_ids", "attention_mask"):
        inputs[name] = without_outer_markers(model, ids, inputs[name])
    require_equal(session, model, inputs)


def without_outer_markers(model: Qwen3VL, ids: Tensor, values: Tensor) -> Tensor:
    processor: Any = model.prompt.processor
    first = (ids[0] == processor.vision_start_token_id).nonzero()[0].item()
    last = (ids[0] == processor.vision_end_token_id).nonzero()[-1].item()
    kept = [place for place in range(ids.shape[1]) if place not in (first, last)]
    assert len(kept) == ids.shape[1] - 2
    return values[:, kept]


def test_the_stock_model_may_have_answered_before():
    model, frames = adapter(5), video(5)
    inputs = processed(model, frames, fps=2.0)
    expected = greedy(model.hf_model, 20, **inputs)
    assert model.hf_model.model.rope_deltas is not None  # what stock `generate` leaves behind
    session = VideoSession(model, FullMemory())
    session.push(frames, [number / 2.0 for number in range(5)])
    for _ in range(2):
        answer = session.ask(QUESTION, max_new_tokens=20, min_new_tokens=20)
        assert answer.token_ids.tolist() == expected
    assert greedy(model.hf_model, 20, **inputs) == expected
