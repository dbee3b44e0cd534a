"""What a stream costs the decoders people use, with full attention and with a bounded memory.

`python -m crossframe.experiments.publishing.model_cost` prints the tables; `--write docs/` renews
`results/model_cost.json`, `figures/model_cost.svg` and the generated part of `cost.md` in that
folder.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from jsonargparse import auto_cli
from matplotlib.figure import Figure

from ...framework.flops import step_flops
from ...models.real_models import REAL_MODELS, RealModel
from ..reports.drawing import Drawing, legend_below, styles, tidy_axes
from .pages import renew
from .paper_cost import Row, markdown

NAME = "model_cost"
CAPACITY = 4096
FRAMES = (100, 512, 3600)
RATIOS = (1.1, 1.5, 2.0)
HOUR = 3600  # frames at one per second
DTYPE_BYTES = 2  # bfloat16
# The mass by a second QK^T, as the backends have it that run on a GPU.
EXTRA_PRODUCTS = 1
MOST_STEPS = 10**7


@dataclass(frozen=True)
class Cost:
    """FLOPs of a model's steps, counted from 0."""

    model: RealModel

    def full(self, step: int) -> int:
        """With full attention."""
        tokens = self.model.step_tokens
        return step_flops(self.model.spec, new_tokens=tokens, context_tokens=step * tokens)

    def bounded(self, step: int) -> int:
        """With StateKV of `CAPACITY` slots."""
        tokens = self.model.step_tokens
        return step_flops(
            self.model.spec,
            new_tokens=tokens,
            context_tokens=min(step * tokens, CAPACITY),
            extra_products=EXTRA_PRODUCTS,
        )

    def ratio(self, step: int) -> float:
        return self.full(step) / self.bounded(step)

    def step_of(self, frame: int) -> int:
        """The step in which a frame passes, counted from 1."""
        return (frame - 1) // self.model.step_frames

    def first_frame(self, ratio: float) -> int:
        """The first frame, from 1, at which full attention costs so many times as much."""
        step = bisect_left(range(MOST_STEPS), ratio, key=self.ratio)
        return step * self.model.step_frames + 1

    def whole(self, frames: int) -> float:
        """Full attention over the memory, for a whole video."""
        steps = range(self.step_of(frames) + 1)
        return sum(map(self.full, steps)) / sum(map(self.bounded, steps))


def held_rows() -> list[Row]:
    """What is held of a frame and of an hour, and what the other layers carry at any length."""
    rows: list[Row] = []
    for name, model in REAL_MODELS.items():
        spec = model.spec
        frame = spec.kv_bytes_per_token(DTYPE_BYTES) * model.step_tokens / model.step_frames
        others = spec.recurrent
        layers = spec.num_layers + (len(others.layers) if others else 0)
        rows.append(
            {
                "model": name,
                "layers with KV": f"{spec.num_layers} of {layers}",
                "tokens per frame": model.step_tokens // model.step_frames,
                "KV MB per frame": round(frame / 1e6, 2),
                "KV GB per hour": round(frame * HOUR / 1e9, 1),
                "StateKV MB": round(spec.kv_bytes_per_token(DTYPE_BYTES) * CAPACITY / 1e6),
                "other states MB": round(others.state_bytes(DTYPE_BYTES) / 1e6, 1) if others else 0,
            }
        )
    return rows


def frame_rows() -> list[Row]:
    """GFLOP of a frame."""
    rows: list[Row] = []
    for name, model in REAL_MODELS.items():
        cost, per = Cost(model), 1e9 * model.step_frames
        row: Row = {"model": name}
        row |= {f"full at {n}": round(cost.full(cost.step_of(n)) / per) for n in FRAMES}
        row |= {f"StateKV at {n}": round(cost.bounded(cost.step_of(n)) / per) for n in FRAMES}
        rows.append(row)
    return rows


def pays_rows() -> list[Row]:
    """From which frame full attention costs so many times as much, and how much an hour does."""
    rows: list[Row] = []
    for name, model in REAL_MODELS.items():
        cost = Cost(model)
        row: Row = {"model": name}
        row |= {f"{ratio:g} times from frame": cost.first_frame(ratio) for ratio in RATIOS}
        row |= {f"{n} frames, whole": round(cost.whole(n), 2) for n in FRAMES}
        rows.append(row)
    return rows


def tables() -> dict[str, list[Row]]:
    """All tables by title."""
    return {
        "What is held": held_rows(),
        f"GFLOP per frame, capacity {CAPACITY}": frame_rows(),
        "From which frame a memory pays": pays_rows(),
    }


def figure() -> Drawing:
    """A frame's FLOPs with full attention over those with the memory, as the video goes on."""
    look = styles(list(REAL_MODELS), None)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, model in REAL_MODELS.items():
            cost = Cost(model)
            shown = range(1, HOUR + 1, 20)
            ratios = [cost.ratio(cost.step_of(frame)) for frame in shown]
            axes.plot(list(shown), ratios, color=look[name].colour, linewidth=1.6)
        axes.axhline(1, color="0.6", linewidth=0.8)
        axes.set_xlabel("frame")
        axes.set_ylabel("full attention / StateKV")
        tidy_axes(axes, f"FLOPs of a frame, {CAPACITY} slots carried")
        entries = {name: look[name].legend() for name in REAL_MODELS}
        for entry in entries.values():
            entry.set_marker("")
        legend_below(figure, entries)

    return Drawing(NAME, "When a memory pays", "", (7.2, 4.0), draw)


def body() -> str:
    """The generated part of `cost.md`."""
    parts = [f"### {title}\n\n{markdown(rows)}" for title, rows in tables().items()]
    picture = f"![full attention over StateKV, frame by frame](figures/{NAME}.svg)"
    return "\n\n".join([*parts, picture])


def main(write: Path | None = None) -> None:
    """Print the tables, or renew the result, the figure and the generated part of `cost.md`.

    Args:
        write: the folder of cost.md.
    """
    if write is None:
        print(body())
        return
    renew(write / "cost.md", NAME, body())
    config = {
        "capacity": CAPACITY,
        "dtype_bytes": DTYPE_BYTES,
        "extra_products": EXTRA_PRODUCTS,
        "frames_per_hour": HOUR,
    }
    for folder in ("results", "figures"):
        (write / folder).mkdir(exist_ok=True)
    result = json.dumps({"config": config, "tables": tables()}, indent=2)
    (write / "results" / f"{NAME}.json").write_text(result + "\n")
    (write / "figures" / f"{NAME}.svg").write_text(figure().svg, "utf-8")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
