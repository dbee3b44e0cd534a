"""Milliseconds of a decoder's step at any place of a stream, beside the machine's limit.

StateKV at several capacities, a window of as many slots, full attention and the stock model's own
streaming take turns in one process, and matrix products and copies are measured in the same turns,
so that a noisy machine disturbs all alike. Every push starts from the same built state. Decoders
have real widths and random weights; on the CPU few layers. Writes rows as JSON; the last line
printed is JSON too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jsonargparse import auto_cli

from .bench_limits import limits_of
from .benches import Row, require_device, result_of, write_result
from .built_streams import Past
from .random_models import random_decoder
from .step_rounds import rounds_of, rows_of
from .step_variants import Lack, fitting, variants, whole_frames

FRAMES = (1, 32, 100, 512, 3600)
CAPACITIES = (256, 1024, 4096, 16384)


@dataclass(frozen=True)
class Case:
    """A decoder and its stream.

    Attributes:
        of: one of the paper's models.
        layers: so many of its layers; None takes all.
        frame_tokens: of a step.
        step_frames: raw frames of a step.
        frames: raw frames, counted from 1, at which a step is timed.
        capacities: slots, taken as the nearest number of whole frames.
    """

    of: str
    layers: int | None = None
    frame_tokens: int = 259
    step_frames: int = 1
    frames: Sequence[int] = FRAMES
    capacities: Sequence[int] = CAPACITIES

    def past(self, frame: int) -> Past:
        return Past((frame - 1) // self.step_frames, self.frame_tokens)

    def windows(self) -> list[int]:
        return [whole_frames(slots, self.frame_tokens) for slots in self.capacities]


DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}
CASES = {
    "cpu": (
        Case("InternVL3-1B", 2),
        Case("InternVL3-8B", 1, frames=(100,), capacities=(1024, 4096)),
    ),
    "cuda": (
        *(Case(f"InternVL3-{size}") for size in ("1B", "2B", "8B")),
        Case("Qwen3-VL-8B", None, 196, 2),
    ),
}


def main(
    device: str = "cpu",
    write: Path | None = None,
    repeats: int = 5,
    patience: float = 20.0,
    frames: Sequence[int] | None = None,
) -> None:
    """Measure, print a table, and write frame_time_<device>.json if asked to.

    Args:
        device: "cpu" or "cuda".
        write: folder for the file.
        repeats: turns of each variant that count, behind one that does not.
        patience: seconds of all its turns at a frame after which a variant takes no further one;
            a single turn counts.
        frames: at which steps are timed, instead of the device's own.
    """
    place, dtype = require_device(device), DTYPES[device]
    torch.set_num_threads(1)
    rows, left_out = list[Row](), list[Row]()
    for case in CASES[device]:
        chosen = case if frames is None else replace(case, frames=frames)
        measured, lacking = measure(chosen, place, dtype, repeats, patience)
        rows, left_out = rows + measured, left_out + lacking
    settings = {"repeats": repeats, "patience_seconds": patience}
    write_result(result_of(rows, place, [dtype], settings, left_out), f"frame_time_{device}", write)


def measure(
    case: Case, device: torch.device, dtype: torch.dtype, repeats: int, patience: float
) -> tuple[list[Row], list[Row]]:
    """Rows of a case, and what was left out of it with the reason."""
    model = random_decoder(case.of, case.layers, device, dtype)
    limits, rows, left_out = limits_of(device, dtype), list[Row](), list[Row]()
    for frame in case.frames:
        past = case.past(frame)
        chosen, lacking = fitting(variants(model, past, case.windows()), device)
        rounds, failed = rounds_of(chosen, device, limits, repeats, patience)
        about = {"of": case.of, "layers": model.spec.num_layers, "frame": frame}
        about |= {"step_frames": case.step_frames, "tokens": case.frame_tokens}
        left_out += [about | told(lack) for lack in [*lacking, *failed]]
        new = [about | row for row in rows_of(rounds, chosen, model)]
        for row in new:
            print(line(row))
        rows += new
    for row in left_out:
        print(f"{row['of']} at frame {row['frame']}: left out {row['variant']}: {row['reason']}")
    return rows, left_out


def told(lack: Lack) -> Row:
    """What was left out, for the file."""
    return {"variant": lack.variant.name, "slots": lack.variant.slots, "reason": lack.reason}


def line(row: Row) -> str:
    """A row for people."""
    return (
        f"{row['of']:>13} frame {row['frame']:>5} {row['variant']:<16} {row['slots']:>7} slots "
        f"{row['ms']:>10} ms  {row['to_limit']:>6} x limit  {row['peak_share']:>5} of peak  "
        f"{row['to_stock'] or '-':>6} x stock  {row['backend']}"
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
