"""Answers by plain loops over what frames show, told apart from how the tasks find them."""

from collections import Counter
from collections.abc import Iterable

from crossframe.experiments.testbed import TimedQuestion, Truth
from crossframe.experiments.testbed.kinds import COLOUR_NAMES, CUPS, SHAPES, SIDES

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six"]
Run = tuple[str, str]


def runs(truth: Truth, frames: Iterable[int]) -> list[Run]:
    """(colour, shape) of every stretch of neighbouring frames that show the same."""
    found: list[Run] = []
    before = (-2, "", "")
    for frame in frames:
        if truth.shape[frame] < 0:
            continue
        seen = (frame, COLOUR_NAMES[truth.colour[frame]], SHAPES[truth.shape[frame]])
        if seen[1:] != before[1:] or seen[0] != before[0] + 1:
            found.append((seen[1], seen[2]))
        before = seen
    return found


def answer_from_all(truth: Truth, question: TimedQuestion) -> str:
    """From every frame up to the question's."""
    words = question.text.split()
    seen = runs(truth, range(question.frame + 1))
    colours = [colour for colour, _ in seen]
    now = seen[-1][1] if seen else ""
    same = [colour for colour, shape in seen if shape == now]
    match question.task:
        case "now":
            return seen[-1][0 if words[1] == "colour" else 1]
        case "first":
            return seen[0][0 if words[1] == "colour" else 1]
        case "last":
            return colours[-1 - NUMBERS.index(words[3])]
        case "needle":
            return [colour for colour, shape in seen if shape == words[4]][-1]
        case "recall":
            return same[-2]
        case "before_last":
            return same[-3]
        case "order":
            shapes = [shape for _, shape in seen]
            return min(words[2], words[5], key=shapes.index)
        case "seen_before":
            return "yes" if len(same) > 1 else "no"
        case "count":
            wanted = set(words[4:-2])
            return NUMBERS[sum(wanted <= set(one) for one in seen)]
        case "tally":
            return NUMBERS[Counter(colours)[words[3]] % NUMBERS.index(words[5])]
    return hidden_answer(truth, question, range(question.frame + 1))


def answer_from_evidence(truth: Truth, question: TimedQuestion) -> str:
    """From its evidence, and what is in view where it asks about "this"."""
    words = question.text.split()
    seen = runs(truth, question.evidence)
    match question.task:
        case "now" | "first":
            ((colour, shape),) = seen
            return colour if words[1] == "colour" else shape
        case "last" | "needle" | "recall" | "before_last":
            ((colour, _),) = seen
            return colour
        case "order":
            assert {shape for _, shape in seen} == {words[2], words[5]}
            return seen[0][1]
        case "seen_before":
            now = SHAPES[truth.shape[question.frame]]
            return "yes" if now in {shape for _, shape in seen} else "no"
        case "count":
            assert all(set(words[4:-2]) <= set(one) for one in seen)
            return NUMBERS[len(seen)]
        case "tally":
            assert {colour for colour, _ in seen} == {words[3]}
            return NUMBERS[len(seen) % NUMBERS.index(words[5])]
    return hidden_answer(truth, question, question.evidence)


def hidden_answer(truth: Truth, question: TimedQuestion, frames: Iterable[int]) -> str:
    """Where the ball is, or by which side a shape left, from what begins in these frames."""
    at, side = -1, ""
    for frame in frames:
        for scene in truth.scenes:
            if scene.start == frame:
                at = scene.cup
                if SHAPES[scene.shape] in question.text.split():
                    side = SIDES[scene.side]
        for swap in truth.swaps:
            if swap.start == frame and at in (swap.first, swap.second):
                at = swap.second if at == swap.first else swap.first
    return CUPS[at] if question.task == "swaps" else side
