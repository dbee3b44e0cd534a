"""What enters of a frame, and how its tokens are numbered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import CrossFrameMemory, Cursor, FrameTokens, FullMemory, Slots
from crossframe.framework.stream.admission import admit_frames
from crossframe.framework.stream.state import StreamState


@dataclass(frozen=True)
class Admits(CrossFrameMemory):
    """Lets in what a function takes of each frame, and notes what it was shown."""

    take: Callable[[FrameTokens], FrameTokens]
    shown: list[tuple[FrameTokens, FrameTokens | None, dict[str, Tensor]]] = field(
        default_factory=list
    )

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        self.shown.append((frame, previous, dict(state)))
        state["count"] = torch.tensor(len(self.shown))
        return self.take(frame)

    def update(self, slots: Slots) -> Slots:
        return slots


def frame(tokens: int, start: int, batch: int = 2, **more: Any) -> FrameTokens:
    positions = torch.arange(start, start + tokens).expand(1, batch, -1)
    return FrameTokens(torch.randn(batch, tokens, 3), positions, **more)


def text(tokens: int) -> FrameTokens:
    return frame(tokens, 0, visual=torch.zeros(2, tokens, dtype=torch.bool))


def ends(frame: FrameTokens) -> FrameTokens:
    """The first and the last token."""
    return frame.take(torch.tensor([0, frame.num_tokens - 1]))


def test_dropped_tokens_count_in_the_numbering() -> None:
    state, entering = admit_frames([frame(4, 20), frame(3, 24)], Admits(ends), StreamState())
    assert entering.index.tolist() == [[0, 3, 4, 6]] * 2
    assert entering.frame.tolist() == [0, 0, 1, 1]
    assert entering.tokens.positions[0].tolist() == [[20, 23, 24, 26]] * 2
    assert state.cursor == Cursor(7, 2, 27)
    assert state.largest_frame == 4


def test_rows_may_drop_different_tokens() -> None:
    rows = torch.tensor([[0, 2], [1, 3]])
    state, _ = admit_frames([frame(2, 0)], FullMemory(), StreamState())
    _, entering = admit_frames([frame(4, 2)], Admits(lambda whole: whole.take(rows)), state)
    assert entering.index.tolist() == [[2, 4], [3, 5]]


def test_the_prompt_enters_whole_and_unasked() -> None:
    memory = Admits(ends)
    first = frame(3, 5)
    state, entering = admit_frames([text(5), first], memory, StreamState())
    assert entering.frame.tolist() == [-1] * 5 + [0, 0]
    assert entering.index[0].tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert [(shown, previous) for shown, previous, _ in memory.shown] == [(first, None)]
    assert state.cursor.frames == 1


def test_a_memory_sees_the_previous_whole_frame_and_its_own_state() -> None:
    memory = Admits(ends)
    first, second, third = (frame(4, 4 * number) for number in range(3))
    state, _ = admit_frames([first, second], memory, StreamState())
    state, _ = admit_frames([third], memory, state)
    assert [previous for _, previous, _ in memory.shown] == [None, first, second]
    counts = [{name: int(value) for name, value in held.items()} for _, _, held in memory.shown]
    assert counts == [{}, {"count": 1}, {"count": 2}]
    assert state.previous is third


def test_admitting_leaves_the_state_before_untouched() -> None:
    memory = Admits(ends)
    before, _ = admit_frames([frame(4, 0)], memory, StreamState())
    cursor, held = before.cursor, dict(before.admission)
    admit_frames([frame(4, 4)], memory, before)
    assert before.cursor == cursor
    assert before.admission == held


@pytest.mark.parametrize("pushed", [0, 2])
def test_at_least_one_token_of_a_frame_must_enter(pushed: int) -> None:
    state, _ = admit_frames([frame(1, 0)] * pushed or [text(1)], FullMemory(), StreamState())
    nothing = Admits(lambda whole: whole.take(torch.arange(0)))
    with pytest.raises(ValueError, match=f"Admits admitted no token of frame {pushed}; at least"):
        admit_frames([frame(3, 2)], nothing, state)
