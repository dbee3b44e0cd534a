"""Questions as ids: every usual kind becomes int64 [B, tokens], everything else is refused."""

from typing import Any

import numpy as np
import pytest
import torch

from crossframe.framework.token_ids import are_several, as_token_ids


@pytest.mark.parametrize(
    "given",
    [[1, 2], (1, 2), [[1, 2]], np.array([1, 2], np.int32), torch.tensor([1, 2], dtype=torch.uint8)],
)
def test_ids_come_in_every_usual_form(given: Any) -> None:
    assert torch.equal(as_token_ids(given, 3), torch.tensor([[1, 2]]))


def test_one_question_is_asked_of_every_video() -> None:
    assert torch.equal(as_token_ids([1, 2], 3, batch=2), torch.tensor([[1, 2], [1, 2]]))
    with pytest.raises(ValueError, match="got 3 questions about a batch of 2 videos"):
        as_token_ids([[1], [2], [0]], 3, batch=2)


@pytest.mark.parametrize(("wrong", "number"), [([0, 3], 3), ([-1, 2], -1), ([[0], [2**40]], 2**40)])
def test_ids_that_the_model_does_not_have_are_named(wrong: Any, number: int) -> None:
    message = f"token id {number} is none of the model's, which are 0 to 2: tokenize with"
    with pytest.raises(ValueError, match=message):
        as_token_ids(wrong, 3)


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        ([True], r"shape \(1,\) of torch.bool"),
        ([1.0], r"shape \(1,\) of torch.float32"),
        ([], r"shape \(0,\)"),
        (3, r"shape \(\)"),
        ([[1, 2], [0]], "list: "),
        ([10**30], "list: "),
        (None, "NoneType: "),
        (np.array([1], object), "ndarray: "),
        (torch.tensor([1], device="meta"), "a tensor without values to read"),
        (torch.tensor([1]).to_sparse(), "a tensor without values to read"),
    ],
)
def test_everything_else_is_refused_with_what_was_given(wrong: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=rf"text or token ids .* at least one token, got {shown}"):
        as_token_ids(wrong, 3)


def test_several_questions_are_told_from_one() -> None:
    ids = torch.tensor([3, 1])
    for several in (["a", "b"], ("a",), [[3, 1], [4]], [ids, ids], [ids.numpy()]):
        assert are_several(several)
    for one in ("a", [3, 1], ids, ids[None], [ids[0], ids[1]], [ids.numpy()[0]], []):
        assert not are_several(one)
