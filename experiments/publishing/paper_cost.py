"""The paper's FLOPs from the closed form, beside what the paper shows.

`python -m crossframe.experiments.publishing.paper_cost` prints the tables; `--write docs/` renews
`results/paper_cost.json` and the generated part of `cost.md` in that folder.
"""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from jsonargparse import auto_cli

from ...framework.flops import break_even, stream_flops
from ...models.paper_models import PAPER_MODELS, paper_specs
from ..reports.tables import markdown_table
from ..reports.text import cell
from .pages import renew

Row = dict[str, str | int | float]

FRAMES, FRAMES_LONG = 512, 3600
TOKENS_PER_FRAME = 259
CAPACITY = 4096
CAPACITIES = (256, 1024, 4096, 16384)
CONFIG: Row = {
    "frames": FRAMES,
    "frames_long": FRAMES_LONG,
    "tokens_per_frame": TOKENS_PER_FRAME,
    "capacity": CAPACITY,
    "dtype_bytes": 2,
}
# Full attention over StateKV, read off the paper's accumulated-cost figure.
PAPER_RATIOS = {"InternVL3-1B": 5.75, "InternVL3-2B": 4.10, "InternVL3-8B": 2.67}
CROSSINGS = (
    ("InternVL3-2B", 4096, "InternVL3-1B"),
    ("InternVL3-8B", 4096, "InternVL3-2B"),
    ("InternVL3-8B", 4096, "InternVL3-1B"),
    ("InternVL3-8B", 16384, "InternVL3-1B"),
)
NAME = "paper_cost"


def _curve(
    model: str, capacity: int | None, *, vision: bool = False, frames: int = FRAMES, **extra: int
) -> list[int]:
    decoder, tower = paper_specs(model)
    return stream_flops(
        decoder,
        frames=frames,
        tokens_per_frame=TOKENS_PER_FRAME,
        capacity=capacity,
        vision=tower if vision else None,
        **extra,
    )


def _ratio(model: str, *, vision: bool = False, **extra: int) -> float:
    bounded = _curve(model, CAPACITY, vision=vision, **extra)
    return round(sum(_curve(model, None, vision=vision)) / sum(bounded), 2)


def ratio_rows() -> list[Row]:
    """Full attention over StateKV, whole video: bare, with a second QK^T, with the tower."""
    return [
        {
            "model": model,
            "full TFLOP": round(sum(_curve(model, None)) / 1e12),
            "StateKV TFLOP": round(sum(_curve(model, CAPACITY)) / 1e12),
            "ratio": _ratio(model),
            "paper's figure": paper,
            "two-pass mass": _ratio(model, extra_products=1),
            "tower": _ratio(model, vision=True),
            "two-pass mass and tower": _ratio(model, extra_products=1, vision=True),
        }
        for model, paper in PAPER_RATIOS.items()
    ]


def per_frame_rows() -> list[Row]:
    """GFLOP of a frame once the state is full, and of full attention's frame 512 and 3600."""
    settings = {f"capacity {capacity}": (capacity, FRAMES) for capacity in CAPACITIES}
    settings |= {f"full at {frames}": (None, frames) for frames in (FRAMES, FRAMES_LONG)}
    return [
        {
            "model": model,
            **{
                head: round(_curve(model, capacity, frames=frames)[-1] / 1e9)
                for head, (capacity, frames) in settings.items()
            },
        }
        for model in PAPER_RATIOS
    ]


def break_even_rows() -> list[Row]:
    """The first frame from which a large model with StateKV costs less than a small full one."""
    rows: list[Row] = []
    for model, capacity, reference in CROSSINGS:
        pairs = ((model, capacity), (reference, None))
        curves = [_curve(*pair, frames=FRAMES_LONG) for pair in pairs]
        row: Row = {"StateKV on": model, "capacity": capacity, "full attention on": reference}
        row["marginal"] = break_even(*curves) or "never"
        row["cumulative"] = break_even(*curves, cumulative=True) or "never"
        rows.append(row)
    return rows


def model_rows() -> list[Row]:
    """What the formula needs of each of the paper's seven models."""
    return [
        {
            "model": model,
            "linear parameters": decoder.linear_parameters,
            "KV bytes per token (bf16)": decoder.kv_bytes_per_token(2),
            "tower GFLOP per pass": round(tower.flops_per_frame / 1e9),
        }
        for model in PAPER_MODELS
        for decoder, tower in [paper_specs(model)]
    ]


def tables() -> dict[str, list[Row]]:
    """All tables by title."""
    return {
        f"Whole video: {FRAMES} frames, capacity {CAPACITY}": ratio_rows(),
        "GFLOP per frame": per_frame_rows(),
        "Break-even frames": break_even_rows(),
        "The models": model_rows(),
    }


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    return markdown_table(list(rows[0]), [[cell(v) for v in row.values()] for row in rows])


def body() -> str:
    """The generated part of `cost.md`."""
    return "\n\n".join(f"### {title}\n\n{markdown(rows)}" for title, rows in tables().items())


def main(write: Path | None = None) -> None:
    """Print the tables, or renew `results/paper_cost.json` and the generated part of `cost.md`.

    Args:
        write: the folder of cost.md.
    """
    if write is None:
        print(body())
        return
    renew(write / "cost.md", NAME, body())
    environment = {"python": platform.python_version(), "torch": version("torch")}
    result = {"config": CONFIG, "environment": environment, "tables": tables()}
    (write / "results").mkdir(exist_ok=True)
    (write / "results" / "paper_cost.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
