"""The bundled video: a clip of the testbed, and what is asked at its end.

Nothing is picked to please: of the part that judges, the first seed whose clip has a fair question
of every task that the model was taught.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ..testbed.asking import ask_at_end
from ..testbed.chance import PARTS, generator
from ..testbed.clip import make_truth
from ..testbed.course import SynthCourse
from ..testbed.lessons import TimedQuestion
from ..testbed.sprites import Picture
from ..testbed.tasks import TASKS as KINDS

# All that crossframe/tiny-internvl3 was taught, as its card tells.
TASKS = ("now", "needle", "recall", "first", "last", "before_last", "order")
HALF = "judge"
SCENES = 30
SCENE = 8  # frames of the video that a scene stays
RATE = 4  # frames of the video per second
SECONDS = SCENE / RATE  # of a scene; the model sees one frame of each
COURSE = SynthCourse(size=128, part=PARTS[HALF], scene=(SCENE, SCENE))


@dataclass(frozen=True)
class DemoClip:
    """A clip and its questions, drawn by its seed alone."""

    seed: int
    questions: tuple[TimedQuestion, ...]

    def draw(self) -> Picture:
        """Its frames [240, 128, 128, 3] uint8, before encoding."""
        return COURSE.clip(self.seed, SCENES * SCENE).frames

    def about(self) -> dict[str, Any]:
        """How it was come by, for people."""
        return {
            "part": HALF,
            "seed": self.seed,
            "frames": SCENES * SCENE,
            "frames per second": RATE,
            **asdict(COURSE.setting(self.seed)),
        }


def video_path() -> Path:
    """The bundled file."""
    return Path(__file__).parents[1] / "assets" / "demo.mp4"


def demo_clip() -> DemoClip:
    """The first seed that has a question of every task."""
    clips = (DemoClip(seed, questions_at_end(seed)) for seed in count())
    return next(clip for clip in clips if len(clip.questions) == len(TASKS))


def questions_at_end(seed: int) -> tuple[TimedQuestion, ...]:
    """One of each task that has a fair question when the clip of this seed has ended."""
    truth = make_truth(COURSE.setting(seed), COURSE.part, seed, SCENES * SCENE)
    rng = generator(COURSE.part, seed, "questions")
    return tuple(
        question for _, question in ask_at_end([KINDS[name] for name in TASKS], truth, rng)
    )


def evidence_scenes(question: TimedQuestion) -> list[int]:
    """The scenes that show what answers it, counted from 0, as are the frames that the model
    sees."""
    return sorted({frame // SCENE for frame in question.evidence})


def told(question: TimedQuestion) -> dict[str, Any]:
    """A question as rows and pages have it; when its evidence came into view, in seconds."""
    shown = [SECONDS * scene for scene in evidence_scenes(question)]
    return {
        "task": question.task,
        "question": question.text,
        "right answer": question.answer,
        "shown at": shown,
    }
