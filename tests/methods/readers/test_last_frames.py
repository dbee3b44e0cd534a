"""The newest frames and the prompt, by loops over the stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossframe.framework import FrameTokens
from crossframe.framework.testing.reader_laws import WatchedReader
from crossframe.methods import ReadLastFrames, StateKVMemory

QUESTION = torch.tensor([[3, 1, 4]])
SIZES = [3, 4, 1, 2, 6, 5, 2]


def as_prompt(frame: FrameTokens) -> FrameTokens:
    return replace(frame, visual=torch.zeros(frame.embeds.shape[:2], dtype=torch.bool))


@pytest.mark.parametrize("with_prompt", [True, False])
@pytest.mark.parametrize("reader", [ReadLastFrames(2), ReadLastFrames(2, prompt=False)], ids=repr)
def test_it_reads_the_newest_frames_after_every_push(
    frames, open_session, reader, with_prompt
) -> None:
    session = open_session(StateKVMemory(4))
    tokens: list[tuple[int, int]] = []  # number and frame of every token
    for number, frame in enumerate(frames(*SIZES)):
        prompt = with_prompt and number == 0
        session.push(as_prompt(frame) if prompt else frame)
        own = -1 if prompt else number - with_prompt
        tokens += [(len(tokens) + t, own) for t in range(frame.num_tokens)]
        read_prompt = reader.prompt or own < 0
        expected = [n for n, f in tokens if (f > own - 2 and f >= 0) or (read_prompt and f < 0)]
        watched = WatchedReader(reader)
        session.fork(reader=watched).question_logits(QUESTION)
        for pick in watched.picks:
            assert pick.slots.index[0].tolist() == [expected] * 2


def test_its_reach_is_known_without_the_prompt() -> None:
    assert ReadLastFrames(3, prompt=False).reach(None, 7) == 21
    assert ReadLastFrames(3).reach(None, 7) is None
