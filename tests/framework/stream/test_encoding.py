"""What is pushed: times that never run backwards, and no frame that waits for ever."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import FrameTokens, FullMemory, VideoSession
from crossframe.framework.frame_tokens import Cursor, advance
from crossframe.framework.reference import ReferenceDecoder
from crossframe.framework.stream.encoding import encode_frames, take_in
from crossframe.framework.stream.state import StreamState

IMAGE = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)


class OnlySmall(ReferenceDecoder):
    """Takes frames of at most 5 rows, and after the first patch of 4."""

    def check_image(self, height: int, width: int, cursor: Cursor) -> None:
        del width
        if height > (4 if cursor.frames else 5):
            raise ValueError(f"{height} rows at patch {cursor.frames}: crop")


class Prompted(ReferenceDecoder):
    """Begins with a prompt of three tokens."""

    def prologue(self, cursor: Cursor) -> FrameTokens:
        ids = torch.tensor([[1, 2, 3]])
        text = torch.zeros(1, 3, dtype=torch.bool)
        return FrameTokens(self.embed(ids), self.text_positions(cursor, 1, 3), text)


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


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_frames_encoded_once_are_what_every_session_encodes_for_itself(
    patch: int, size: int
) -> None:
    model = Prompted(patch=patch)
    frames = [(torch.full((4, 4, 3), n, dtype=torch.uint8), n / 2) for n in range(8)]
    sessions = [VideoSession(model, FullMemory(), frames_per_step=size) for _ in range(3)]
    raw, *shared = sessions
    raw.push([image for image, _ in frames], [time for _, time in frames])
    parts = list(encode_frames(model, frames))
    assert [part.images for part in parts] == [0, *[patch] * (8 // patch)]
    for session in shared:
        session.push(parts)
        assert torch.equal(session.question_logits([1]), raw.question_logits([1]))
        assert [cost.tokens for cost in session.costs] == [cost.tokens for cost in raw.costs]
        assert [cost.images for cost in session.costs] == [cost.images for cost in raw.costs]
        times = [part.timer.milliseconds for part in parts if part.timer]
        assert session.costs.totals.encode_milliseconds == pytest.approx(sum(times))
        with pytest.raises(ValueError, match="run backwards: 0 s after 3"):
            session.push(parts[1])


def test_what_is_encoded_may_not_overtake_frames_that_wait() -> None:
    session = VideoSession(ReferenceDecoder(patch=2), FullMemory())
    (part,) = encode_frames(session.model, [(IMAGE[0], None)] * 2)
    session.push(IMAGE)
    with pytest.raises(ValueError, match=r"1 raw frame.s. still wait"):
        session.push(part)


def test_encoding_goes_on_where_a_stream_stands() -> None:
    model = Prompted(patch=2)
    frames = [(IMAGE[0], float(n)) for n in range(7)]
    whole = list(encode_frames(model, frames))
    cursor = Cursor()
    for part in whole[:3]:
        cursor = advance(cursor, part.tokens)
    later = list(encode_frames(model, frames[4:], cursor))
    assert [part.images for part in later] == [2, 1]
    for part, expected in zip(later, whole[3:], strict=True):
        assert torch.equal(part.tokens.positions, expected.tokens.positions)


def test_frames_of_a_long_push_are_copied_only_where_they_wait() -> None:
    clip = torch.zeros(9, 4, 4, 3, dtype=torch.uint8)
    model = ReferenceDecoder(patch=2)
    state, encoded = take_in(model, StreamState(), clip, None)
    homes = [pending.image.data_ptr() for pending in state.pending]
    assert homes[:8] == [image.data_ptr() for image in clip[:8]]
    waiting = state.pending[8].image
    assert waiting.untyped_storage().nbytes() == 4 * 4 * 3, "not the whole clip"
    made = [part.images for part in encoded]
    assert [images for images in made if images] == [2, 2, 2, 2]


def test_a_long_push_is_encoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its tokens need no more room than those of a step."""
    order: list[str] = []
    model = ReferenceDecoder(patch=1)
    encode, step = ReferenceDecoder.encode, ReferenceDecoder.step

    def encoding(self: ReferenceDecoder, *args: Any) -> FrameTokens:
        order.append("encode")
        return encode(self, *args)

    def stepping(self: ReferenceDecoder, *args: Any) -> Tensor:
        order.append("step")
        return step(self, *args)

    monkeypatch.setattr(ReferenceDecoder, "encode", encoding)
    monkeypatch.setattr(ReferenceDecoder, "step", stepping)
    session = VideoSession(model, FullMemory(), frames_per_step=2)
    session.push(torch.zeros(6, 4, 4, 3, dtype=torch.uint8))
    assert order == ["encode", "encode", "step"] * 3
