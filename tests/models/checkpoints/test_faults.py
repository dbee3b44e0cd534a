"""What libraries throw becomes one sentence; our own sentences pass."""

import pytest
import torch

from crossframe.models.checkpoints.faults import explained, named


def thrown(error: BaseException, guard=explained) -> BaseException:
    with pytest.raises(Exception) as caught, guard("ckpt/a.json"):
        raise error
    return caught.value


def test_a_library_s_error_names_file_words_and_remedy_and_is_the_cause() -> None:
    cause = KeyError("weight_map")
    error = thrown(cause)
    assert type(error) is ValueError
    assert str(error) == (
        "ckpt/a.json cannot be used (KeyError: 'weight_map'): download the checkpoint anew"
    )
    assert error.__cause__ is cause


def test_many_lines_become_one_short_one() -> None:
    message = str(thrown(RuntimeError("long\n" * 500)))
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize("guard", [explained, named])
def test_our_own_refusals_and_empty_memory_pass(guard) -> None:
    for own in (ValueError("ckpt/a.json has depth=-1"), MemoryError(), torch.OutOfMemoryError()):
        assert thrown(own, guard) is own


def test_a_refusal_that_names_no_file_gets_one() -> None:
    assert str(thrown(ValueError("layout is 3: take 'chat'"), named)) == (
        "ckpt/a.json: layout is 3: take 'chat'"
    )
    assert "cannot be used (IndexError: 3)" in str(thrown(IndexError(3), named))
