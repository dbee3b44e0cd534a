"""EgoSchema: three-minute egocentric videos, five long options; 500 questions with answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from .annotations import Record, read_record, read_records
from .choices import lettered
from .question import Harness, MultipleChoice, Question

LAST = "\nAnswer with the option's letter from the given choices directly."


@final
@dataclass(frozen=True)
class EgoSchema(MultipleChoice):
    """Reads `Subset/test-00000-of-00001.parquet` of Hugging Face `lmms-eval/egoschema`, or
    `questions.json` and `subset_answers.json` of the benchmark's repository.

    Videos are `videos/<id>.mp4` or `.MP4`.

    Wordings:
        lmms-eval: question, options "A. ..." to "E. ...", and the request for the letter.

    Paper: Mangalam et al., "EgoSchema", arXiv 2308.09126. Metric: accuracy over all questions.

    Left out: the other 4,531 questions, whose answers only the benchmark's server knows, and
    lmms-eval's variants that compare likelihoods of the options.

    Pitfalls: lmms-eval answers at random where it cannot read a reply; here that is invalid.
    Answers are places (0 to 4), in the parquet as text.
    """

    name: ClassVar[str] = "egoschema"
    prompts: ClassVar[Mapping[str, Harness]] = {"lmms-eval": Harness("egoschema", 16)}
    video_folders: ClassVar[tuple[str, ...]] = ("videos", "videos/videos", ".")

    def read(self) -> Iterator[Question]:
        path = self.find_annotation("Subset/test-00000-of-00001.parquet", "questions.json")
        if path.suffix == ".parquet":
            for record in read_records(path):
                name, video = record.name("question_idx"), record.text("video_idx")
                yield self._question(name, video, record, record.texts("option"), record, "answer")
            return
        answers = read_record(self.find_annotation("subset_answers.json"))
        for record in read_records(path):
            if (video := record.text("q_uid")) in answers:
                texts = [record.text(f"option {number}") for number in range(5)]
                options = [f"{letter}. {text}" for letter, text in lettered(texts).items()]
                yield self._question(video, video, record, options, answers, video)

    def _question(
        self, name: str, video: str, record: Record, options: list[str], told: Record, field: str
    ) -> Question:
        """A question whose answer is a place among the options, told by a field of a record."""
        choices = lettered(options)
        return Question(
            id=name,
            video=video,
            path=self.find_video(f"{video}.mp4", f"{video}.MP4"),
            prompt="\n".join([record.text("question"), *options]) + LAST,
            answer=list(choices)[told.index(field, len(options))],
            choices=choices,
        )
