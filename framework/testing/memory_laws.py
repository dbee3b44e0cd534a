"""Laws 1 to 6, as checks of one memory on one concrete stream; `kit.py` draws the streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..frame_tokens import FrameTokens, is_prompt
from ..memory import CrossFrameMemory, WrappedMemory
from ..model import VideoModel
from ..ranking import RankingMemory
from ..slots import Slots
from ..stream.session import VideoSession
from .oracles import LoopAttention, one_shot_logits


class LawBroken(AssertionError):  # it reads as the sentence it is
    """A memory broke a law; the message says which one and where."""


@dataclass(frozen=True, eq=False)
class Stream:
    """One random stream: a model, frames in order, and how they are cut into pushes and steps.

    Attributes:
        frames: a first one without visual tokens is the prompt.
        pushes: how many frames each push holds; sums to len(frames).
        question: [B, tokens] ids.
        images: [frames, height, width, 3] uint8, for checks that need raw frames.
        frames_per_step: of the sessions.
        options: further settings of the sessions, as `VideoSession` takes them.
        recipe: the call that made it, as its repr.
    """

    model: VideoModel
    frames: Sequence[FrameTokens]
    pushes: Sequence[int]
    question: Tensor
    images: Tensor
    frames_per_step: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""

    def __repr__(self) -> str:
        sizes = [tuple(frame.embeds.shape[:2]) for frame in self.frames]
        made = self.recipe or (
            f"Stream({self.model.spec}, frames of (batch, tokens) {sizes}, pushes={self.pushes}, "
            f"frames_per_step={self.frames_per_step})"
        )
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{made}.having({options})" if options else made

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For hypothesis, which would print the tensors of a dataclass."""
        del cycle
        printer.text(repr(self))

    def session(self, memory: CrossFrameMemory, **options: Any) -> VideoSession:
        """A new session with the stream's settings."""
        settings = {"frames_per_step": self.frames_per_step, **self.options, **options}
        return VideoSession(self.model, memory, **settings)

    def having(self, **options: Any) -> Stream:
        """The stream, whose sessions have these settings too."""
        return replace(self, options={**self.options, **options})

    def parts(self) -> list[list[FrameTokens]]:
        """The frames of each push."""
        frames = iter(self.frames)
        return [[next(frames) for _ in range(count)] for count in self.pushes]

    def seen_by(self, memory: CrossFrameMemory) -> VideoSession:
        """A session that the whole stream was pushed to."""
        session = self.session(memory)
        for part in self.parts():
            session.push(part)
        return session

    @property
    def wide(self) -> float:
        """Tolerance of the exactness laws in the model's dtype."""
        return 1e-9 if self.model.dtype == torch.float64 else 1e-4


@dataclass(frozen=True)
class Watched(WrappedMemory):
    """Lets an inner memory do its work and remembers what passed it.

    Attributes:
        seen: per step, every layer's slots as the inner memory got them.
        kept: per step, every layer's slots as it returned them.
        admitted: per frame, what entered.
    """

    seen: list[list[Slots]] = field(default_factory=list)
    kept: list[list[Slots]] = field(default_factory=list)
    admitted: list[FrameTokens] = field(default_factory=list)

    def admit(
        self, frame: FrameTokens, previous: FrameTokens | None, state: dict[str, Tensor]
    ) -> FrameTokens:
        self.admitted.append(self.inner.admit(frame, previous, state))
        return self.admitted[-1]

    def update_layers(self, layers: Sequence[Slots]) -> Sequence[Slots]:
        # As they came: a score may write into both.
        self.seen.append([replace(s, stats=dict(s.stats), state=dict(s.state)) for s in layers])
        self.kept.append(list(self.inner.update_layers(layers)))
        return self.kept[-1]


def prefix_causal(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 1: every step equals loops over [carried ; frame], causal inside the frame."""
    watched = Watched(memory)
    session = stream.session(watched, frames_per_step=1)
    for frame in stream.frames:
        before = session.fork()
        session.push(frame)
        entered = frame if is_prompt(before.cursor, frame) else watched.admitted[-1]
        index = session.archive.columns["index"].joined()
        require(bool((index.diff(dim=-1) > 0).all()), "law 1: tokens entered out of order")
        loops = LoopAttention(before)
        recurrent = dict(before.state.recurrent)
        stream.model.step(entered, loops, session.max_tokens, recurrent)
        for layer, archived in enumerate(session.archive.layers):
            for name, expected in (("keys", loops.keys), ("values", loops.values)):
                new = archived[name].joined()[:, :, before.archive.num_tokens :]
                require_close(new, expected[layer], stream.wide, f"law 1: {name}, layer {layer}")


def exact_mass(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 2: mass sums to num_new * H / K for every KV head, and the reductions that the memory
    asks for are those of the step's weights."""
    watched = Watched(memory)
    stream.seen_by(watched)
    spec = stream.model.spec
    for slots in (slots for layers in watched.seen for slots in layers):
        where = f"law 2: mass of layer {slots.layer}"
        require((slots.mass is not None) == memory.needs_mass, where + " is there without need")
        if slots.mass is not None:
            total = slots.num_new * spec.num_query_heads / spec.num_kv_heads
            sums = slots.mass.sum(-1)
            require_close(sums, torch.full_like(sums, total), stream.wide, where)
        _require_reduced(memory, slots, stream.wide)


def _require_reduced(memory: CrossFrameMemory, slots: Slots, tolerance: float) -> None:
    names = slots.reduced.keys()
    where = f"law 2: layer {slots.layer}: "
    require(names == set(memory.reductions), f"{where}reductions {names} not {memory.reductions}")
    if not names:
        return
    weights = slots.weights_of(torch.arange(slots.num_new))
    expected = {
        "max": weights.amax((2, 3)),
        "squares": weights.square().sum((2, 3)),
        "output_change": _left_out(weights, slots.values.to(weights.dtype)).sum((2, 3)),
    }
    # How far an output lies from a value that it equals, as over a picture that stays, comes from
    # squares: it is exact to the root of their rounding, for every query row and head.
    eps, rows = torch.finfo(weights.dtype).eps, weights.shape[2] * weights.shape[3]
    root = 4 * rows * eps**0.5 * float(slots.values.norm(dim=-1).max())
    for name, got in slots.reduced.items():
        wide = max(tolerance, root) if name == "output_change" else tolerance
        require_close(got, expected[name], wide, where + name)


def _left_out(weights: Tensor, values: Tensor) -> Tensor:
    """[B, K, G, n, S] how far outputs move without each slot, one slot after the other."""
    outputs = weights @ values[:, :, None]
    moved = []
    for slot in range(values.shape[2]):
        others = weights.clone()
        others[..., slot] = 0
        left = others.sum(-1, keepdim=True)
        # A query that sees one slot alone has no output without it.
        without = torch.where(left > 0, others @ values[:, :, None] / left, 0)
        moved.append((outputs - without).norm(dim=-1))
    return torch.stack(moved, -1)


def exact_selection(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 3: kept slots are some of those seen, in order, and the same for the same input; a
    `RankingMemory` keeps exactly the highest, ties to the newer, unless it selects by a rule of its
    own."""
    first, second = Watched(memory), Watched(memory)
    stream.seen_by(first)
    stream.seen_by(second)
    for step, layers in enumerate(first.kept):
        for layer, kept in enumerate(layers):
            where = f"law 3: step {step}, layer {layer}: "
            seen = first.seen[step][layer]
            require(bool((kept.index.diff(dim=-1) > 0).all()), where + "slots out of order")
            again = second.kept[step][layer].index
            require(torch.equal(kept.index, again), where + "the same input kept other slots")
            found = (kept.index[..., :, None] == seen.index[..., None, :]).any(-1)
            found |= kept.index < 0
            require(bool(found.all()), where + "a kept slot was not there")
            ragged = seen.valid is not None or kept.valid is not None
            if isinstance(memory, RankingMemory) and memory.keeps_highest and not ragged:
                _require_highest(memory, seen, kept, where)


def _require_highest(memory: RankingMemory, seen: Slots, kept: Slots, where: str) -> None:
    budget = memory.budget(seen.layer, seen.num_layers)
    score = memory.ranking(replace(seen, stats=dict(seen.stats), state=dict(seen.state)))
    count = seen.num_slots if budget is None else min(budget, seen.num_slots)
    for row in range(score.shape[0]):
        for head in range(score.shape[1]):
            numbers = score[row, head].tolist()
            ranked = sorted(range(len(numbers)), key=lambda s: (numbers[s], s), reverse=True)
            expected = seen.index[row, head, sorted(ranked[:count])]
            same = torch.equal(expected, kept.index[row, head])
            require(same, where + "not the highest scores, or a tie went to the older slot")


def stream_positions(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 4: tokens keep the stream's positions; stored keys and values stay as produced, but for
    slots that a merging memory marks by `stats["merged"]`, see `merge_laws.py`."""
    session = stream.seen_by(memory)
    index, positions = (session.archive.columns[n].joined() for n in ("index", "positions"))
    whole = torch.cat([frame.positions for frame in stream.frames], -1)
    expected = whole.gather(-1, index.expand(positions.shape))
    require(torch.equal(positions, expected), "law 4: positions differ from the stream's")
    for layer in range(stream.model.spec.num_layers):
        slots = session.slots(layer)
        exempt = slots.index < 0
        if memory.merges and "merged" in slots.stats:
            exempt |= slots.stats["merged"] > 0
        for name, held in (("keys", slots.keys), ("values", slots.values)):
            stored = session.archive.layers[layer][name].joined()
            same = (_at(stored, index, slots.index) == held).all(-1) | exempt
            require(bool(same.all()), f"law 4: {name} of layer {layer} were modified")


def _at(stored: Tensor, index: Tensor, wanted: Tensor) -> Tensor:
    """[B, K, S, D] archived rows of the wanted token numbers [B, K, S]."""
    spread = index[:, None].expand(-1, wanted.shape[1], -1).contiguous()
    place = torch.searchsorted(spread, wanted.clamp(min=0).contiguous())
    place = place.clamp(max=stored.shape[2] - 1)
    return stored.gather(2, place[..., None].expand(-1, -1, -1, stored.shape[-1]))


def steps_and_pushes(memory: CrossFrameMemory, stream: Stream) -> None:
    """Law 5: no step spans pushes, and each step's new slots are the tokens of its own frames."""
    watched = Watched(memory)
    session = stream.session(watched)
    for part in stream.parts():
        before, steps = session.cursor, len(watched.seen)
        session.push(part)
        per_step = stream.frames_per_step
        expected = -(-len(part) // per_step)
        require(
            len(watched.seen) - steps == expected,
            f"law 5: {len(part)} frames in a push took "
            f"{len(watched.seen) - steps} steps of {per_step}, not {expected}",
        )
        for layers in watched.seen[steps:]:
            for slots in layers:
                own = slots.index[..., slots.num_slots - slots.num_new :]
                inside = (own >= before.tokens) & (own < session.cursor.tokens)
                require(bool(inside.all()), "law 5: a step held tokens of another push")


def exact_when_unbounded(unbounded: CrossFrameMemory, stream: Stream) -> None:
    """Law 6: an unbounded memory gives the logits of one causal forward over everything."""
    session = stream.seen_by(unbounded)
    got = session.question_logits(stream.question)
    expected = one_shot_logits(stream.model, stream.frames, stream.question)
    require_close(got, expected, stream.wide, "law 6: logits of the question")


def require(holds: bool, message: str) -> None:
    """Raise `LawBroken` unless the condition holds."""
    if not holds:
        raise LawBroken(message)


def require_close(got: Tensor, expected: Tensor, tolerance: float, message: str) -> None:
    """Raise `LawBroken` unless shapes agree and numbers differ by at most `tolerance`."""
    require(got.shape == expected.shape, f"{message}: shape {got.shape} not {expected.shape}")
    error = float((got - expected).abs().max()) if got.numel() else 0.0
    require(error <= tolerance, f"{message} differ by {error:.2e}, more than {tolerance:.0e}")
