"""The course: settings mixed by seed, questions at several times, and what could be told of each
frame without being asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .asking import ask_at_times
from .captions import captions
from .chance import generator
from .clip import Clip, make_clip
from .kinds import BACKGROUNDS, COLOUR_NAMES, COLOURS, QUADRANTS, SHAPES
from .lessons import Lesson
from .setting import Range, Setting
from .tasks import TASKS, Task, task_from
from .truth import Scene, Truth
from .words import words


@dataclass(frozen=True)
class SynthCourse:
    """Fulfils `Course`: an endless supply of clips, each from (part, seed) and these settings.

    Every seed draws the length of its scenes, whether backgrounds are static or changing, whether
    there are cuts, distractors and occlusion, and the stage, among those that its tasks ask about.

    Args:
        size: of the square frames in pixels, 32 to 128.
        tasks: as `task_from` reads them; by default all that share the stage "scenes".
        every: things change only at multiples of it; 2 for models that pair frames.
        part: 0 to train, 1 to search, 2 to judge; no clip of one is in another.
        scene: frames that a scene stays, drawn per clip.
        questions: per lesson, as far as fair ones can be had.

    Raises:
        ValueError: for settings, tasks or parts that there are not.
    """

    size: int = 32
    tasks: tuple[str, ...] = tuple(name for name, task in TASKS.items() if task.stage == "scenes")
    every: int = 1
    part: int = 0
    scene: Range = (1, 6)
    questions: int = 8

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ValueError(f"a course needs a task; known are {', '.join(TASKS)}")
        if self.questions < 1:
            raise ValueError(f"questions must be at least 1 a lesson, got {self.questions}")
        # What is unknown is refused here, not at the first lesson.
        generator(self.part, 0, "setting")
        Setting(size=self.size, every=self.every, scene=self.scene)
        for task in self.tasks:
            task_from(task)

    @property
    def words(self) -> Sequence[str]:
        return words()

    @property
    def labels(self) -> Mapping[str, int]:
        return {
            "shape": len(SHAPES),
            "colour": len(COLOURS),
            "background": len(BACKGROUNDS),
            "place": QUADRANTS,
        }

    def setting(self, seed: int) -> Setting:
        """What the clip of a seed is drawn by."""
        rng = generator(self.part, seed, "setting")
        task = self._asking[int(rng.integers(len(self._asking)))]
        static, cut, crowded, occluded = (rng.random(4) < (0.5, 0.5, 0.3, 0.3)).tolist()
        return replace(
            self._base,
            stage=task.stage,
            background="static" if static else "changing",
            cuts=0.3 if cut else 0.0,
            distractors=2 if crowded else 0,
            occlusion=0.2 if occluded else 0.0,
        )

    def clip(self, seed: int, frames: int) -> Clip:
        """The clip of a seed, with its truth.

        Raises:
            ValueError: for a number of frames that is no multiple of `every`.
        """
        return make_clip(self.setting(seed), self.part, seed, frames)

    def lesson(self, seed: int, frames: int) -> Lesson:
        """The video of this seed, with questions at several times.

        Raises:
            ValueError: for a number of frames that is no multiple of `every`.
        """
        clip = self.clip(seed, frames)
        stage, rng = self.setting(seed).stage, generator(self.part, seed, "questions")
        tasks = [task for task in self._asking if task.stage == stage]
        asked = ask_at_times(tasks, clip.truth, self.every, self.questions, rng)
        questions = tuple(question for _, question in asked)
        shown = torch.from_numpy(clip.frames)
        told = captions(clip.truth, self.every) if stage == "scenes" else ()
        running = self._running(clip.truth)
        return Lesson(shown, labels_of(clip.truth), running, questions, tuple(told))

    def stills(self, seed: int, count: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Single frames [count, size, size, 3] uint8, nothing alike between them, and their labels
        [count] by kind, -1 where there is nothing."""
        setting = replace(
            self._base, scene=1, every=1, cuts=1.0, distractors=1, occlusion=0.1, shapes=5
        )
        clip = make_clip(setting, self.part, seed, count)
        return torch.from_numpy(clip.frames), labels_of(clip.truth)

    @cached_property
    def _asking(self) -> tuple[Task, ...]:
        return tuple(map(task_from, self.tasks))

    @cached_property
    def _base(self) -> Setting:
        return Setting(size=self.size, every=self.every, scene=self.scene)

    @cached_property
    def _colours(self) -> Sequence[int]:
        """Place among the words by class."""
        return [self.words.index(name) for name in COLOUR_NAMES]

    @cached_property
    def _shapes(self) -> Sequence[int]:
        return [self.words.index(name) for name in SHAPES]

    def _running(self, truth: Truth) -> dict[str, Tensor]:
        """Per frame the words that an attentive viewer could say: colour and shape in view, the
        colour that this shape had the last time ("recall") and the time before ("before_last")."""
        told = {name: np.full(truth.frames, -1) for name in ("colour", "shape", "recall")}
        told["before_last"] = np.full(truth.frames, -1)
        shown: dict[int, list[Scene]] = {}
        for scene in truth.scenes:
            earlier, span = shown.setdefault(scene.shape, []), slice(scene.start, scene.end)
            told["colour"][span] = self._colours[scene.colour]
            told["shape"][span] = self._shapes[scene.shape]
            for name, back in (("recall", 1), ("before_last", 2)):
                if len(earlier) >= back:
                    told[name][span] = self._colours[earlier[-back].colour]
            earlier.append(scene)
        return {name: torch.from_numpy(row) for name, row in told.items()}


def labels_of(truth: Truth) -> dict[str, Tensor]:
    """Classes [frames] by kind."""
    kinds = ("shape", "colour", "background", "place")
    return {kind: torch.from_numpy(getattr(truth, kind)) for kind in kinds}
