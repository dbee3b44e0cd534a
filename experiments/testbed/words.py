"""All words of questions, answers and captions: one list, whatever a course asks."""

from __future__ import annotations

from functools import cache
from itertools import chain

from .kinds import COLOUR_NAMES, CUPS, SHAPES, SIDES
from .tasks import TASKS
from .tasks.task import NUMBERS

# Of a caption, beside colour and shape.
ARTICLE, STOP = "a", "."


@cache
def words() -> tuple[str, ...]:
    """Each once, in alphabetical order."""
    texts = chain.from_iterable(task.templates for task in TASKS.values())
    asked = {word for text in texts for word in text.split()} - {"{}"}
    said = {*COLOUR_NAMES, *SHAPES, *CUPS, *SIDES, *NUMBERS, "yes", "no", ARTICLE, STOP}
    return tuple(sorted(asked | said))
