"""The measures of evidence over again, with sets and floats: slow, and of another mind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

Mass = Sequence[float]  # of each token so far
Share = float | None  # None: of nothing


@dataclass
class Step:
    """One step of full attention: frame -1 is the prompt."""

    frame: int
    new_tokens: int
    mass: Sequence[Mass]  # per KV head


def best(mass: Mass, among: set[int], count: int) -> set[int]:
    """Of equal tokens the newer first."""
    return set(sorted(among, key=lambda token: (mass[token], token))[-count:])


def share(part: set[int], whole: set[int], mass: Mass | None = None) -> Share:
    if not whole:
        return None
    if mass is None:
        return len(part & whole) / len(whole)
    return sum(mass[token] for token in part & whole) / sum(mass[token] for token in whole)


def average(shares: Sequence[Share]) -> Share:
    known = [each for each in shares if each is not None]
    return mean(known) if known else None


@dataclass
class State:
    """What one head of one level would have carried."""

    oracle: set[int] = field(default_factory=set)
    past: set[int] = field(default_factory=set)
    rolled: set[int] = field(default_factory=set)
    history: set[int] = field(default_factory=set)

    def step(self, mass: Mass, new_tokens: int, capacity: int) -> dict[str, Share]:
        everything = set(range(len(mass)))
        history = set(range(len(mass) - new_tokens))
        new = everything - history
        wanted, wanted_past = best(mass, everything, capacity), best(mass, history, capacity)
        rolled = best(mass, self.rolled | new, capacity)
        measured: dict[str, Share] = {
            "captured": share(wanted_past, history, mass),
            "captured_rolled": share(self.rolled, history, mass),
        }
        for name, state in (("", self.oracle), ("_rolled", self.rolled)):
            measured[f"recall{name}"] = share(state | new, wanted)
            measured[f"recall{name}_past"] = share(state, wanted_past)
            measured[f"weighted_recall{name}"] = share(state | new, wanted, mass)
            measured[f"weighted_recall{name}_past"] = share(state, wanted_past, mass)
        pairs = {
            "": (self.oracle, wanted),
            "_past": (self.past, wanted_past),
            "_rolled": (self.rolled, rolled),
            "_rolled_past": (self.rolled & self.history, rolled & history),
        }
        for name, (before, now) in pairs.items():
            measured[f"retention{name}"] = share(now, before)
            stayed = share(before, now)
            measured[f"churn{name}"] = None if stayed is None else 1 - stayed
        self.oracle, self.past, self.rolled, self.history = wanted, wanted_past, rolled, history
        return measured


def rows(steps: Sequence[Step], capacity: int, *, summed: bool) -> Iterator[dict[str, Any]]:
    """Rows of one layer at level "layer" (summed over heads) or "head"."""
    states = [State() for _ in (steps[0].mass if not summed else [0])]
    for step in steps:
        heads = [list(map(sum, zip(*step.mass, strict=True)))] if summed else step.mass
        found = [
            state.step(mass, step.new_tokens, capacity)
            for state, mass in zip(states, heads, strict=True)
        ]
        if step.frame >= 1:
            means = {name: average([head[name] for head in found]) for name in found[0]}
            history = len(heads[0]) - step.new_tokens
            yield {"frame": step.frame, "history": history, "capacity": capacity, **means}


def recency(steps: Sequence[Step], frames: int, *, summed: bool) -> Iterator[dict[str, Any]]:
    """Rows beside the last frames."""
    numbers: list[int] = []
    for step in steps:
        numbers += [step.frame] * step.new_tokens
        if step.frame < 1:
            continue
        heads = [list(map(sum, zip(*step.mass, strict=True)))] if summed else step.mass
        history = set(range(len(numbers) - step.new_tokens))
        recent = {t for t in history if numbers[t] >= 0 and numbers[t] >= step.frame - frames}
        sinks = history & {0, 1, 2, 3}
        found = {
            "captured_best": [share(best(m, history, len(recent)), history, m) for m in heads],
            "captured_recent": [share(recent, history, m) for m in heads],
            "captured_recent_sinks": [share(recent | sinks, history, m) for m in heads],
        }
        means = {name: average(shares) for name, shares in found.items()}
        assert means["captured_best"] is not None
        assert means["captured_recent"] is not None
        gap = means["captured_best"] - means["captured_recent"]
        about = {"frame": step.frame, "recent_frames": frames, "slots": len(recent)}
        yield {**about, **means, "gap": gap}
