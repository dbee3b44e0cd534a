"""A decoder lent to one call: what the call changes on it is written down first, and put back."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

from torch import Tensor, nn

from ..framework.model import LayerAttention
from ..framework.stream.turns import Turn, Turns

NAME = "crossframe"  # of our attention function, at transformers
Result = TypeVar("Result")


class Loan(Turn):
    """One call; it ends for good, so that a decoder left with our attention calls no ended step.

    Attributes:
        attention: the running step; None once the call has ended.
    """

    def __init__(self, attention: LayerAttention) -> None:
        super().__init__()
        self.attention: LayerAttention | None = attention


class FirstLogits:
    """A forward hook of the LM head: keeps the [B, vocab] logits behind the last tokens of the
    questions."""

    def __init__(self) -> None:
        self.seen: Tensor | None = None

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> None:
        if self.seen is None:
            self.seen = output[:, -1].clone()


@dataclass(frozen=True, eq=False)
class Changes:
    """What a call changes on the decoder.

    Attributes:
        rotary: the rotary embedding to run with, maybe its own.
        head: the LM head that `first` looks at.
    """

    rotary: nn.Module
    head: nn.Module | None = None
    first: FirstLogits | None = None


@dataclass(frozen=True, eq=False)
class _Before:
    """The decoder before a call, and what the call changes; enough to put everything back."""

    loan: ref[Loan]
    implementation: str
    rotary: nn.Module
    running: ref[Loan] | None
    changes: Changes


# By thread: another one has no running step, and may not use the decoder's attention.
_RUNNING: ContextVar[ref[Loan] | None] = ContextVar("crossframe_running_step", default=None)


class Lender:
    """Lends one decoder; all adapters around it share the lender, see `lender_of`.

    An interrupt may come at any line, also while things are put back. So what was found is written
    down, in one assignment, before anything is changed, and forgotten when all is put back; putting
    back is tried twice, may be done any number of times, and what an earlier call could not finish
    is put back by the next.
    """

    def __init__(self) -> None:
        self._turns = Turns("this model")
        self._before: _Before | None = None

    def run(
        self, decoder: Any, attention: LayerAttention, changes: Changes, work: Callable[[], Result]
    ) -> Result:
        """Do the work while every layer of the decoder attends through `attention`.

        Raises:
            RuntimeError: while another call has the decoder.
            ValueError: if it has our attention, and no call of ours is known to have put it there.
        """
        loan = Loan(attention)
        try:
            try:
                self._begin(decoder, loan, changes)
                return work()
            finally:
                self._end(decoder, loan)
        finally:  # an interrupt may have hit the end itself
            self._end(decoder, loan)

    def _begin(self, decoder: Any, loan: Loan, changes: Changes) -> None:
        self._turns.take(loan)
        if self._before is not None:
            self._put_back(decoder, self._before)
        # transformers has a public setter only.
        implementation = decoder.config._attn_implementation
        if implementation == NAME:
            raise ValueError(
                "the model has crossframe's attention left on it, as a copy made in the middle of "
                'a step has: call set_attn_implementation("sdpa"), or what it had before'
            )
        own = ref(loan)
        self._before = _Before(own, implementation, decoder.rotary_emb, _RUNNING.get(), changes)
        if decoder.rotary_emb is not changes.rotary:
            decoder.rotary_emb = changes.rotary
        if changes.head is not None and changes.first is not None:
            changes.head.register_forward_hook(changes.first)
        _RUNNING.set(own)
        decoder.set_attn_implementation(NAME)

    def _end(self, decoder: Any, loan: Loan) -> None:
        loan.attention = None
        before = self._before
        if before is not None and before.loan() is loan:
            self._put_back(decoder, before)
        loan.over = True

    def _put_back(self, decoder: Any, before: _Before) -> None:
        """What is still ours; the owner may have changed the rest."""
        if decoder.config._attn_implementation == NAME:
            decoder.set_attn_implementation(before.implementation)
        if decoder.rotary_emb is not before.rotary and decoder.rotary_emb is before.changes.rotary:
            decoder.rotary_emb = before.rotary
        if before.changes.head is not None:
            _remove_hook(before.changes.head, before.changes.first)
        if _RUNNING.get() is before.loan:
            _RUNNING.set(before.running)
        self._before = None


# Two adapters around one decoder must meet, and nothing may be left on the decoder itself.
_LENDERS: WeakKeyDictionary[nn.Module, Lender] = WeakKeyDictionary()


def lender_of(decoder: nn.Module) -> Lender:
    """The one lender of a decoder."""
    return _LENDERS.setdefault(decoder, Lender())


def running_attention() -> LayerAttention:
    """The step that runs in this thread.

    Raises:
        RuntimeError: if none does.
    """
    own = _RUNNING.get()
    loan = None if own is None else own()
    if loan is None or loan.attention is None:
        raise RuntimeError(
            "the model is lent to a crossframe step, and was called outside it: wait until the "
            "step in another thread has ended; after an interrupted one, the next push or ask puts "
            "the model right"
        )
    return loan.attention


def _remove_hook(module: nn.Module, hook: object) -> None:
    """torch removes hooks by a handle only, which an interrupt can lose."""
    hooks = module._forward_hooks
    for number in [number for number, each in hooks.items() if each is hook]:
        hooks.pop(number, None)
