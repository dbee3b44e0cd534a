"""NaN and Inf anywhere in a model at any time: the right answer, or one that says it is none."""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch
from torch import Tensor

from crossframe.framework import FrameTokens, FullMemory, VideoSession
from crossframe.framework.reference import ReferenceDecoder
from crossframe.methods import ContiguousPositions, KeyDiffMemory, StateKVMemory
from crossframe.models.checkpoints.weights import require_finite_weights

from .cases import Case, Family

MEMORIES = (
    FullMemory(),
    StateKVMemory(6),
    KeyDiffMemory(6),
    ContiguousPositions(StateKVMemory(6)),
)
VALUES = (float("nan"), float("inf"), float("-inf"), 1e300)
FRAMES = 5
Outcome = tuple[bool, Tensor, bool]  # finite as told, logits, whether `check` raised


def overflow(draw: Random, folder: Path) -> Case:
    """One weight breaks while one frame or the question passes, and is mended again."""
    del folder
    memory, value = draw.choice(MEMORIES), draw.choice(VALUES)
    names = sorted(ReferenceDecoder().weights)
    name, when, seed = draw.choice(names), draw.randrange(FRAMES + 1), draw.randrange(99)
    place = draw.random()

    def run(breaks: bool) -> Outcome:
        model = ReferenceDecoder()
        session = VideoSession(model, memory)
        generator, whole = torch.Generator().manual_seed(seed), model.weights[name].clone()
        broken = whole.clone()
        broken.view(-1)[int(place * whole.numel())] = value
        for number in range(FRAMES):
            model.weights[name] = broken if breaks and number == when else whole
            embeds = torch.randn(1, 3, 24, generator=generator, dtype=torch.float64)
            session.push(FrameTokens(embeds, 3 * number + torch.arange(3)[None, None]))
        model.weights[name] = broken if breaks and when == FRAMES else whole
        answer = session.ask([3, 1, 4], max_new_tokens=2)
        try:
            session.check()
        except ValueError:
            return answer.finite, answer.first_logits, True
        return answer.finite, answer.first_logits, False

    def right(found: object) -> None:
        assert isinstance(found, tuple)
        told, logits, raised = found
        # A broken stream spoils its answers; a broken question leaves the session sound.
        assert not (raised and told)
        assert not (raised and when == FRAMES)
        if told and value != 1e300:  # a large number is a number
            torch.testing.assert_close(logits, run(breaks=False)[1], rtol=0, atol=1e-9)
        assert logits.isfinite().all() or not told

    return Case(f"{memory}, {name} is {value} at {when}", lambda: run(breaks=True), right)


def damaged(draw: Random, folder: Path) -> Case:
    """Any number of broken weights in any tensor of a module is found, and nothing else."""
    torch.manual_seed(draw.randrange(99))
    dtype = draw.choice((torch.float64, torch.float32, torch.bfloat16, torch.float16))
    module = torch.nn.Sequential(torch.nn.Linear(4, 9), torch.nn.BatchNorm1d(9)).to(dtype)
    count, names = draw.randint(0, 2), [*dict(module.named_parameters()), "1.running_var"]
    chosen = sorted(draw.sample(names, count))
    for name in chosen:
        values = module.state_dict()[name]
        values.view(-1)[draw.randrange(values.numel())] = draw.choice(VALUES[:3])
    where = folder / "checkpoint"
    return Case(
        f"{dtype}, broken {chosen}",
        lambda: require_finite_weights(module, where),
        right=None if chosen else (lambda found: None),
        names=(f"in {count} of", str(where), "load in another dtype"),
    )


FAMILIES = (Family("overflow", overflow, 60), Family("damaged weights", damaged, 30))
