"""Mass by frame against plain loops."""

import pytest
import torch
from hypothesis import given

from crossframe.experiments.observation.by_frame import PARTS, MassByFrame

from .evidence_oracle import Step
from .test_evidence import slots_of, streams


def shares(stream: list[Step], number: int) -> dict[int, float]:
    """Share of one step's mass by frame, over all heads."""
    frames = [step.frame for step in stream[: number + 1] for _ in range(step.new_tokens)]
    found = dict.fromkeys(frames, 0.0)
    for mass in stream[number].mass:
        for frame, each in zip(frames, mass, strict=True):
            found[frame] += each
    total = sum(found.values())
    return {frame: mass / total for frame, mass in found.items()}


@given(stream=streams())
def test_parts_and_distances_equal_plain_loops(stream: list[Step]) -> None:
    by_frame = MassByFrame()
    for number in range(len(stream)):
        for layer in (0, 1):
            by_frame(slots_of(stream, number, layer))
    steps = {s.frame: shares(stream, n) for n, s in enumerate(stream) if s.frame >= 1}
    last = max(steps)

    expected = dict.fromkeys(PARTS, 0.0)
    for frame, found in steps.items():
        for other, share in found.items():
            part = (
                "own frame" if other == frame
                else "prompt" if other < 0
                else "first frame" if other == 0
                else "previous frame" if other == frame - 1
                else "between"
            )  # fmt: skip
            expected[part] += share / len(steps)
    parts = [row for row in by_frame.parts() if row["layer"] == 1]
    assert {row["part"]: row["share"] for row in parts} == pytest.approx(expected)
    assert sum(row["share"] for row in parts) == pytest.approx(1.0)

    for row in [row for row in by_frame.distances() if row["layer"] == 0]:
        looking = [frame for frame in steps if frame - row["distance"] >= 1]
        found = [steps[frame][frame - row["distance"]] for frame in looking]
        assert row["frames"] == len(found)
        assert row["share"] == pytest.approx(sum(found) / len(found))
    assert [r["distance"] for r in by_frame.distances() if r["layer"] == 0] == list(range(last))


def test_what_is_held_are_frames_and_not_tokens() -> None:
    by_frame = MassByFrame()
    stream = [Step(frame, 50, [torch.ones(50 * (frame + 1)).tolist()]) for frame in range(4)]
    for number in range(4):
        by_frame(slots_of(stream, number))
    held = [len(shares) for layer in by_frame._shares.values() for shares in layer]
    assert held == [2, 3, 4, 5]  # frames and the prompt
