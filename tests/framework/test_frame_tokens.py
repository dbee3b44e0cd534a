"""`FrameTokens`: what is refused, what `take` and `join_frames` cut and join."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossframe.framework import Cursor, FrameTokens
from crossframe.framework.frame_tokens import advance, as_frame_tokens, is_prompt, join_frames


def frame(tokens: int, batch: int = 2, axes: int = 1, **more: Any) -> FrameTokens:
    """A frame whose every number tells which row and token it came from."""
    own = torch.arange(batch * tokens).view(batch, tokens)
    embeds = own[..., None].double() + torch.tensor([0.0, 0.25, 0.5])
    positions = torch.stack([1000 * axis + own for axis in range(axes)])
    return FrameTokens(embeds, positions, **more)


def numbered(tokens: int, *rest: int, batch: int = 2) -> Tensor:
    return torch.arange(batch * tokens).view(batch, tokens, *[1] * len(rest)).expand(-1, -1, *rest)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"embeds": torch.zeros(2, 3)}, r"embeds must be \[batch, tokens, hidden\].*\(2, 3\)"),
        ({"positions": torch.zeros(2, 3)}, r"positions must be .*\[axes, 2, 3\].*\(2, 3\)"),
        ({"positions": torch.zeros(1, 2, 4)}, r"positions must be .*\(1, 2, 4\)"),
        ({"visual": torch.ones(2, 4) > 0}, r"visual must .*\[2, 3\].*\(2, 4\)"),
        ({"offsets": torch.zeros(3, 3)}, r"offsets must .*\[2, 3\].*\(3, 3\)"),
        ({"extras": {"deep": torch.zeros(2, 4, 7)}}, r"deep must .*\(2, 4, 7\)"),
        ({"stats": {"saliency": torch.zeros(3)}}, r"saliency must .*\(3,\)"),
        ({"stats": {"saliency": torch.zeros(2, 3, 1)}}, r"saliency must .*\(2, 3, 1\)"),
        ({"visual": torch.ones(2, 3, 1) > 0}, r"visual must .*\(2, 3, 1\)"),
        (
            {"extras": {"a": torch.zeros(2, 4)}, "stats": {"a": torch.zeros(2, 3)}},
            r"a must .*\(2, 4\)",
        ),
    ],
)
def test_shapes_that_disagree_are_refused_by_name(changed: dict[str, Any], message: str) -> None:
    given_shapes = {"embeds": torch.zeros(2, 3, 8), "positions": torch.zeros(1, 2, 3), **changed}
    with pytest.raises(ValueError, match=message):
        FrameTokens(**given_shapes)


def test_without_a_mask_every_token_is_visual_and_numbered_from_0() -> None:
    plain = frame(3)
    assert plain.visual_mask().tolist() == [[True] * 3] * 2
    assert plain.token_offsets().tolist() == [[0, 1, 2]] * 2
    assert (plain.batch, plain.num_tokens) == (2, 3)


def test_take_cuts_every_tensor_alike() -> None:
    whole = frame(
        4,
        axes=3,
        visual=numbered(4) % 2 == 0,
        extras={"flat": numbered(4), "deep": numbered(4, 5, 2)},
        stats={"patch": numbered(4).double()},
        timestamp=2.5,
    )
    cut = whole.take(torch.tensor([[3, 1], [0, 2]]))
    own = torch.tensor([[3, 1], [4, 6]])
    assert torch.equal(cut.embeds[..., 0], own.double())
    assert torch.equal(cut.positions, torch.stack([own, own + 1000, own + 2000]))
    assert torch.equal(cut.visual_mask(), own % 2 == 0)
    assert torch.equal(cut.extras["flat"], own)
    assert torch.equal(cut.extras["deep"], own[..., None, None].expand(-1, -1, 5, 2))
    assert torch.equal(cut.stats["patch"], own.double())
    assert torch.equal(cut.token_offsets(), torch.tensor([[3, 1], [0, 2]]))
    assert cut.timestamp == 2.5


def test_one_row_of_indices_serves_the_whole_batch() -> None:
    cut = frame(4).take(torch.tensor([1, 3]))
    assert cut.embeds[..., 0].tolist() == [[1, 3], [5, 7]]


@given(st.data())
def test_offsets_number_the_whole_frame_however_often_it_is_thinned(data: st.DataObject) -> None:
    thinned, expected = frame(9), list(range(9))
    for _ in range(3):
        which = data.draw(st.lists(st.integers(0, len(expected) - 1), min_size=1))
        thinned = thinned.take(torch.tensor(which))
        expected = [expected[number] for number in which]
    assert thinned.token_offsets().tolist() == [expected] * 2
    assert thinned.embeds[0, :, 0].tolist() == expected


def test_joining_puts_frames_one_after_the_other() -> None:
    first, second = frame(2, visual=numbered(2) > 9), frame(3).take(torch.tensor([2]))
    joined = join_frames([first, second])
    assert torch.equal(joined.embeds, torch.cat([first.embeds, second.embeds], 1))
    assert torch.equal(joined.positions, torch.cat([first.positions, second.positions], 2))
    assert joined.visual_mask().tolist() == [[False, False, True]] * 2
    assert joined.token_offsets().tolist() == [[0, 1, 2]] * 2


def test_extras_and_stats_that_one_frame_lacks_are_0_there() -> None:
    bare = frame(2)
    rich = frame(1, extras={"deep": torch.ones(2, 1, 4)}, stats={"patch": torch.ones(2, 1)})
    for frames, row in (([bare, rich], [0, 0, 1]), ([rich, bare], [1, 0, 0])):
        joined = join_frames(frames)
        assert joined.stats["patch"].tolist() == [row] * 2
        assert joined.extras["deep"].shape == (2, 3, 4)
        assert joined.extras["deep"][..., 3].tolist() == [row] * 2


def test_a_single_frame_is_joined_as_it_is() -> None:
    only = frame(2)
    assert join_frames([only]) is only


def test_a_frame_is_recognised_alone_and_in_a_list_but_not_beside_images() -> None:
    one = frame(1)
    assert as_frame_tokens(one) == [one]
    assert as_frame_tokens((one, one)) == [one, one]
    assert as_frame_tokens([one, torch.zeros(1)]) is None
    assert as_frame_tokens([]) is None


def test_timestamps_beside_frame_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="FrameTokens carry their own"):
        as_frame_tokens(frame(1), [0.0])


def test_only_the_first_push_without_visual_tokens_is_the_prompt() -> None:
    text = frame(2, visual=torch.zeros(2, 2, dtype=torch.bool))
    assert is_prompt(Cursor(), text)
    assert not is_prompt(Cursor(tokens=1), text)
    assert not is_prompt(Cursor(), frame(2))


def test_the_cursor_moves_behind_the_whole_frame() -> None:
    positions = torch.tensor([[[4, 4, 5]], [[4, 6, 4]], [[4, 4, 4]]])
    image = FrameTokens(torch.zeros(1, 3, 2), positions)
    assert advance(Cursor(4, 1, 4), image) == Cursor(7, 2, 7)
    text = FrameTokens(torch.zeros(1, 3, 2), positions, visual=torch.zeros(1, 3) > 0)
    assert advance(Cursor(), text) == Cursor(3, 0, 7)


def test_a_frame_may_say_where_the_stream_goes_on() -> None:
    cursor = Cursor(tokens=3, frames=1, position=3)
    positions = torch.tensor([[[90, 90]], [[3, 3]], [[3, 4]]])
    ahead = FrameTokens(torch.zeros(1, 2, 4), positions)
    assert advance(cursor, ahead) == Cursor(5, 2, 91)
    placed = replace(ahead, next_position=5)
    assert advance(cursor, placed) == Cursor(5, 2, 5)
    assert advance(cursor, placed.take(torch.tensor([0]))).position == 5
    assert advance(cursor, replace(ahead, next_position=2)).position == 3
