"""What docs/speed.md shows of the benches' files: a table, and what it is of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..reports.tables import markdown_table

Result = Mapping[str, Any]
Row = Mapping[str, Any]
# In place of the table of a file that is not there.
NOT_MEASURED = (
    "Not measured: no GPU was at hand. `make bench-gpu` on a machine that has one writes the rows "
    "and fills this in."
)


def attention_part(result: Result) -> tuple[str, str]:
    """Each backend's attention with mass beside fused attention without."""
    rows = result["rows"]
    slots = _distinct(row["slots"] for row in rows)
    heads = ["model", "variant", "what ran", *(f"{count:,} slots" for count in slots)]
    found = {(row["of"], row["variant"], row["slots"]): row for row in rows}
    lines = [
        [of, variant, backend, *(_attended(found[of, variant, count]) for count in slots)]
        for of, variant, backend in _distinct(
            (row["of"], row["variant"], row["backend"]) for row in rows
        )
    ]
    about = (
        f"Milliseconds of one layer's attention for {result['tokens']} queries, in brackets times "
        f"those of fused attention without mass; medians of {result['repeats']} turns. "
    )
    return markdown_table(heads, lines), about


def frame_part(result: Result) -> tuple[str, str]:
    """Steps along a stream, and the last frame that all models share in full."""
    rows = result["rows"]
    shared = _shared_frame(rows)
    parts = [
        f"Milliseconds of a step:\n\n{_by_frame(rows, _time)}",
        f"Times the limit measured beside it:\n\n{_by_frame(rows, _limit)}",
        f"At frame {shared:,}:\n\n{_one_frame(rows, shared)}",
        *_left_out(result, lambda row: f"{row['of']} at frame {row['frame']:,}, {row['variant']}"),
    ]
    about = (
        f"Medians of at most {result['repeats']} turns, ratios within a turn; a variant takes no "
        f"further turn at a frame after {result['patience_seconds']:g} seconds. "
    )
    return "\n\n".join(parts), about


def video_part(result: Result) -> tuple[str, str]:
    """From a file to a state."""
    heads = ["model", "weights", "capacity", "attention", "frames", "tokens per frame"]
    heads += ["decode ms", "encode ms", "step ms", "whole ms", "frames/s", "an hour's frames, s"]
    names = ("of", "weights", "capacity", "backend", "frames", "tokens", "decode_ms", "encode_ms")
    names += ("step_ms", "whole_ms", "frames_per_second", "hour_seconds")
    lines = [[_number(row[name]) for name in names] for row in result["rows"]]
    parts = [markdown_table(heads, lines), *_left_out(result, lambda row: row["of"])]
    about = (
        f"`{result['video']}` at {result['fps']:g} frames per second, medians over frames but for "
        "whole, which is a mean. "
    )
    return "\n\n".join(parts), about


def ask_part(result: Result) -> tuple[str, str]:
    """Questions about long archives."""
    heads = ["archive", "frames", "tokens", "GB", "attention", "dtype", "first token, s"]
    heads += ["each further, s", "MiB more"]
    names = ("seconds_to_first_token", "seconds_per_new_token", "peak_mib")
    lines = [
        [
            row["archive"],
            f"{row['frames']:,}",
            f"{row['tokens']:,}",
            f"{row['archive_bytes'] / 1e9:.2f}",
            row["backend"],
            row["dtype"],
            *(_number(row[name]) for name in names),
        ]
        for row in result["rows"]
    ]
    left_out = _left_out(result, lambda row: f"{row['archive']} of {row['frames']:,} frames")
    about = f"{result['model']} with random weights, a question of three tokens, asked once. "
    return "\n\n".join([markdown_table(heads, lines), *left_out]), about


SPEED: Mapping[str, Callable[[Result], tuple[str, str]]] = {
    f"{name}_{device}": part
    for device in ("cpu", "cuda")
    for name, part in (
        ("attention_time", attention_part),
        ("frame_time", frame_part),
        ("video_time", video_part),
        ("ask_time", ask_part),
    )
}


def _by_frame(rows: Sequence[Row], cell: Callable[[Row], str]) -> str:
    """Models and variants down, frames across."""
    frames = _distinct(row["frame"] for row in rows)
    found = {(_model(row), row["variant"], row["frame"]): row for row in rows}
    lines = []
    for model, variant in _distinct((_model(row), row["variant"]) for row in rows):
        cells = [found.get((model, variant, frame)) for frame in frames]
        lines.append([model, variant, *(cell(row) if row else "" for row in cells)])
    heads = ["model", "variant", *(f"frame {frame:,}" for frame in frames)]
    return markdown_table(heads, lines)


def _one_frame(rows: Sequence[Row], frame: int) -> str:
    heads = ["model", "variant", "slots", "attention", "turns", "ms", "limit ms", "× limit"]
    heads += ["of the matmul peak", "× stock", "× full", "× window"]
    names = ("backend", "turns", "ms", "limit_ms", "to_limit", "peak_share")
    names += ("to_stock", "to_full", "to_window")
    lines = [
        [_model(row), row["variant"], f"{row['slots']:,}", *(_number(row[name]) for name in names)]
        for row in rows
        if row["frame"] == frame
    ]
    return markdown_table(heads, lines)


def _shared_frame(rows: Sequence[Row]) -> int:
    """The last frame at which every model was timed."""
    frames: dict[str, set[int]] = {}
    for row in rows:
        frames.setdefault(row["of"], set()).add(row["frame"])
    return max(set.intersection(*frames.values()))


def _left_out(result: Result, name: Callable[[Row], str]) -> list[str]:
    lines = [f"- {name(row)}: {row['reason']}" for row in result["left_out"]]
    return ["Left out:\n\n" + "\n".join(lines)] if lines else []


def _model(row: Row) -> str:
    frames = "" if row["step_frames"] == 1 else f", {row['step_frames']} frames a step"
    return f"{row['of']}, {row['layers']} layer(s){frames}"


def _attended(row: Row) -> str:
    return f"{_number(row['ms'])} ({row['to_plain']:.2f})"


def _time(row: Row) -> str:
    return _number(row["ms"])


def _limit(row: Row) -> str:
    return f"{row['to_limit']:.2f}"


def _number(value: object) -> str:
    """Three digits of a fraction; what is no number as it is, nothing for nothing."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
