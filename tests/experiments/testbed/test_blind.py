"""The measure of what questions give away: near chance on ours, above it where they are unfair."""

import numpy as np
import pytest

from crossframe.experiments.testbed import TASKS, TimedQuestion
from crossframe.experiments.testbed.blind import blind_guess
from crossframe.experiments.testbed.kinds import SHAPES
from crossframe.experiments.testbed.past import Past
from crossframe.experiments.testbed.tasks import Count, Order, SeenBefore


@pytest.mark.parametrize("name", ["needle", "order", "tally"])
def test_guesses_gain_nothing(name: str) -> None:
    guess = blind_guess(name, 1500)
    assert guess.questions > 60
    assert guess.right < guess.chance + 4 * guess.error
    assert guess.last_frame < guess.chance + 4 * guess.error
    assert guess.error == (guess.chance * (1 - guess.chance) / guess.questions) ** 0.5


def test_the_control_is_in_the_last_frame() -> None:
    assert blind_guess("now", 600).last_frame == 1.0


def naive_count(self: Count, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
    """Of a shape drawn alike, whatever the answer comes out as."""
    if not past.scenes:
        return None
    shape = past.scenes[int(rng.integers(len(past.scenes)))].shape
    times = min(len(past.of_shape(shape)), 3)
    return self.question(past, "how often ?", self.answers[times - 1], (past.frame,), rng)


def naive_seen(self: SeenBefore, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
    if past.present is None:
        return None
    answer = "yes" if len(past.of_shape(past.present.shape)) > 1 else "no"
    return self.question(past, self.templates[0], answer, (past.frame,), rng)


def naive_order(self: Order, past: Past, rng: np.random.Generator) -> TimedQuestion | None:
    """Of shapes in view, too."""
    begun = list(dict.fromkeys(SHAPES[scene.shape] for scene in past.scenes))
    if len(begun) < 2:
        return None
    places = sorted(rng.permutation(len(begun))[:2].tolist())
    first, other = (begun[place] for place in places)
    text = f"was the {min(first, other)} or the {max(first, other)} first ?"
    return self.question(past, text, first, (past.frame,), rng)


def test_what_the_last_frame_gives_away_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Order, "ask", naive_order)
    guess = blind_guess("order", 2000)
    assert guess.last_frame > guess.chance + 4 * guess.error > guess.right


@pytest.mark.parametrize(("name", "naive"), [("count", naive_count), ("seen_before", naive_seen)])
def test_an_unfair_task_is_found_out(
    name: str, naive: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(TASKS[name]), "ask", naive)
    guess = blind_guess(name, 600)
    assert guess.right > guess.chance + 4 * guess.error


def test_too_few_clips_are_told() -> None:
    with pytest.raises(ValueError, match="1 clips give no question of now to one half: take more"):
        blind_guess("now", 1)
