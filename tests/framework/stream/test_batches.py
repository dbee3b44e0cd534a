"""Several videos side by side in one session: each row is what a session of its own would be."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    CrossFrameMemory,
    Cursor,
    FrameTokens,
    FullMemory,
    VideoSession,
    stack_videos,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    InfiniPotVMemory,
    StateKVMemory,
    TokenDroppingMemory,
)

from ..streams import images

MEMORIES: list[CrossFrameMemory] = [
    FullMemory(),
    ContiguousPositions(AdaptiveHeadBudgets(StateKVMemory(5))),
    TokenDroppingMemory(StateKVMemory(5), ratio=0.5),
    InfiniPotVMemory(9),  # takes whole frames only
]


class Prompted(ReferenceDecoder):
    """Begins with a prompt of three tokens."""

    def prologue(self, cursor: Cursor) -> FrameTokens:
        ids = torch.tensor([[1, 2, 3]])
        text = torch.zeros(1, 3, dtype=torch.bool)
        return FrameTokens(self.embed(ids), self.text_positions(cursor, 1, 3), text)


def clips(videos: int, frames: int) -> Tensor:
    """uint8 [videos, frames, 4, 4, 3], no two alike."""
    return torch.stack([images(frames, seed=seed) for seed in range(videos)])


def passed(model: ReferenceDecoder, memory: CrossFrameMemory, video: Tensor) -> VideoSession:
    """A session that was pushed the frames in two parts, cut inside a temporal patch."""
    session = VideoSession(model, memory, frames_per_step=2)
    cut = 3
    for part in (slice(cut), slice(cut, None)):
        frames = video[part] if video.dim() == 4 else video[:, part]
        session.push(frames, [float(time) for time in range(video.shape[-4])[part]])
    return session


@pytest.mark.parametrize("memory", MEMORIES, ids=repr)
@pytest.mark.parametrize(("patch", "axes"), [(1, 1), (2, 3)])
def test_rows_of_a_batch_are_what_sessions_of_their_own_are(patch, axes, memory) -> None:
    model, videos = Prompted(patch=patch, axes=axes), clips(3, 8)
    batch = passed(model, memory, videos)
    ids = torch.randint(0, 31, (3, 4), generator=torch.Generator().manual_seed(0))
    logits = batch.question_logits(ids)
    for row, video in enumerate(videos):
        alone = passed(model, memory, video)
        assert batch.cursor == alone.cursor
        assert [cost.images for cost in batch.costs] == [cost.images for cost in alone.costs]
        expected = alone.question_logits(ids[row])[0]
        torch.testing.assert_close(logits[row], expected, atol=1e-9, rtol=0)
        for layer in range(model.spec.num_layers):
            held, own = batch.slots(layer), alone.slots(layer)
            # Padding in front of ragged heads has negative numbers.
            real, mine = held.index[row] >= 0, own.index[0] >= 0
            assert torch.equal(real.sum(-1), mine.sum(-1))
            assert torch.equal(held.index[row][real], own.index[0][mine])
            got, expected = held.keys[row][real], own.keys[0][mine]
            torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)


def test_frames_of_several_videos_wait_are_saved_and_forked(tmp_path: Path) -> None:
    model, videos = Prompted(patch=2), clips(2, 5)
    session = VideoSession(model, StateKVMemory(5))
    session.push(videos[:, :1])  # only waits
    assert session.pending_bytes == 2 * 4 * 4 * 3
    session.save(tmp_path / "saved")
    later = [session, session.fork(), VideoSession.load(tmp_path / "saved", model)]
    for one in later:
        one.push(videos[:, 1:])
    logits = [one.question_logits([1, 2]) for one in later]
    assert logits[0].shape[0] == 2
    assert torch.equal(logits[1], logits[0]) and torch.equal(logits[2], logits[0])


def test_a_batch_of_one_video_is_that_video() -> None:
    video = images(3)
    one, plain = (VideoSession(Prompted(), FullMemory()) for _ in range(2))
    one.push(video[None])
    plain.push(video)
    assert torch.equal(one.question_logits([1]), plain.question_logits([1]))
    one.push(video)  # and goes on as one
    assert one.state.batch == 1


def test_videos_are_stacked_from_whatever_a_push_takes() -> None:
    first, second = images(2, seed=1), images(2, seed=2)
    stacked = stack_videos([list(first), second.numpy()])
    assert torch.equal(stacked, torch.stack([first, second]))
    assert torch.equal(stack_videos([first[0], second[0]]), stacked[:, :1])


@pytest.mark.parametrize(
    ("videos", "words"),
    [
        ([images(2), images(3)], r"of \[2, 3\] frames: cut them to 2"),
        ([images(2), images(2, height=5)], r"of \[\(4, 4\), \(5, 4\)\] pixels: resize"),
        ([], "no videos"),
        ([clips(2, 3), images(3)], "is a batch itself"),
    ],
    ids=["frames", "size", "none", "nested"],
)
def test_videos_that_do_not_go_side_by_side_are_refused(videos, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stack_videos(videos)


@pytest.mark.parametrize("patch", [1, 2])
def test_a_stream_keeps_its_number_of_videos(patch: int) -> None:
    session = VideoSession(ReferenceDecoder(patch=patch), FullMemory())
    session.push(clips(2, 3))
    before = session.question_logits([1])
    for wrong in (clips(3, 1), images(1)):
        count = len(wrong)
        words = rf"this stream is of 2 videos, the pushed frames are of {count}: .* every video"
        with pytest.raises(ValueError, match=words):
            session.push(wrong)
    with pytest.raises(ValueError, match=r"are of \[1, 2\] videos"):
        VideoSession(ReferenceDecoder(patch=patch), FullMemory()).push([images(1), clips(2, 1)])
    assert torch.equal(session.question_logits([1]), before)


class Uneven(ReferenceDecoder):
    """Makes more tokens of brighter frames."""

    def encode(self, frames: Tensor, timestamps, cursor: Cursor) -> FrameTokens:
        whole = super().encode(frames, timestamps, cursor)
        return whole if int(frames.max()) > 100 else whole.take(torch.arange(3))


def test_rows_of_unequal_tokens_are_refused() -> None:
    session = VideoSession(Uneven(), FullMemory())
    videos = torch.stack([torch.full((1, 4, 4, 3), light).byte() for light in (200, 20)])
    with pytest.raises(ValueError, match=r"became \[3, 5\] tokens: give each a session"):
        session.push(videos)
    session.push(videos[:1])
