"""The suites of clips: procedural videos with known answers, through a video model's own adapter.

Clips of the testbed are asked about when they have ended, once for each task that has a fair
question then. All clips of a batch pass together, frame by frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...framework import FrameTokens, VideoModel, VideoSession
from ...framework.metrics import kl_to_full
from ...framework.stream.encoding import encode_frames
from ..testbed.asking import ask_at_end
from ..testbed.chance import PARTS, generator
from ..testbed.course import SynthCourse
from ..testbed.lessons import TimedQuestion
from ..testbed.tasks import TASKS

# What a suite shows, by the stage of the testbed.
STAGES: Mapping[str, str] = {"clips": "scenes", "cups": "cups", "exits": "exits"}
FPS = 1.0  # frames of a clip that the model is told of per second


@dataclass(frozen=True)
class Ask:
    """A question about one clip of a batch, as tokens.

    Attributes:
        row: the clip's.
        ids: of all that follows the video.
        answer: the token that is right.
    """

    row: int
    question: TimedQuestion
    ids: tuple[int, ...]
    answer: int

    @property
    def age(self) -> int:
        """Frames since the last of the evidence."""
        return self.question.frame - self.question.evidence[-1]


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """Clips that pass together.

    Attributes:
        model: set up for clips of this length.
        frames: prompt and temporal patches, a row per clip.
        rounds: questions of equally many tokens, at most one about a clip, asked at once.
    """

    model: VideoModel
    frames: Sequence[FrameTokens]
    rounds: Sequence[Sequence[Ask]]


@dataclass(frozen=True, eq=False)
class Reply:
    """What a session made of a question.

    Attributes:
        right: whether the right token is the likeliest.
        loss: of the right token, nats.
        logits: [vocab] float32 of the first token of the answer.
    """

    right: bool
    loss: float
    logits: Tensor


def clip_batch(
    model: VideoModel,
    suite: str,
    half: str,
    seeds: Sequence[int],
    frames: int,
    scene: tuple[int, int] = (1, 1),
) -> ClipBatch:
    """The clips of these seeds, encoded, with the questions at their end.

    Args:
        suite: one of `STAGES`.
        half: "search" or "judge".
        frames: of each clip.
        scene: frames that a scene stays, (least, most) to draw a number per clip from.

    Raises:
        ValueError: for a number of frames that is no multiple of the model's temporal patch, or a
            model that cannot take the clips.
    """
    tasks = tuple(name for name, task in TASKS.items() if task.stage == STAGES[suite])
    part = PARTS[half]
    course = SynthCourse(tasks=tasks, every=model.frames_per_patch, part=part, scene=scene)
    clips = [course.clip(seed, frames) for seed in seeds]
    ready = model.for_stream(frames, fps=FPS)
    encoded = [_encoded(ready, torch.from_numpy(clip.frames)) for clip in clips]
    kinds = [TASKS[task] for task in tasks]
    asks = [
        _as_tokens(ready, row, question)
        for row, (seed, clip) in enumerate(zip(seeds, clips, strict=True))
        for _, question in ask_at_end(kinds, clip.truth, generator(part, seed, "questions"))
    ]
    return ClipBatch(
        ready, [_stacked(parts) for parts in zip(*encoded, strict=True)], _rounds(asks)
    )


def pass_clips(session: VideoSession, batch: ClipBatch) -> None:
    """Push all of a batch, patch by patch."""
    for frame in batch.frames:
        session.push(frame)


def replies(session: VideoSession, batch: ClipBatch) -> Iterator[tuple[Ask, Reply]]:
    """What the session answers to every question of its batch."""
    rows = batch.frames[0].batch
    for asks in batch.rounds:
        # Clips without a question in this round are asked another's, and not listened to.
        ids = torch.tensor(asks[0].ids).repeat(rows, 1)
        for ask in asks:
            ids[ask.row] = torch.tensor(ask.ids)
        logits = session.question_logits(ids)[:, -1].float().cpu()
        losses = -logits.log_softmax(-1)
        for ask in asks:
            right = int(logits[ask.row].argmax()) == ask.answer
            yield ask, Reply(right, float(losses[ask.row, ask.answer]), logits[ask.row])


def told(
    given: Mapping[str, Sequence[tuple[Ask, Reply]]], full: Sequence[Reply], rows: int
) -> list[dict[str, dict[str, list[float | bool | int]]]]:
    """Per clip and task: ages, whether right, loss and KL to full attention, by reading.

    Args:
        given: replies by reading, all to the same questions in one order.
        full: those of full attention to the whole archive.
    """
    clips: list[dict[str, dict[str, list[float | bool | int]]]] = [
        defaultdict(lambda: defaultdict(list)) for _ in range(rows)
    ]
    for number, (reading, answers) in enumerate(given.items()):
        for (ask, reply), reference in zip(answers, full, strict=True):
            task = clips[ask.row][ask.question.task]
            if number == 0:
                task["age"].append(ask.age)
            task[f"right_{reading}"].append(reply.right)
            task[f"loss_{reading}"].append(reply.loss)
            task[f"kl_{reading}"].append(float(kl_to_full(reply.logits, reference.logits)))
    return [{task: dict(lists) for task, lists in clip.items()} for clip in clips]


def _encoded(model: VideoModel, frames: Tensor) -> list[FrameTokens]:
    timed = [(frame, number / FPS) for number, frame in enumerate(frames)]
    return [part.tokens for part in encode_frames(model, timed)]


def _stacked(parts: Sequence[FrameTokens]) -> FrameTokens:
    """The same patch of several clips as rows of one."""
    first, *others = parts
    return first.map(lambda *tensors: torch.cat(tensors), *others)


def _as_tokens(model: VideoModel, row: int, question: TimedQuestion) -> Ask:
    ids = model.question_ids(question.text)[0].tolist()
    answer = model.reply_ids(question.answer)[0].tolist()
    if len(answer) != 1:
        raise ValueError(
            f"the model's tokenizer cuts the answer {question.answer!r} into {len(answer)} tokens: "
            "clips are for models whose words are whole, such as crossframe/tiny-internvl3"
        )
    return Ask(row, question, tuple(ids), answer[0])


def _rounds(asks: Sequence[Ask]) -> list[list[Ask]]:
    """At most one question about a clip in each, all of one length."""
    rounds: list[list[Ask]] = []
    for length in sorted({len(ask.ids) for ask in asks}):
        waiting = [ask for ask in asks if len(ask.ids) == length]
        while waiting:
            now = {ask.row: ask for ask in reversed(waiting)}
            rounds.append([now[row] for row in sorted(now)])
            waiting = [ask for ask in waiting if now[ask.row] is not ask]
    return rounds
