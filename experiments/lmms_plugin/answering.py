"""From questions to replies: one pass over a video answers all that is asked about its frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from ...framework import VideoModel, VideoSession
from ...framework.stream.finite import NOT_FINITE
from ...framework.video import VideoError
from ..benchmarks.question import Question
from ..streaming.frames import told_flags
from ..streaming.lengths import question_ids, stretches
from ..streaming.media import media_at
from ..streaming.plan import Pass, plan_passes, sample_videos, video_seconds
from .options import PluginOptions

T = TypeVar("T")
CELL = "crossframe"
# lmms-eval adds this to every task without a stop text of its own (its few-shot delimiter), where
# it would cut a reply that reasons first. Its adapters for Qwen and Gemma leave it out too.
FEWSHOT_DELIMITER = "\n\n"
# Passed on to `generate`; the first three say whether and how to sample.
SAMPLING = ("temperature", "top_p", "top_k")
PASSED = ("num_beams", "repetition_penalty", "no_repeat_ngram_size")
ABOUT_IMAGES = ("image_aspect_ratio",)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """A reply's text and the tokens it took: those of stream and question, and its own."""

    text: str
    input_tokens: int
    output_tokens: int


NO_REPLY = Reply("", 0, 0)


@dataclass(frozen=True)
class Generation:
    """How a reply is made.

    Attributes:
        max_new_tokens: most tokens of it.
        until: texts that end it, themselves left out.
        options: further ones of `generate`, as pairs.
    """

    max_new_tokens: int
    until: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any], default_tokens: int) -> Self:
        """From a task's `generation_kwargs`, and `default_tokens` where it sets no length.

        Greedy unless a temperature above 0, or `do_sample` without one, asks for sampling.

        Raises:
            ValueError: for settings that are unknown or of a wrong kind.
        """
        known = {"max_new_tokens", "until", "do_sample", *SAMPLING, *PASSED, *ABOUT_IMAGES}
        unknown = sorted(given.keys() - known)
        if unknown:
            raise ValueError(
                f"generation_kwargs {', '.join(unknown)} mean nothing here; known are "
                f"{', '.join(sorted(known))}"
            )
        tokens = given.get("max_new_tokens") or default_tokens
        options = {name: given[name] for name in PASSED if given.get(name) is not None}
        return cls(int(tokens), _until(given.get("until")), (*_sampling(given), *options.items()))

    def cut(self, text: str) -> str:
        """The text up to where it should have stopped."""
        return min((text.partition(stop)[0] for stop in self.until), key=len, default=text)


class Answerer:
    """Asks a model about videos, each question after exactly the frames that the options of
    `--model_args` sample for it."""

    def __init__(self, model: VideoModel, options: PluginOptions) -> None:
        self.model, self.options = model, options
        self.cell, self.sampling = options.cell(), options.frames()

    def each(
        self,
        questions: Sequence[Question],
        reply_tokens: int,
        ask: Callable[[VideoSession, Question], T],
    ) -> Iterator[tuple[Question, T | None]]:
        """Every question with what `ask` makes of it, and room for so many tokens behind it; None,
        and a warning, where the video cannot be read so far. In the order of passes.

        Raises:
            ValueError: if no video can be read, or (strict) if one cannot.
        """
        sampled, refused = sample_videos(questions, self.sampling, video_seconds)
        for one in refused:
            if self.options.strict or not sampled:
                raise ValueError(one.why)
            yield one.question, self._without_reply(one.question, one.why)
        for video in plan_passes(sampled):
            asked = [stop.question for stop in video.stops]
            try:
                session = self._watch(video, reply_tokens)
            except VideoError as error:
                if self.options.strict:
                    raise
                yield from ((one, self._without_reply(one, str(error))) for one in asked)
            else:
                yield from ((one, ask(session, one)) for one in asked)

    def _watch(self, video: Pass, reply_tokens: int) -> VideoSession:
        """A session that has seen the video's frames; all questions about it are about the same."""
        (stretch,) = stretches(self.model, video, reply_tokens, self.options.max_tokens)
        stream = stretch.opened({CELL: self.cell})
        video, strict = stretch.video, self.options.strict
        with closing(media_at(stretch.model, video.path, video.times, strict=strict)) as frames:
            for image, seconds in frames:
                stream.push(image, seconds)
            if frames.flagged:
                logger.warning("%s: %s", video.path, told_flags(frames.flagged))
        ((_, seen),) = stream.sessions()
        return seen

    def _without_reply(self, question: Question, why: str) -> None:
        logger.warning("no reply to %r (counts as an empty one): %s", question.prompt[:60], why)


def generated(session: VideoSession, question: Question, generation: Generation) -> Reply:
    """The reply to a question."""
    ids = question_ids(session.model, question)
    answer = session.ask(ids, max_new_tokens=generation.max_new_tokens, **dict(generation.options))
    if not answer.finite:
        logger.warning("the reply to %r means nothing: %s", question.prompt[:60], NOT_FINITE)
    tokens = session.cursor.tokens + ids.shape[1]
    return Reply(generation.cut(answer.text), tokens, len(answer.token_ids))


def loss(session: VideoSession, question: Question) -> tuple[float, bool]:
    """Mean negative log-likelihood per token of the reply that the question begins with, and
    whether greedy decoding would say the same.

    lmms-eval calls this a log-likelihood, but takes the smallest of several as the answer.

    Raises:
        ValueError: for a reply without a token.
    """
    asked = session.model.question_ids(question.prompt).shape[1]
    ids = question_ids(session.model, question)
    if ids.shape[1] == asked:
        raise ValueError(f"the reply to {question.prompt[:60]!r} has no token to judge")
    logits = session.question_logits(ids)[0, asked - 1 : -1].float()
    said = ids[0, asked:].to(logits.device)
    likelihood = logits.log_softmax(-1).gather(-1, said[:, None]).mean()
    return -float(likelihood), bool((logits.argmax(-1) == said).all())


def _sampling(given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    temperature = given.get("temperature")
    samples = bool(given.get("do_sample")) if temperature is None else temperature > 0
    if not samples or given.get("do_sample") is False:
        return (("do_sample", False),)
    told = {name: given[name] for name in SAMPLING if given.get(name) is not None}
    return (("do_sample", True), *told.items())


def _until(given: object) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, Sequence) or not all(isinstance(stop, str) for stop in stops):
        raise ValueError(f"generation_kwargs until must be a text or a list of them, got {given!r}")
    return tuple(stop for stop in stops if stop and stop != FEWSHOT_DELIMITER)
