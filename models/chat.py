"""The chat prompt of a checkpoint's own processor, and whether the processor is the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

import torch
from jinja2 import TemplateError
from torch import Tensor

from ..framework import Cursor, FrameTokens
from ..framework.model import Message
from .checkpoints.faults import LONGEST, in_words, shortened
from .hf import HFDecoder
from .prompt import refuse_pictures, text_tokens

# What templates raise, and what they make Python raise.
FAULTS = (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)


class ChatPrompt:
    """The prompt around one video, by a processor's own chat template and tokenizer.

    Args:
        processor: of the checkpoint.
        family: names the checkpoint's family in messages.

    Attributes:
        system: the system turn, None for the template's own.
        prefix: the text before the video.
        prefix_ids: its ids.
    """

    def __init__(self, processor: Any, family: str) -> None:
        self.processor, self.family = processor, family
        self.system: str | None = None
        self.read_template()

    def with_system(self, system: str) -> Self:
        """The same prompt with a system turn.

        Raises:
            ValueError: if the chat template leaves it out, or if it holds a token that stands for
                pictures.
        """
        self.refuse_pictures(system, "system turn")
        twin = copy(self)
        twin.system = system
        twin.read_template()
        if system.strip() not in twin.prefix:
            raise ValueError(
                f"the chat template of this {self.family} checkpoint leaves out the system turn "
                f"{system!r}: take a wording without one"
            )
        return twin

    def read_template(self) -> None:
        """Set what does not depend on the question."""
        self.prefix, _ = self.around_video("")
        self.prefix_ids = self.tokenize(self.prefix)

    def around_video(self, question: str, further: Sequence[Message] = ()) -> tuple[str, str]:
        """The prompt's text before and after the video token; `further` turns follow the question.

        Raises:
            ValueError: if the chat template has no place for a video.
        """
        text = self.render([{"type": "video"}, {"type": "text", "text": question}], further)
        before, video, after = text.partition(self.processor.video_token)
        if not video:
            raise ValueError(
                f"the processor's chat template puts no {self.processor.video_token} into the "
                f"prompt: load the processor of a checkpoint of {self.family}"
            )
        return before, after

    def question_ids(self, question: str, further: Sequence[Message] = ()) -> list[int]:
        """Ids of everything behind the video token; `further` turns follow the question.

        Raises:
            ValueError: if a turn holds a token that stands for pictures.
        """
        self.refuse_turns(question, further)
        return self.tokenize(self.around_video(question, further)[1])

    def refuse_turns(self, question: str, further: Sequence[Message]) -> None:
        for text in (question, *(message["content"] for message in further)):
            self.refuse_pictures(text)

    def refuse_pictures(self, text: str, what: str = "question") -> None:
        tokens = self.processor.image_token, self.processor.video_token
        refuse_pictures([token for token in tokens if token in text], what)

    def render(self, content: list[dict[str, str]], further: Sequence[Message] = ()) -> str:
        """A user turn, those that follow it and the beginning of the answer's, as the chat template
        writes them."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        for turn in further:
            parts = [{"type": "text", "text": turn["content"]}]
            messages.append({"role": turn["role"], "content": parts})
        if self.system is not None:
            turn = {"role": "system", "content": [{"type": "text", "text": self.system}]}
            messages = [turn, *messages]
        return rendered(self.processor, messages, self.family)

    def tokenize(self, text: str) -> list[int]:
        return self.processor.tokenizer.encode(text, add_special_tokens=False)

    def decode(self, token_ids: Tensor) -> str:
        """The text of an answer, [tokens], without special tokens."""
        return self.processor.tokenizer.decode(token_ids.tolist(), skip_special_tokens=True)


def rendered(
    source: Any, messages: Sequence[Mapping[str, Any]], family: str, *, reply: bool = True
) -> str:
    """Turns as the chat template of a processor or tokenizer writes them, at the end the beginning
    of the answer's turn where a reply is to follow.

    Raises:
        ValueError: if the template refuses them.
    """
    try:
        return source.apply_chat_template(messages, add_generation_prompt=reply, tokenize=False)
    except FAULTS as error:
        own = isinstance(error, TemplateError)
        reason = shortened(str(error), LONGEST) if own else in_words(error)
        raise ValueError(
            f"the chat template of this {family} checkpoint refuses "
            f"{[message['role'] for message in messages]} turns: {reason}; take the template of "
            "the released checkpoint"
        ) from error


class ChatDecoder(HFDecoder):
    """An adapter whose prompt is its processor's chat template around one video."""

    prompt: Any  # a ChatPrompt, or a family's own kind of one

    def prologue(self, cursor: Cursor) -> FrameTokens | None:
        return text_tokens(self, self.prompt.prefix_ids, cursor)

    def question_ids(self, question: str) -> Tensor:
        return torch.tensor([self.prompt.question_ids(question)])

    def conversation_ids(self, messages: Sequence[Message]) -> Tensor:
        first, *further = messages
        return torch.tensor([self.prompt.question_ids(first["content"], further)])

    def reply_ids(self, text: str) -> Tensor:
        return torch.tensor([self.prompt.tokenize(text)])

    def text(self, token_ids: Tensor) -> str:
        return self.prompt.decode(token_ids)

    def for_stream(self, frames: int, system: str | None = None, fps: float | None = None) -> Self:
        del frames, fps
        if system is None:
            return self
        twin = copy(self)
        twin.prompt = self.prompt.with_system(system)
        return twin


def require_class(adapter: str, given: object, *families: type) -> None:
    """Refuse a model or processor that is of none of the classes an adapter wraps."""
    if not isinstance(given, families):
        raise ValueError(
            f"{adapter} wraps an instance of {families[0].__name__}, got {type(given).__name__}; "
            "use load_model to pick the adapter by checkpoint"
        )


def require_same_id(token: str, actual: int | None, expected: int) -> None:
    """Refuse a tokenizer whose id of a special token is not the model's."""
    if actual != expected:
        raise ValueError(
            f"the tokenizer gives {token!r} the id {actual}, the model expects {expected}: load "
            "the processor of the same checkpoint"
        )
