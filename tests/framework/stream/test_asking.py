"""Questions to several videos at once: each answer is that of a session of its own."""

import pytest
import torch
from torch import Tensor

from crossframe.framework import (
    Answer,
    CrossFrameMemory,
    FullMemory,
    Int8Archive,
    PlainArchive,
    Reader,
    VideoSession,
    stack_videos,
)
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import (
    AdaptiveHeadBudgets,
    ContiguousPositions,
    ReadCarried,
    ReadLastFrames,
    ReadSinksAndRecent,
    ReKVReader,
    StateKVMemory,
)

from ..streams import images

RAGGED = ContiguousPositions(AdaptiveHeadBudgets(StateKVMemory(5)))
QUESTIONS = [[3, 1, 4, 1, 5], [9], [2, 6, 5]]
CLIPS = [images(5, seed=seed) for seed in range(3)]
WITHOUT_QUERIES = [
    (FullMemory(), None),
    (RAGGED, ReadCarried()),
    (StateKVMemory(5), ReadLastFrames(2)),
    (RAGGED, ReadSinksAndRecent(2, 6)),
]


def session_of(*clips: Tensor, memory: CrossFrameMemory, **options) -> VideoSession:
    session = VideoSession(options.pop("model", ReferenceDecoder(axes=3)), memory, **options)
    session.push(stack_videos(clips))
    return session


def require_as_alone(questions: list[list[int]], memory: CrossFrameMemory, **options) -> None:
    session = session_of(*CLIPS, memory=memory, **options)
    before = session.question_logits([1])
    answers = session.ask(questions, max_new_tokens=4)
    assert torch.equal(session.question_logits([1]), before)
    for clip, question, answer in zip(CLIPS, questions, answers, strict=True):
        alone = session_of(clip, memory=memory, **options).ask(question, max_new_tokens=4)
        assert torch.equal(answer.token_ids, alone.token_ids)
        torch.testing.assert_close(answer.first_logits, alone.first_logits, atol=1e-9, rtol=0)
        assert answer.finite


@pytest.mark.parametrize(("memory", "reader"), WITHOUT_QUERIES, ids=str)
def test_questions_of_any_lengths_are_answered_as_alone(memory, reader: Reader | None) -> None:
    require_as_alone(QUESTIONS, memory, reader=reader)


@pytest.mark.parametrize("attention", ["plain", "chunked", "sdpa"])
@pytest.mark.parametrize("archive", [PlainArchive, Int8Archive])
def test_padding_is_hidden_from_an_archive_read_in_blocks(archive, attention, monkeypatch) -> None:
    monkeypatch.setattr(archive, "block_bytes", 2048)
    monkeypatch.setattr(archive, "kept_bytes", 0)
    require_as_alone(QUESTIONS, FullMemory(), archive=archive(), attention=attention)


def test_a_reader_of_queries_is_asked_at_equal_lengths_only() -> None:
    equal = [[3, 1], [4, 1], [5, 9]]
    require_as_alone(equal, FullMemory(), reader=ReKVReader(2))
    session = session_of(*CLIPS, memory=FullMemory(), reader=ReKVReader(2))
    words = r"questions of \[5, 1, 3\] tokens .* ReKVReader, which picks by .* a session of its own"
    with pytest.raises(ValueError, match=words):
        session.ask(QUESTIONS)


def test_a_list_of_one_question_gives_a_list_of_one_answer() -> None:
    session = session_of(CLIPS[0], memory=FullMemory())
    (answer,) = session.ask([[3, 1]], max_new_tokens=2)
    assert isinstance(answer, Answer)
    assert torch.equal(answer.first_logits, session.ask([3, 1], max_new_tokens=2).first_logits)
    assert torch.equal(
        session.ask([torch.tensor([3, 1])], max_new_tokens=1)[0].first_logits, answer.first_logits
    )


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (
            [3, 1],
            "got 1 questions about a batch of 3: about a batch give a list, a question for each",
        ),
        ([[3], [1]], "got 2 questions about a batch of 3 videos: give a list of one for each"),
        ([torch.ones(3, 2).long()], "got 3 questions about a batch of 3 videos: give a list of"),
    ],
    ids=["one", "too few", "one of three rows"],
)
def test_questions_that_are_not_one_for_each_video_are_refused(question, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        session_of(*CLIPS, memory=FullMemory()).ask(question)


class Noting(ReferenceDecoder):
    def generate_each(self, token_ids, positions, reading, **options):
        self.asked = token_ids
        return super().generate_each(token_ids, positions, reading, **options)


def test_padding_holds_no_token_that_its_question_does_not() -> None:
    model = Noting()
    session_of(*CLIPS, memory=FullMemory(), model=model).ask(QUESTIONS, max_new_tokens=1)
    assert [set(row.tolist()) for row in model.asked] == [set(ids) for ids in QUESTIONS]


class OneByOne(ReferenceDecoder):
    def generate_each(self, token_ids, positions, reading, **options):
        return super(ReferenceDecoder, self).generate_each(token_ids, positions, reading, **options)


def test_a_model_that_decodes_one_question_says_so() -> None:
    session = session_of(*CLIPS, memory=FullMemory(), model=OneByOne())
    with pytest.raises(ValueError, match="OneByOne answers one question at a time: give each"):
        session.ask(QUESTIONS)
