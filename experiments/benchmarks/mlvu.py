"""MLVU: seven multiple-choice tasks on videos from three minutes to nine hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from .annotations import Record, read_records
from .choices import lettered
from .question import Harness, MultipleChoice, Question
from .scores import mean, share, shares

# The annotation files of the original layout; 8_sub_scene and 9_summary ask for free text.
TASK_FILES = (
    "1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning",
)  # fmt: skip
JSON_FOLDERS = ("json", "MLVU/json", "data")
SYSTEM = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, "
    "select the best option that accurately addresses the question."
)
ONLY = "\nOnly give the best option."
# The answer of two published items (needle_4.mp4, needle_5.mp4) is none of their candidates.
NOT_AMONG_CANDIDATES = "Catching a flying drone quadcopter"
NEVER_RIGHT = "@"  # what the official code makes of it: the character before "A"


@final
@dataclass(frozen=True)
class MLVU(MultipleChoice):
    """Reads the parquet of Hugging Face `sy1998/MLVU_dev` or the original JSON of `MLVU/MVLU`.

    Parquet: `mlvu/test-00000-of-00001.parquet`, videos beside it as `<video_name>`. Original:
    `json/1_plotQA.json` to `json/7_topic_reasoning.json` with answers as text, videos in
    `video/1_plotQA/` and so on. If both are there, the parquet is read.

    Wordings:
        lmms-eval: of lmms-eval 0.7; "Best option: (" stands in the user's turn. The parquet holds
            the options inside its questions; for the original layout they are written "(A) ...".
        official: of the benchmark's code: a system turn, and the reply made to begin
            "Best Option: (".
        rekv: of ReKV and its descendants: no system turn of its own, the reply begins
            "Best option: (".
        question: the question alone, cut off before its options; the reply is the option whose text
            it begins with. Of no published code: for small models that never learnt letters.
        The StateKV paper tells no more than "lmms-eval default prompts"; with the lmms-eval it
        builds on (2025) that is "lmms-eval" with the parser "mlvu".

    Paper: Zhou et al., "MLVU", arXiv 2406.04264. Metric: M-Avg, the mean of the tasks' accuracies
    (macro); "accuracy" is over all questions (micro), which some repositories print as M-Avg.

    Args:
        split: "dev", or "test" for `sy1998/MLVU_Test`: nine tasks, up to six options, and by an
            oversight of lmms-eval (its #1065) no "Best option: (". lmms-eval looks for A to D only,
            so that E and F are never right there; here they can be.

    Raises:
        ValueError: for an unknown split.

    Pitfalls: macro or micro; dev or test; the published dev answers hold two that are none of the
    candidates (never right, as officially) and some whose text stands twice among them (the last
    counts, as officially); the parser of lmms-eval in 2025, "mlvu", wants "X)" or the bare letter.
    """

    name: ClassVar[str] = "mlvu"
    prompts: ClassVar[Mapping[str, Harness]] = {
        "lmms-eval": Harness("lmms-eval", 16),
        "official": Harness("mlvu", 1024),
        "rekv": Harness("mlvu", 16),
        "question": Harness("text", 8),
    }
    video_folders: ClassVar[tuple[str, ...]] = (
        ".", "mlvu", "mlvu_test", "video", "MLVU/video", "videos",
    )  # fmt: skip

    split: str = "dev"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in ("dev", "test"):
            raise ValueError(f"mlvu: split must be 'dev' or 'test', got {self.split!r}")

    def read(self) -> Iterator[Question]:
        table = self.find_annotation(
            "mlvu/test-00000-of-00001.parquet",
            "test-00000-of-00001.parquet",
            *(f"{folder}/{TASK_FILES[0]}.json" for folder in JSON_FOLDERS),
        )
        if table.suffix == ".parquet":
            for number, record in enumerate(read_records(table)):
                yield self._from_parquet(record, number)
            return
        for file in TASK_FILES:
            path = self.find_annotation(*(f"{folder}/{file}.json" for folder in JSON_FOLDERS))
            for number, record in enumerate(read_records(path)):
                yield self._from_json(record, file, number)

    def score(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        tasks = shares(rows, "task")
        named = {f"task/{task}": percent for task, percent in tasks.items()}
        return {"m_avg": mean(tasks.values()), "accuracy": share(rows), **named}

    def _from_parquet(self, record: Record, number: int) -> Question:
        candidates, name = record.texts("candidates"), record.text("video_name")
        listed = record.text("question")  # its options are part of it
        return self._question(
            listed
            if self._takes_listed
            else self._asked(_first_line(record, candidates), candidates),
            lettered(candidates),
            id=record.name("question_id") if "question_id" in record else f"{number:04}",
            video=name,
            path=self.find_video(name),
            answer=record.letter("answer", lettered(candidates)),
            groups={"task": record.text("task_type")},
            evidence=record.evidence(),
        )

    def _from_json(self, record: Record, file: str, number: int) -> Question:
        candidates, name = record.texts("candidates"), record.text("video")
        task, asked = file.partition("_")[2], record.text("question")
        listed = "\n".join([asked, *_lines(candidates)])
        return self._question(
            listed if self._takes_listed else self._asked(asked, candidates),
            lettered(candidates),
            id=f"{task}-{number}",
            video=f"{task}/{name}",
            path=self.find_video(f"{file}/{name}", f"{task}/{name}"),
            answer=_letter_of(record, candidates),
            groups={"task": task},
            evidence=record.evidence(),
        )

    @property
    def _takes_listed(self) -> bool:
        """Whether the wording has no words before question and options."""
        return self.prompt == "lmms-eval"

    def _asked(self, question: str, candidates: Sequence[str]) -> str:
        """In the wording of the benchmark's own code, or the question alone."""
        if self.prompt == "question":
            return question
        return "\n".join([f"Question: {question}", "Options:", *_lines(candidates)]).rstrip()

    def _question(self, text: str, choices: Mapping[str, str], **more: Any) -> Question:
        """The question with what its wording adds to the text."""
        if self.prompt == "question":
            return Question(prompt=text, choices=choices, **more)
        if self._takes_listed:
            seed = "" if self.split == "test" else f"{ONLY}\nBest option: ("
            return Question(prompt=text + seed, choices=choices, **more)
        system, start = (SYSTEM, "Option") if self.prompt == "official" else (None, "option")
        more |= {"system": system, "reply_start": f"Best {start}: ("}
        return Question(prompt=text + ONLY, choices=choices, **more)


def _lines(candidates: Sequence[str]) -> list[str]:
    return [f"({letter}) {text}" for letter, text in lettered(candidates).items()]


def _first_line(record: Record, candidates: Sequence[str]) -> str:
    """The question of a parquet row, whose text goes on with the options on lines of their own."""
    question, _, rest = record.text("question").partition("\n")
    if not all(text in rest for text in candidates):
        raise record.fault(
            "question", "does not list its candidates after its first line; take prompt='lmms-eval'"
        )
    return question


def _letter_of(record: Record, candidates: Sequence[str]) -> str:
    """The letter of an answer given as text; the last one if it stands there twice."""
    answer = record.text("answer")
    letters = [letter for letter, text in lettered(candidates).items() if text == answer]
    if letters:
        return letters[-1]
    if answer == NOT_AMONG_CANDIDATES:
        return NEVER_RIGHT
    raise record.fault("answer", f"is {answer!r}, which is none of the candidates {candidates}")
