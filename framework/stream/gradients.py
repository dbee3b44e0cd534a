"""Gradients through a stream: off, unless a session is opened for them and torch has them on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Differentiable(Protocol):
    """What may be asked for gradients."""

    gradients: bool


Owner = TypeVar("Owner", bound=Differentiable)


def with_gradients_if_asked(
    method: Callable[Concatenate[Owner, Arguments], Result],
) -> Callable[Concatenate[Owner, Arguments], Result]:
    """A method that is followed by autograd only where its object has `gradients` set, and where
    its caller has not switched them off."""

    @wraps(method)
    def followed(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            return method(self, *args, **kwargs)

    return followed
