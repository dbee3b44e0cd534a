"""What every benchmark gives: questions about videos, how replies are read, and how they score."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .choices import PARSERS
from .scores import accuracy


@dataclass(frozen=True)
class Question:
    """One question about one stretch of one video.

    Attributes:
        id: unique in its benchmark, the benchmark's own where it has one.
        video: names the video; equal for all questions about it.
        path: the file, or None where it is missing. Questions about one video may have files of
            their own (OVO-Bench's chunks).
        prompt: the user's text after the video, byte for byte.
        answer: what `Benchmark.parse` must return: a letter, a count, "Yes".
        start, end: seconds of the video that may be seen; end None is the whole video.
        groups: what scores are broken down by: task, duration, domain, ...
        reply_start: how the model's reply is made to begin, "" for not at all.
        system: the system turn, None for the model's own.
        choices: letters that may be chosen, and the text each stands for ("" where the question
            itself holds the options); empty where the reply is no letter.
        evidence: seconds at which what answers the question was last shown, None where the
            benchmark does not tell.
    """

    id: str
    video: str
    path: Path | None
    prompt: str
    answer: str
    start: float = 0.0
    end: float | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    reply_start: str = ""
    system: str | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    evidence: float | None = None


@dataclass(frozen=True)
class Harness:
    """How the evaluation code that a wording comes from treats replies.

    Attributes:
        parser: one of `choices.PARSERS`.
        max_new_tokens: of a reply.

    Raises:
        ValueError: for a parser that there is not, or no room for a reply.
    """

    parser: str
    max_new_tokens: int

    def __post_init__(self) -> None:
        if self.parser not in PARSERS:
            known = ", ".join(map(repr, PARSERS))
            raise ValueError(f"Harness: unknown parser {self.parser!r}; known are {known}")
        if self.max_new_tokens < 1:
            raise ValueError(f"Harness: max_new_tokens is {self.max_new_tokens}, give 1 or more")


@dataclass(frozen=True)
class Benchmark(ABC):
    """Reads a benchmark's own files; subclasses are frozen dataclasses of settings.

    Nothing is read before `questions` is called, so that rows can be scored where the files are
    not. Replies are never completed by a guess: what cannot be read is None, a counted invalid.

    Args:
        root: folder with the benchmark's files as they are published.
        prompt: one of `prompts`; "lmms-eval" is its default wording.
        videos: folder of the video files where that is not below `root`.
        parser: one of `choices.PARSERS` instead of the one that belongs to the wording.

    Attributes:
        name: lower case, as on the command line.
        prompts: the wordings it knows, each with the rest of its evaluation code.
        video_folders: where below `root` videos lie, in the layouts that are known.

    Raises:
        ValueError: for an unknown wording or parser.
    """

    name: ClassVar[str]
    prompts: ClassVar[Mapping[str, Harness]]
    video_folders: ClassVar[tuple[str, ...]]

    root: Path
    prompt: str = "lmms-eval"
    videos: Path | None = None
    parser: str | None = None

    def __post_init__(self) -> None:
        if self.prompt not in self.prompts:
            known = ", ".join(map(repr, self.prompts))
            raise ValueError(f"{self.name}: unknown prompt {self.prompt!r}; known are {known}")
        if self.parser is not None and self.parser not in PARSERS:
            known = ", ".join(map(repr, PARSERS))
            raise ValueError(f"{self.name}: unknown parser {self.parser!r}; known are {known}")

    @property
    def max_new_tokens(self) -> int:
        """Tokens of a reply, as the wording's evaluation code allows."""
        return self.prompts[self.prompt].max_new_tokens

    def questions(self) -> Sequence[Question]:
        """All questions in the order of the files; missing videos have `path` None.

        Raises:
            ValueError: naming file, item and field, for files that are missing, cut short or not
                in a published layout, for an answer that is none of the options, and for an id
                that comes twice.
        """
        questions = list(self.read())
        if not questions:
            raise ValueError(f"{self.name}: the files under {self.root} hold no question")
        twice = [name for name, count in Counter(q.id for q in questions).items() if count > 1]
        if twice:
            raise ValueError(
                f"{self.name}: {len(twice)} ids under {self.root} come twice, {twice[0]!r} among "
                "them; was a file appended to itself?"
            )
        return questions

    @abstractmethod
    def read(self) -> Iterable[Question]:
        """Questions straight from the files, ids not yet compared."""

    @abstractmethod
    def parse(self, question: Question, reply: str) -> str | None:
        """The answer that a reply gives, None if it gives none; never a guess.

        Args:
            reply: with or without the question's `reply_start`.
        """

    def correct(self, question: Question, reply: str) -> bool:
        """Whether a reply is right by the benchmark's own rule."""
        return self.parse(question, reply) == question.answer

    @abstractmethod
    def score(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The official metrics, in percent, from rows with `correct` and `groups`; headline first.
        Rows without a reply count as wrong.

        Raises:
            ValueError: for no rows, or rows without this benchmark's groups.
        """

    def find_video(self, *names: str) -> Path | None:
        """The first of these files that exists in a folder of videos; None if none does.

        Raises:
            ValueError: for a name that leads out of `videos`, or else out of `root`.
        """
        folders = [Path(self.root, folder) for folder in self.video_folders]
        if self.videos is not None:
            folders = [Path(self.videos)]
        allowed = os.path.abspath(self.root if self.videos is None else self.videos)
        places = [Path(folder, name) for folder in folders for name in names]
        for place in places:
            # As it is written: links below the folder are the user's own.
            if not Path(os.path.abspath(place)).is_relative_to(allowed):
                raise ValueError(
                    f"{self.name}: an annotation names the video {str(place)!r:.200}, outside "
                    f"{allowed}: set `videos` to a folder that holds it, if that is meant"
                )
        return next((place for place in places if os.path.isfile(place)), None)

    def find_annotation(self, *names: str) -> Path:
        """The first of these files that exists below `root`.

        Raises:
            ValueError: if none does.
        """
        for name in names:
            if (path := Path(self.root, name)).is_file():
                return path
        raise ValueError(
            f"{self.name}: {self.root} holds none of {', '.join(names)}; root must be the folder "
            "into which the published files were downloaded"
        )

    def chosen(self, question: Question, reply: str) -> str | None:
        """The option that a reply chooses, by the parser in use."""
        parser = PARSERS[self.parser or self.prompts[self.prompt].parser]
        return parser(reply.removeprefix(question.reply_start), question.choices)


@dataclass(frozen=True)
class MultipleChoice(Benchmark):
    """A benchmark all of whose questions are answered by a letter.

    Attributes:
        scored_by: the groups that accuracy is broken down by.
    """

    scored_by: ClassVar[tuple[str, ...]] = ()

    def parse(self, question: Question, reply: str) -> str | None:
        return self.chosen(question, reply)

    def score(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return accuracy(rows, *self.scored_by)
