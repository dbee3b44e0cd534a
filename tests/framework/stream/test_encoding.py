"""What is pushed: times that never run backwards, and no frame that waits for ever."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crossframe.framework import FrameTokens, FullMemory, VideoSession
from crossframe.framework.frame_tokens import Cursor
from crossframe.framework.reference import ReferenceDecoder

IMAGE = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)


class OnlySmall(ReferenceDecoder):
    """Takes frames of at most 5 rows, and after the first patch of 4."""

    def check_image(self, height: int, width: int, cursor: Cursor) -> None:
        del width
        if height > (4 if cursor.frames else 5):
            raise ValueError(f"{height} rows at patch {cursor.frames}: crop")


def tokens(model: ReferenceDecoder, cursor: Cursor, time: float | None) -> FrameTokens:
    return replace(model.encode(IMAGE, [None], cursor), timestamp=time)


@pytest.mark.parametrize("patch", [1, 2])
def test_times_never_run_backwards_whatever_carried_them(patch: int, tmp_path: Path) -> None:
    model = ReferenceDecoder(patch=patch)
    session = VideoSession(model, FullMemory())
    session.push(IMAGE.expand(2, -1, -1, -1), [1.0, 3.0])
    session.save(tmp_path / "saved")
    saved = VideoSession.load(tmp_path / "saved", model)
    for one in (session, session.fork(), saved):
        cursor = one.cursor
        with pytest.raises(ValueError, match=r"run backwards: 2\.5 s after 3 s"):
            one.push(IMAGE, 2.5)
        with pytest.raises(ValueError, match=r"run backwards: 2\.5 s after 3 s"):
            one.push(tokens(model, cursor, 2.5))
        assert one.cursor == cursor
        one.push(tokens(model, cursor, 3.0))
        one.push(IMAGE, 3.0)
        one.push(IMAGE, 4.0)
        assert one.state.latest == 4.0


def test_a_refused_push_is_no_time_seen() -> None:
    session = VideoSession(ReferenceDecoder(), FullMemory())
    with pytest.raises(ValueError, match="5 s after 9 s"):
        session.push(IMAGE.expand(2, -1, -1, -1), [9.0, 5.0])
    session.push(IMAGE, 1.0)
    assert session.state.latest == 1.0


def test_a_frame_that_cannot_be_encoded_never_waits() -> None:
    session = VideoSession(OnlySmall(patch=2), FullMemory())
    small, large = torch.zeros(5, 4, 3).byte(), torch.zeros(6, 4, 3).byte()
    with pytest.raises(ValueError, match="6 rows at patch 0: crop"):
        session.push(large)
    assert not session.state.pending
    session.push([small, small])
    with pytest.raises(ValueError, match="5 rows at patch 1: crop"):
        session.push(small)
    session.push(IMAGE)
    assert len(session.state.pending) == 1
    assert session.question_logits([1]).isfinite().all()


def test_waiting_frames_of_two_sizes_are_refused_before_their_patch_is_full() -> None:
    session = VideoSession(ReferenceDecoder(patch=3), FullMemory())
    session.push(IMAGE)
    with pytest.raises(ValueError, match=r"differ in size.*after a multiple of 3 frames"):
        session.push(torch.zeros(5, 4, 3).byte())
    assert session.question_logits([1]).isfinite().all()
