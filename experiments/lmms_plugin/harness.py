"""The requests of lmms-eval, as the tuples it hands over, answered in their order.

A request ends with (document number, task, split), which name the document it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from ...framework import VideoSession
from ..benchmarks.question import Question
from .answering import NO_REPLY, Answerer, Generation, Reply, generated, loss

T = TypeVar("T")
Request = tuple[Any, ...]
Documents = Mapping[str, Mapping[str, Any]]  # by task and split
Asked = tuple[Question, Generation]
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
SOUNDS = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus")


class Harness:
    """Answers requests about lmms-eval's documents; with `progress` under a bar."""

    def __init__(self, answerer: Answerer, documents: Documents, *, progress: bool) -> None:
        self.answerer, self.documents, self.progress = answerer, documents, progress

    def generate_until(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies to (text, settings, doc_to_visual, ...).

        Raises:
            ValueError: for a request that is not about one video, naming its document.
        """
        asked = []
        for number, (text, settings, doc_to_visual, *where) in enumerate(requests):
            with _named(*where):
                visuals = doc_to_visual(self._document(*where))
                asked.append(self._asked(number, text, visuals, settings))
        return self._replies(asked)

    def generate_until_multi_round(self, requests: Sequence[Request]) -> list[list[str]]:
        """All replies to each of (text, settings, doc_to_visual, doc_to_text, ...).

        Raises:
            ValueError: as `generate_until`.
        """
        talks = []
        for text, settings, doc_to_visual, doc_to_text, *where in requests:
            document = self._document(*where)
            shown = doc_to_visual(document)
            talks.append(_Talk(document, doc_to_text, settings, where, shown, text))
        while going := [talk for talk in talks if not talk.ended]:
            asked = []
            for number, talk in enumerate(going):
                with _named(*talk.where):
                    asked.append(self._asked(number, talk.text, talk.visuals, talk.settings))
            for talk, reply in zip(going, self._replies(asked), strict=True):
                talk.go_on(reply.text)
        return [talk.replies for talk in talks]

    def loglikelihood(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        """`loss` of (text, reply or doc_to_target, doc_to_visual, ...); infinite where the video
        cannot be read.

        Raises:
            ValueError: as `generate_until`, and for replies to no text at all.
        """
        asked = []
        for number, request in enumerate(requests):
            if len(request) == 2:
                raise ValueError(
                    "acc_mutual_info asks for replies without a video; take another metric"
                )
            text, said, doc_to_visual, *where = request
            with _named(*where):
                document = self._document(*where)
                reply = said if isinstance(said, str) else str(said(document))
                asked.append(self._question(number, text, doc_to_visual(document), reply))
        losses = self._each(asked, 1, loss)
        return [losses[question.id] or (float("inf"), False) for question in asked]

    def _document(self, number: int, task: str, split: str) -> Any:
        return self.documents[task][split][number]

    def _asked(self, number: int, text: str, visuals: object, settings: Mapping[str, Any]) -> Asked:
        generation = Generation.of(settings, self.answerer.options.max_new_tokens)
        return self._question(number, text, visuals), generation

    def _question(self, number: int, text: str, visuals: object, reply: str = "") -> Question:
        path, system = the_video(visuals), self.answerer.options.system
        return Question(
            str(number), path.name, path, text, answer="", reply_start=reply, system=system
        )

    def _replies(self, asked: Sequence[Asked]) -> list[Reply]:
        """In the order of the questions; those with the same settings go together."""
        replies: dict[str, Reply | None] = {}
        for generation in dict.fromkeys(generation for _, generation in asked):
            questions = [question for question, settings in asked if settings == generation]
            ask = partial(generated, generation=generation)
            replies |= self._each(questions, generation.max_new_tokens, ask)
        return [replies[question.id] or NO_REPLY for question, _ in asked]

    def _each(
        self, questions: Sequence[Question], tokens: int, ask: Callable[[VideoSession, Question], T]
    ) -> dict[str, T | None]:
        """What `ask` makes of every question, by its id."""
        answers: dict[str, T | None] = {}
        with tqdm(total=len(questions), disable=not self.progress, desc="crossframe") as bar:
            for question, answer in self.answerer.each(questions, tokens, ask):
                answers[question.id] = answer
                bar.update()
        return answers


@dataclass
class _Talk:
    """A request of several rounds, as the task's `doc_to_text` leads it; each round is a question
    of its own about a video of its own."""

    document: Any
    lead: Callable[..., Any]
    settings: Mapping[str, Any]
    where: Sequence[Any]
    visuals: object
    text: str
    replies: list[str] = field(default_factory=list)
    note: Any = None
    rounds: int = 0
    ended: bool = False

    def go_on(self, reply: str) -> None:
        """Take the reply to this round and find out about the next."""
        self.rounds += 1
        self.visuals, self.text, self.ended, said, self.note = self.lead(
            self.document,
            previous_output=[*self.replies, reply],
            round_idx=self.rounds,
            previous_round_info=self.note,
        )
        self.replies = list(said)


@contextmanager
def _named(number: int, task: str, split: str) -> Iterator[None]:
    """Errors say which document they are about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{task}, {split} document {number}: {error}") from error


def the_video(visuals: object) -> Path:
    """The one video file that a task shows, by what its `doc_to_visual` gave.

    Raises:
        ValueError: for text alone, pictures, sound, several videos, or a video elsewhere.
    """
    remedy = "crossframe answers questions about one local video file; choose a task of that kind"
    if not visuals or not isinstance(visuals, list | tuple):
        raise ValueError(f"shows nothing, it is text alone; {remedy}")
    kinds = [_kind(visual) for visual in visuals]
    if kinds != ["video"]:
        shown = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
        raise ValueError(f"shows {shown}; {remedy}")
    return Path(visuals[0])


def _kind(visual: object) -> str:
    if isinstance(visual, str | Path):
        name = str(visual)
        if "://" in name:
            return f"address ({name})"
        if name.lower().endswith(PICTURES):
            return "picture"
        return "sound" if name.lower().endswith(SOUNDS) else "video"
    if isinstance(visual, Mapping):
        return "sound" if "array" in visual else f"mapping of {', '.join(map(str, visual))}"
    return f"picture ({type(visual).__name__})"
