"""The table of memories on clips of the testbed, at shares of a clip's slots, for one model.

`python -m crossframe.experiments.publishing.clip_table --model crossframe/tiny-internvl3 --output
runs/testbed [--frames 64] [--scene '[1,4]'] [--half judge]`, then `publish --evidence runs/testbed
--as NAME`. Run again to go on after a stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jsonargparse import auto_cli

from ...framework import CrossFrameMemory, Reader
from ...methods import (
    CoverageMemory,
    FullMemory,
    H2OMemory,
    InfiniPotVMemory,
    IsolatedFramesMemory,
    KeyDiffMemory,
    KnormMemory,
    LagKVMemory,
    PredictedChangeMemory,
    ProtectedRecent,
    ProtectedSinks,
    RandomMemory,
    ReadLastFrames,
    ReadSinksAndRecent,
    RecencyMemory,
    ReservoirMemory,
    SinksAndRecentMemory,
    SlidingWindowMemory,
    SmoothedScore,
    SnapKVMemory,
    StateKVMemory,
    StreamMemMemory,
    TokenDroppingMemory,
    TOVAMemory,
    UniformMemory,
    ValueNormMemory,
    WeightStatisticMemory,
)
from ..evidence.clips import clip_batch
from ..evidence.grid import TIMES
from ..evidence.options import EvidenceOptions
from ..evidence.page import read_results, write_page
from ..evidence.run import run_evidence
from ..streaming.cells import Cell
from ..streaming.options import ModelOptions

SHARES = (0.02, 0.05, 0.1, 0.25)
SINKS, SEEDS = 4, 3
# Of a frame's visual tokens: of 4 one is left, and text enters always, so there is no other size.
DROPPED = 0.75
LEAST = 2 * SINKS  # slots: half of them sinks


@dataclass(frozen=True)
class Size:
    """What bounded memories hold: slots of a KV head, in a stream of frames of so many tokens."""

    slots: int
    frame_tokens: int

    @property
    def frames(self) -> int:
        """Whole frames in these slots."""
        return max(1, self.slots // self.frame_tokens)


def cells(
    stream_tokens: int, frame_tokens: int, shares: Sequence[float] = SHARES
) -> dict[str, Cell]:
    """All memories at shares of a stream, controls, and every memory with other readers at 5 %.

    Args:
        stream_tokens: of a clip with its prompt.
        frame_tokens: of a temporal patch.
    """
    made = {"full": Cell(FullMemory()), "isolated": Cell(IsolatedFramesMemory())}
    for frames in (1, 4):
        name = "last frame alone" if frames == 1 else f"last {frames} frames alone"
        made[name] = Cell(IsolatedFramesMemory(), ReadLastFrames(frames))
    made["token dropping"] = Cell(TokenDroppingMemory(FullMemory(), ratio=DROPPED))
    for share in shares:
        size = Size(round(share * stream_tokens), frame_tokens)
        if size.slots < LEAST:
            continue
        made |= {name: Cell(memory) for name, memory in memories(size)}
    return made


def only(made: Mapping[str, Cell], rules: Sequence[str]) -> dict[str, Cell]:
    """The controls, and of bounded memories those of these labels; all where there are none.

    Raises:
        ValueError: for a label that no cell has.
    """
    labels = {name.partition("/")[0] for name in made}
    if unknown := sorted({*rules} - labels):
        raise ValueError(f"no memory is called {', '.join(unknown)}; there are {sorted(labels)}")
    return {
        name: cell
        for name, cell in made.items()
        if not rules or "/" not in name or name.partition("/")[0] in rules
    }


def readers(stream_tokens: int, frame_tokens: int, share: float = 0.05) -> dict[str, Cell]:
    """What is written by what is read: a cell for each pair."""
    size = Size(round(share * stream_tokens), frame_tokens)
    reading: dict[str, Reader] = {
        "last frames": ReadLastFrames(size.frames),
        "sinks and recent": ReadSinksAndRecent(recent=max(1, size.slots - SINKS)),
    }
    written = {
        "full": FullMemory(),
        "isolated": IsolatedFramesMemory(),
        "window": SlidingWindowMemory(size.frames),
        "sinks + recent": SinksAndRecentMemory(size.slots),
        "statekv": StateKVMemory(size.slots),
        "h2o by age": H2OMemory(size.slots, normalise="age"),
        "predicted change": PredictedChangeMemory(size.slots),
    }
    pairs = {name: Cell(memory) for name, memory in written.items()}
    for name, memory in written.items():
        pairs |= {f"{name}{TIMES}{told}": Cell(memory, reader) for told, reader in reading.items()}
    return pairs


def memories(size: Size) -> Iterator[tuple[str, CrossFrameMemory]]:
    """Every bounded memory of a size, by the name of its cell; random ones with three seeds."""
    slots, recent = size.slots, size.slots // 2
    for label, memory in _rules(size).items():
        yield f"{label}/{slots}", memory
    for seed in range(SEEDS):
        yield f"random/{slots}/{seed}", RandomMemory(slots, seed)
        yield f"random + 4 sinks/{slots}/{seed}", with_sinks(RandomMemory(slots, seed))
        half = ProtectedRecent(with_sinks(RandomMemory(slots, seed)), recent)
        yield f"random, half recent/{slots}/{seed}", half


def with_sinks(memory: CrossFrameMemory) -> ProtectedSinks:
    """The same with the first tokens of the stream kept."""
    return ProtectedSinks(memory, SINKS)


def _rules(size: Size) -> dict[str, CrossFrameMemory]:
    slots, recent = size.slots, size.slots // 2
    change = WeightStatisticMemory(slots, statistic="output_change", heads="group")
    return {
        "recency": RecencyMemory(slots),
        "window": SlidingWindowMemory(size.frames),
        "sinks + recent": SinksAndRecentMemory(slots),
        "uniform + 4 sinks": with_sinks(UniformMemory(slots)),
        "window + uniform": ProtectedRecent(UniformMemory(slots), recent),
        "reservoir + 4 sinks": with_sinks(ReservoirMemory(slots)),
        "statekv": StateKVMemory(slots),
        "statekv + 4 sinks": with_sinks(StateKVMemory(slots)),
        "statekv, half recent": ProtectedRecent(with_sinks(StateKVMemory(slots)), recent),
        "statekv, smoothed": SmoothedScore(StateKVMemory(slots), rule="ema", decay=0.5),
        "h2o": H2OMemory(slots),
        "h2o by age": H2OMemory(slots, normalise="age"),
        "h2o by age, no recent": H2OMemory(slots, recent=0, normalise="age"),
        "tova": TOVAMemory(slots),
        "snapkv": SnapKVMemory(slots, observation_window=min(8, size.frame_tokens)),
        "keydiff": KeyDiffMemory(slots),
        "knorm": KnormMemory(slots),
        "value norm": ValueNormMemory(slots),
        "lagkv": LagKVMemory(slots, lag=size.frame_tokens),
        "coverage": CoverageMemory(slots),
        "infinipot-v": InfiniPotVMemory(slots),
        "streammem": StreamMemMemory(slots),
        "predicted change": PredictedChangeMemory(slots),
        "output change, half recent": ProtectedRecent(
            with_sinks(SmoothedScore(change, rule="mean")), recent
        ),
    }


def main(
    output: Path,
    model: str = "crossframe/tiny-internvl3",
    frames: int = 32,
    scene: tuple[int, int] = (1, 1),
    half: str = "search",
    streams: int = 128,
    suites: Sequence[str] = ("clips",),
    grid: bool = False,
    shares: Sequence[float] = SHARES,
    rules: Sequence[str] = (),
) -> None:
    """Run the table and write its page.

    Args:
        output: folder of the run.
        model: trained on the testbed.
        frames: of a clip.
        scene: frames that a scene of a clip stays, least and most.
        half: "search" or "judge".
        streams: clips of each suite.
        suites: what they show.
        grid: what is written by what is read instead, at the share of 5 %.
        shares: of a clip's slots that bounded memories hold.
        rules: labels of bounded memories, such as "statekv"; all by default.

    Raises:
        ValueError: for a rule that there is not.
    """
    options = ModelOptions(model)
    passed = clip_batch(options.load(), suites[0], half, [0], frames).frames
    tokens, last = sum(frame.num_tokens for frame in passed), passed[-1].num_tokens
    chosen = readers(tokens, last) if grid else only(cells(tokens, last, shares), rules)
    run = EvidenceOptions(
        cells=chosen, output=output, model=options, suites=tuple(suites), half=half,
        streams=streams, frames=frames, scene=scene, batch=32,
    )  # fmt: skip
    run_evidence(run)
    print(write_page(read_results(output), output))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
