"""The judge of hostile cases can fail."""

import pytest

from .cases import Case, survive


def refuse(error: Exception) -> Case:
    def act() -> object:
        raise error

    return Case("a planted input", act, names=("7", "pass a number"))


def test_a_refusal_that_names_value_and_remedy_is_survived() -> None:
    assert survive(refuse(ValueError("got 7: pass a number"))) == "got 7: pass a number"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("7: pass a number"), "a bare"),
        (UnicodeDecodeError("utf-8", b"7", 0, 1, "pass a number"), "a bare"),
        (ValueError("got 7:\npass a number"), "not one line"),
        (ValueError("got 7: pass a number" + 600 * "!"), "620 characters"),
        (ValueError("pass a number"), r"does not say \['7'\]"),
    ],
)
def test_other_exceptions_fail_the_case(error: Exception, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        survive(refuse(error))


def test_accepted_input_that_had_to_be_refused_fails() -> None:
    with pytest.raises(AssertionError, match="was accepted"):
        survive(Case("a planted input", lambda: 7, names=("7",)))


def test_what_came_back_and_what_was_left_are_looked_at() -> None:
    def is_eight(value: object) -> None:
        assert value == 8

    def changed() -> None:
        raise AssertionError("the session changed")

    with pytest.raises(AssertionError):
        survive(Case("a planted input", lambda: 7, right=is_eight))
    with pytest.raises(AssertionError, match="the session changed"):
        survive(Case("a planted input", lambda: 8, right=is_eight, untouched=changed))
