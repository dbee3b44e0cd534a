"""EgoSchema: three-minute egocentric videos, five long options; 500 questions with answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from .annotations import json_record, json_records, parquet_records
from .choices import lettered
from .question import Harness, MultipleChoice, Question
from .scores import accuracy

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
        if path.suffix == ".json":
            return self._from_json()
        return self._from_parquet()

    def score(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return accuracy(rows)

    def _from_parquet(self) -> Iterator[Question]:
        for record in parquet_records(self.find_annotation("Subset/test-00000-of-00001.parquet")):
            options = record.texts("option")
            place = record.index("answer", len(options))
            asked = record.text("question")
            yield self._question(
                record.name("question_idx"), record.text("video_idx"), asked, options, place
            )

    def _from_json(self) -> Iterator[Question]:
        answers = json_record(self.find_annotation("subset_answers.json"))
        for record in json_records(self.find_annotation("questions.json")):
            video = record.text("q_uid")
            if video not in answers:
                continue
            texts = [record.text(f"option {number}") for number in range(5)]
            options = [f"{letter}. {text}" for letter, text in lettered(texts).items()]
            place, asked = answers.index(video, len(options)), record.text("question")
            yield self._question(video, video, asked, options, place)

    def _question(
        self, name: str, video: str, asked: str, options: Sequence[str], place: int
    ) -> Question:
        choices = lettered(options)
        return Question(
            id=name,
            video=video,
            path=self.find_video(f"{video}.mp4", f"{video}.MP4"),
            prompt="\n".join([asked, *options]) + LAST,
            answer=list(choices)[place],
            choices=choices,
        )
