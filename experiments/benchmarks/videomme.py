"""Video-MME: 900 videos from 11 seconds to an hour, three questions of four options each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from ...framework.video import VideoError, probe_video
from .annotations import Record, read_records
from .choices import lettered
from .question import Harness, MultipleChoice, Question

WITH_SUBTITLES = (
    "Select the best answer to the following multiple-choice question based on the video and the "
    "subtitles. Respond with only the letter (A, B, C, or D) of the correct option."
)
VIDEO_ALONE = (
    "Select the best answer to the following multiple-choice question based on the video. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
DIRECTLY = "\nAnswer with the option's letter from the given choices directly."
BEST = "The best answer is:"
LETTER_ONLY = "Answer with the option letter only."
NONE = "No subtitles available"
# Lines in any other markup are passed over by the published code, and so here.
_LINE = re.compile(r'<font color="white" size=".72c">(.*?)</font>')
_TIME = re.compile(r"(\d+):(\d+):(\d+),(\d+)")


@final
@dataclass(frozen=True)
class VideoMME(MultipleChoice):
    """Reads `videomme/test-00000-of-00001.parquet` of Hugging Face `lmms-lab/Video-MME`.

    Videos are `data/<videoID>.mp4`, `.MP4` or `.mkv`, subtitles `subtitle/<videoID>.srt`.

    Wordings:
        lmms-eval: of lmms-eval 0.7; says "and the subtitles" even where there are none.
        paper: of the StateKV release (arXiv 2605.31598): the same without its last line, replies of
            up to 1,024 tokens, and the parser of lmms-eval in 2025.
        official: of the benchmark's README, which tells no length of replies: 16 tokens.
        qwen3-vl: what lmms-eval gives to Qwen3-VL.
        question: the question alone, without options; the reply is the option whose text it begins
            with. Of no published code: for small models that never learnt letters.

    Paper: Fu et al., "Video-MME", arXiv 2405.21075. Metric: accuracy over all questions (micro),
    and per duration, domain, sub-category and task type.

    Args:
        subtitles: put the subtitles before the question.
        subtitle_frames: moments whose subtitles are given; lmms-eval takes 32, for some models 768.

    Raises:
        ValueError: for subtitles with the wordings "paper" and "question", which have none, or
            `subtitle_frames` below 1.

    Pitfalls: with subtitles lmms-eval ends "The best answer is:" whatever else is asked for; the
    parser of 2025 reads "Best option: C" as B; accuracies from 16 and from 1,024 tokens differ for
    models that reason first; three questions share a video, so intervals must be clustered.
    """

    name: ClassVar[str] = "videomme"
    prompts: ClassVar[Mapping[str, Harness]] = {
        "lmms-eval": Harness("lmms-eval", 16),
        "paper": Harness("lmms-eval-2025", 1024),
        "official": Harness("lmms-eval-2025", 16),
        "qwen3-vl": Harness("lmms-eval", 16),
        "question": Harness("text", 8),
    }
    scored_by: ClassVar[tuple[str, ...]] = ("duration", "domain", "sub_category", "task_type")
    video_folders: ClassVar[tuple[str, ...]] = ("data", "videomme/data", "videos", ".")

    subtitles: bool = False
    subtitle_frames: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subtitles and self.prompt == "paper":
            raise ValueError(
                "videomme: the paper used no subtitles; with prompt='paper' leave subtitles=False"
            )
        if self.subtitles and self.prompt == "question":
            raise ValueError(
                "videomme: prompt='question' is the question alone; leave subtitles=False with it"
            )
        if self.subtitle_frames < 1:
            raise ValueError(
                f"videomme: subtitle_frames must be at least 1, got {self.subtitle_frames}"
            )

    def read(self) -> Iterator[Question]:
        table = self.find_annotation(
            "videomme/test-00000-of-00001.parquet", "test-00000-of-00001.parquet"
        )
        # Three questions share a video, and finding its subtitles opens the file.
        shown = cache(self._subtitles)
        for record in read_records(table):
            video = record.text("videoID")
            path = self.find_video(*(f"{video}{ending}" for ending in (".mp4", ".MP4", ".mkv")))
            choices = lettered(record.texts("options"))
            yield Question(
                id=record.name("question_id"),
                video=video,
                path=path,
                prompt=self._prompt(record, shown(video, path) if self.subtitles else None),
                answer=record.letter("answer", choices),
                groups={name: record.text(name) for name in self.scored_by},
                choices=choices,
                evidence=record.evidence(),
            )

    def _prompt(self, record: Record, subtitles: str | None) -> str:
        asked = self._asked(record.text("question"), "\n".join(record.texts("options")))
        if subtitles is None:
            return asked
        blank = "" if self.prompt == "official" else " "
        return f"This video's subtitles are listed below:{blank}\n{subtitles}\n{asked}"

    def _asked(self, question: str, options: str) -> str:
        if self.prompt == "question":
            return question
        if self.prompt == "qwen3-vl":
            return f"Question: {question}\nOptions:\n{options}\n{LETTER_ONLY}"
        if self.prompt == "official":
            return f"{VIDEO_ALONE}\n{question}\n{options}\n{BEST}"
        if self.prompt == "paper":
            return f"{WITH_SUBTITLES}\n{question}\n{options}"
        last = BEST if self.subtitles else DIRECTLY
        return f"{WITH_SUBTITLES}\n{question}\n{options}\n{last}"

    def _subtitles(self, video: str, path: Path | None) -> str:
        folders = (Path(self.root, name) for name in ("subtitle", "videomme/subtitle"))
        files = (folder / f"{video}.srt" for folder in folders)
        file = next((file for file in files if file.is_file()), None)
        return shown_text(file, path, self.subtitle_frames)


@dataclass(frozen=True)
class Line:
    """One subtitle; `start` and `end` in seconds."""

    start: float
    end: float
    text: str


def read_subtitles(path: Path) -> list[Line]:
    """The lines of an .srt file; of lines with the same times the last.

    Raises:
        ValueError: naming the file, for one that is no text or a line without its times.
    """
    try:
        sections = path.read_text("utf-8").split("\n\n")
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as subtitles ({error})") from error
    lines: dict[tuple[float, float], str] = {}
    for section in sections:
        rows = section.strip("\n").split("\n")
        if len(rows) >= 3:
            lines[_times(rows[1], path)] = " ".join(rows[2:])
    return [Line(start, end, text) for (start, end), text in lines.items()]


def shown_text(subtitles: Path | None, video: Path | None, frames: int) -> str:
    """The lines shown at `frames` moments spread from the first to the last frame of a video.

    The published code takes the lines from a `set`, in no certain order; here they come in the
    order of the file. A video that cannot be read shows none: its questions are never asked.

    Raises:
        ValueError: for a subtitle file that cannot be read.
    """
    if subtitles is None or video is None:
        return NONE
    lines = read_subtitles(subtitles)
    try:
        info = probe_video(video)
    except VideoError:
        return NONE
    total = info.num_frames or max(1, round(info.duration * info.fps))
    moments = np.linspace(0, total - 1, frames, dtype=int)
    shown = []
    for line in lines:
        first, behind = int(line.start * info.fps), int(line.end * info.fps)
        if ((moments >= first) & (moments < behind)).any():
            shown += _LINE.findall(line.text)[:1]
    return "\n".join(shown)


def _times(row: str, path: Path) -> tuple[float, float]:
    times = _TIME.findall(row)
    if len(times) != 2:
        raise ValueError(f"{path} has {row!r} where the times of a subtitle belong")
    start, end = (
        int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(thousandths) / 1000
        for hours, minutes, seconds, thousandths in times
    )
    return start, end
