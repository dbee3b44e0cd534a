"""The page of patches still held: pictures of the frames, a slider over time, a timeline."""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..reports.page import web_page
from .held import NEVER_ENTERED, FramePatches, shares_over_time

MOST_FRAMES = 64
MOST_STEPS = 250  # so that a byte tells the last of them, and two more things
MOST_BYTES = 8 << 20  # of a page's table of tokens; frames are thinned to fit
NEVER_ENTERED_BYTE = 255


def evenly(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count - 1]
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def held_page(
    name: str,
    held: Mapping[str, Sequence[FramePatches]],
    per_patch: int,
    settings: Mapping[str, Any],
) -> str:
    """The page, with nothing to load from elsewhere.

    Args:
        name: of the video.
        held: all frames of the video, by the memory as people write it; several are shown side by
            side.
        per_patch: raw frames that share a picture and its tokens.
        settings: shown at the end.
    """
    frames = next(iter(held.values()))
    shown, steps = shown_frames(frames, len(held)), evenly(len(frames), MOST_STEPS)
    return web_page(
        "observation/held.html",
        f"{frames[0].picture.shows.capitalize()} still held: {name}",
        memories=list(held),
        notes=_notes(frames, shown, steps, per_patch),
        settings=settings,
        data=page_data(held, shown, steps),
    )


def shown_frames(frames: Sequence[FramePatches], memories: int = 1) -> list[int]:
    """Which frames a page has room for, with the tokens of so many memories."""
    layers, heads, largest = max((frame.last.shape for frame in frames), key=lambda s: s[-1])
    room = MOST_BYTES // max(1, memories * layers * heads * largest)
    return evenly(len(frames), max(1, min(MOST_FRAMES, room)))


def page_data(
    held: Mapping[str, Sequence[FramePatches]], shown: Sequence[int], steps: Sequence[int]
) -> dict[str, Any]:
    """What the page's script reads; numbers of frames and steps count from 0."""
    frames = next(iter(held.values()))
    chosen = [frames[number] for number in shown]
    counts = [frame.rows * frame.columns for frame in chosen]
    layers, heads = chosen[0].last.shape[:2]
    return {
        "layers": layers,
        "heads": heads,
        "tokens": sum(counts),
        "passed": len(frames),
        "steps": [{"step": step, "seconds": frames[step].picture.seconds} for step in steps],
        "frames": [
            {
                "number": number + 1,
                "step": number,
                "seconds": frame.picture.seconds,
                "rows": frame.rows,
                "columns": frame.columns,
                "start": sum(counts[:place]),
                "width": frame.picture.pixels.shape[1],
                "height": frame.picture.pixels.shape[0],
                "picture": frame.picture.data_url,
            }
            for place, (number, frame) in enumerate(zip(shown, chosen, strict=True))
        ],
        "memories": [
            {"name": name, "last": _table([own[number] for number in shown], steps)}
            for name, own in held.items()
        ],
        "opening": bisect_right(steps, opening_step(list(held.values()))) - 1,
    }


def opening_step(held: Sequence[Sequence[FramePatches]]) -> int:
    """The step after which most is to be seen, the last of several: of one memory where earlier
    frames are brightest in all, of two where their brightness differs most."""
    bright, *others = [np.sqrt(shares_over_time(frames)) for frames in held]
    seen = np.abs(bright - others[0]) if others else bright
    totals = np.triu(seen, 1).sum(0).round(6)  # frames before the newest
    return len(totals) - 1 - int(totals[::-1].argmax())


def _table(frames: Sequence[FramePatches], steps: Sequence[int]) -> str:
    table = as_bytes(torch.cat([frame.last for frame in frames], -1), steps)
    return b64encode(table.contiguous().numpy().tobytes()).decode("ascii")


def as_bytes(last: Tensor, steps: Sequence[int]) -> Tensor:
    """uint8 of `FramePatches.last`: after how many of the slider's ascending steps a token was held
    for the last time, counted from 1."""
    places = torch.searchsorted(torch.tensor(steps), last.long(), right=True)
    return places.masked_fill(last == NEVER_ENTERED, NEVER_ENTERED_BYTE).to(torch.uint8)


def _notes(
    frames: Sequence[FramePatches], shown: Sequence[int], steps: Sequence[int], per_patch: int
) -> str:
    notes = []
    if per_patch > 1:
        notes.append(
            f"{per_patch} frames at a time share their tokens: they count as one here, and the "
            "first of them is shown."
        )
    if len(shown) < len(frames):
        notes.append(f"{len(shown)} of {len(frames)} frames are shown, evenly over the video.")
    if len(steps) < len(frames):
        notes.append(f"The slider stops at {len(steps)} of {len(frames)} steps.")
    return " ".join(notes)
