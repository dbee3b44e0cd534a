"""NaN and Inf that the model itself computed: told in the answer, raised by `check`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crossframe.framework import FrameTokens, FullMemory, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.finite import is_finite, still_finite
from crossframe.methods import StateKVMemory

from ..streams import frames

QUESTION = [3, 1, 4]


def frame(start: int) -> FrameTokens:
    return frames(3, start=start, seed=start)[0]


def opened(memory=None) -> tuple[VideoSession, ReferenceDecoder]:
    model = ReferenceDecoder()
    return VideoSession(model, memory or FullMemory()), model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("memory", [FullMemory(), StateKVMemory(4)], ids=repr)
def test_a_step_that_overflowed_is_told_in_every_later_answer(memory, value) -> None:
    session, model = opened(memory)
    session.push(frame(0))
    sound = session.fork()
    assert session.ask(QUESTION, max_new_tokens=2).finite
    session.check()
    whole = model.weights["0.down"].clone()
    model.weights["0.down"][3] = value  # for one frame only
    session.push(frame(3))
    model.weights["0.down"] = whole
    session.push(frame(6))
    assert not session.ask(QUESTION, max_new_tokens=2).finite
    with pytest.raises(ValueError, match=r"computed NaN or Inf.* dtype='bfloat16' or 'float32'"):
        session.check()
    assert not session.fork().ask(QUESTION, max_new_tokens=2).finite
    sound.push(frame(3))
    assert sound.ask(QUESTION, max_new_tokens=2).finite
    sound.check()


@pytest.mark.parametrize("when", ["frame", "question"])
def test_an_infinite_key_is_told_although_nothing_attends_to_it(when: str) -> None:
    class Far(ReferenceDecoder):
        """The last token's key points infinitely far away from every query."""

        broken = False

        def rotate(self, keys, delta, max_tokens):
            turned = super().rotate(keys, delta, max_tokens)
            if keys.shape[1] == 4:  # queries
                turned[..., 0] = turned[..., 0].abs()
            elif self.broken:
                turned[:, :, -1, 0] = float("-inf")
            return turned

    session = VideoSession(model := Far(), FullMemory())
    session.push(frame(0))
    model.broken = when == "frame"
    session.push(frame(3))
    model.broken = when == "question"
    answer = session.ask(QUESTION, max_new_tokens=1)
    assert answer.first_logits.isfinite().all()
    assert not answer.finite


@pytest.mark.parametrize("name", ["0.query", "1.query", "0.key", "1.value"])
def test_an_overflow_that_attention_swallows_is_told(name: str) -> None:
    session, model = opened(StateKVMemory(4))
    whole = model.weights[name].clone()
    model.weights[name] = whole.clone()
    model.weights[name][5] = float("inf")  # torch attends to nothing for a query of NaN
    session.push(frame(0))
    model.weights[name] = whole
    session.push(frame(3))
    assert not session.ask(QUESTION, max_new_tokens=1).finite


def test_a_question_that_overflows_is_told_and_leaves_the_session_sound() -> None:
    session, model = opened()
    session.push(frame(0))
    model.weights["embed"][4] = float("inf")
    assert not session.ask(QUESTION, max_new_tokens=1).finite
    assert session.ask([3, 1], max_new_tokens=1).finite
    session.check()


def test_an_answer_s_later_tokens_are_looked_at_too() -> None:
    session, model = opened()
    session.push(frame(0))
    first = session.ask(QUESTION, max_new_tokens=1)
    assert int(first.token_ids[0]) not in QUESTION
    model.weights["embed"][int(first.token_ids[0])] = float("nan")
    assert session.ask(QUESTION, max_new_tokens=1).finite
    assert not session.ask(QUESTION, max_new_tokens=2).finite


def test_a_pending_frame_that_overflows_is_told_but_not_kept() -> None:
    model = ReferenceDecoder(patch=2)
    session = VideoSession(model, FullMemory())
    image = torch.full((4, 4, 3), 200, dtype=torch.uint8).numpy()
    session.push([image, image, image])
    assert session.ask(QUESTION, max_new_tokens=1).finite
    whole = model.weights["0.down"].clone()
    model.weights["0.down"][3] = float("nan")
    assert not session.ask(QUESTION, max_new_tokens=1).finite
    model.weights["0.down"] = whole
    session.check()
    assert session.ask(QUESTION, max_new_tokens=1).finite


def test_a_failed_push_takes_its_overflow_back() -> None:
    session, model = opened()
    session.push(frame(0))
    whole = model.weights["0.down"].clone()
    model.weights["0.down"][3] = float("nan")
    bad = frame(6)
    bad.embeds[0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN or Inf in its embeddings"):
        session.push([frame(3), bad])
    model.weights["0.down"] = whole
    session.check()
    assert session.ask(QUESTION, max_new_tokens=1).finite


def test_a_session_that_means_nothing_is_not_saved(tmp_path: Path) -> None:
    session, model = opened()
    model.weights["1.down"][0] = float("nan")
    session.push(frame(0))
    with pytest.raises(ValueError, match="computed NaN or Inf"):
        session.save(tmp_path / "session")
    assert not list(tmp_path.iterdir())


def test_what_was_told_stays_told_and_shapes_alone_are_fine() -> None:
    told = still_finite(None, torch.ones(2))
    assert is_finite(None) and is_finite(told)
    told = still_finite(still_finite(told, torch.tensor([1.0, float("inf")])), torch.ones(2))
    assert not is_finite(told)
    assert is_finite(still_finite(None, torch.empty(2, device="meta")))
