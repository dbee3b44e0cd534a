"""A conversation about a video: turns that the next question reads, and frames never see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from ..model import Answer, Message, VideoModel
from ..text import require_characters
from ..token_ids import as_token_ids

ROLES = ("user", "assistant")


class Asked(Protocol):
    """What a conversation is about: a `VideoSession`."""

    model: VideoModel

    def ask(self, question: Tensor, *, max_new_tokens: int = 256, **generation: Any) -> Answer: ...


class Chat:
    """Questions about one session, each of which reads the turns before it.

    The prompt is the video so far, then all turns, as the model's chat template writes them; frames
    that were pushed between two questions stand before the first. So an answer is that of the stock
    model to the same conversation about the same video, where the memory is unbounded. The session
    is left as it was by every question.

    Args:
        session: asked, and pushed to by whoever likes to.

    Attributes:
        messages: the turns so far, {"role": "user" or "assistant", "content": text} in turn; yours
            to change: clear it to begin anew.
    """

    def __init__(self, session: Asked) -> None:
        self._session = session
        self.messages: list[dict[str, str]] = []

    def ask(self, text: str, *, max_new_tokens: int = 256, **generation: Any) -> Answer:
        """Answer a question in the light of the turns before it, and remember both.

        Args:
            text: the question.
            max_new_tokens, generation: as of `VideoSession.ask`.

        Raises:
            ValueError: as `VideoSession.ask`; for messages that are no turns, or a model whose
                prompt has one turn only. The conversation stays as it was.
        """
        asked = [*self.messages, {"role": "user", "content": text}]
        require_turns(asked)
        model = self._session.model
        token_ids = as_token_ids(model.conversation_ids(asked), model.spec.vocab)
        answer = self._session.ask(token_ids, max_new_tokens=max_new_tokens, **generation)
        self.messages = [*asked, {"role": "assistant", "content": answer.text}]
        return answer


def require_turns(messages: Sequence[Message]) -> None:
    """Refuse what is no conversation that ends with a question; the ValueError names the turn."""
    for number, message in enumerate(messages):
        role = ROLES[number % 2]
        content = message.get("content")
        if message.get("role") != role or not isinstance(content, str):
            raise ValueError(
                f"turn {number + 1} of the conversation must be {{'role': {role!r}, 'content': "
                f"text}}, got {message!r:.200}: questions and answers take turns"
            )
        require_characters(content, f"turn {number + 1} of the conversation")
