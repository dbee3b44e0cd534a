"""Hostile timestamps, pictures, sizes and frame tokens, pushed into streams in progress."""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from crossframe.framework import FrameTokens, VideoSession
from crossframe.models import DecoderModel
from crossframe.models.qwen_vl.adapter import QwenVL

from .cases import Case, Family
from .streams import HEIGHT, LATEST, VISION, WIDTH, begun, equal, pixels, refused

PAIRS = ("qwen2_5_vl", "qwen3_vl")
FINITE = "a finite number of seconds"
Drawn = tuple[str, Any]


# Timestamps

UNREADABLE: tuple[Callable[[], Any], ...] = (
    lambda: math.nan,
    lambda: math.inf,
    lambda: -math.inf,
    lambda: 1e300,
    lambda: 10**400,
    lambda: 3j,
    lambda: np.complex64(2 + 1j),
    lambda: np.float32("nan"),
    lambda: "2.5",
    lambda: b"2",
    lambda: True,
    lambda: [2.5],
    lambda: (2.5, 3.0),
    lambda: {2.5: 3},
    lambda: object(),
    lambda: np.datetime64("2026-01-01"),
    lambda: Decimal("NaN"),
    lambda: torch.tensor([2.5]),
    lambda: torch.tensor(2 + 1j),
    lambda: torch.tensor(math.inf),
    lambda: torch.tensor(2.5, device="meta"),
    lambda: np.array([2.5, 3.0]),
)
SAME: tuple[Callable[[list[float]], Any], ...] = (
    tuple,
    np.array,
    torch.tensor,
    lambda times: (time for time in times),
    lambda times: [Fraction(time) for time in times],
    lambda times: [Decimal(time) for time in times],
    lambda times: [np.float64(time) for time in times],
    lambda times: [torch.tensor(time, dtype=torch.float64) for time in times],
)


def draw_timestamps(random: Random, folder: Path) -> Case:
    del folder
    name = random.choice(sorted(VISION))
    session, count = begun(name, random), random.randint(1, 4)
    frames = pixels(count, random.randrange(100))
    times = sorted(LATEST + random.choice((0, 0.25, 0.5, 7)) for _ in range(count))
    kind = random.choice(("same", "unreadable", "unreadable", "backwards", "number", "all wrong"))
    place = random.randrange(count)
    if kind == "same":
        given = random.choice(SAME)(times)
        return equal(
            f"times {given}",
            session,
            lambda s: s.push(frames, given),
            lambda s: s.push(frames, times),
        )
    if kind == "unreadable":
        wrong: list[Any] = [*times]
        wrong[place] = random.choice(UNREADABLE)()
        return refused(
            f"times {wrong}", session, lambda s: s.push(frames, wrong), FINITE, "give one number"
        )
    if kind == "backwards":
        low = LATEST - random.choice((1e-3, 0.5, 100))
        late = [*times[:place], low, *times[place + 1 :]]
        words = (f"{low:g} s after", "run backwards", "in the order of the video")
        return refused(f"times {late}", session, lambda s: s.push(frames, late), *words)
    if kind == "number":
        short = times[:-1] if random.random() < 0.5 else [*times, times[-1]]
        words = (f"{count} frames came with {len(short)}", "give one per frame")
        return refused(f"{len(short)} times", session, lambda s: s.push(frames, short), *words)
    whole: Any = random.choice(("12", {"a": 1}, b"\x01\x02", 3 + 1j, [[*times]], object()))
    return refused(f"times {whole!r}", session, lambda s: s.push(frames, whole), "give one")


# Pictures


class Endless(list):
    """A list that holds itself."""

    def __init__(self) -> None:
        super().__init__()
        self.append(self)


def _deep(image: object, depth: int) -> object:
    for _ in range(depth):
        image = [image]
    return image


def _truncated() -> Image.Image:
    whole = io.BytesIO()
    Image.fromarray(pixels(1)[0].numpy()).save(whole, "PNG")
    return Image.open(io.BytesIO(whole.getvalue()[:900]))


def _shared(frames: Tensor) -> np.ndarray:
    array = frames.numpy()
    array.flags.writeable = False
    return array


PICTURES: tuple[tuple[str, Callable[[Tensor], Any]], ...] = (
    ("an array", lambda f: f.numpy()),
    ("a read-only array", _shared),
    ("a list of arrays", lambda f: [*f.numpy()]),
    ("PIL images", lambda f: [Image.fromarray(one.numpy()) for one in f]),
    ("lists of lists", lambda f: [[one] for one in f]),
    ("Fortran order", lambda f: np.asfortranarray(f.numpy())),
    ("negative strides", lambda f: np.ascontiguousarray(f.numpy()[:, ::-1])[:, ::-1]),
    ("a view of a clip", lambda f: torch.cat([f, f])[: len(f)]),
    ("an alpha channel", lambda f: torch.cat([f, f[..., :1]], -1)),
)
NO_PICTURES: tuple[tuple[str, Callable[[Tensor], Any], str], ...] = (
    ("dtype object", lambda f: f.numpy().astype(object), "got object"),
    ("structured", lambda f: np.zeros(4, [("a", "u1"), ("b", "f4")]), "uint8 pixels"),
    ("text", lambda f: np.array([["a", "b"]]), "uint8 pixels"),
    ("floats", lambda f: f / 255, "got torch.float32"),
    ("16 bits", lambda f: f.numpy().astype(">u2"), "uint8 pixels"),
    ("bool", lambda f: f > 7, "got torch.bool"),
    ("complex", lambda f: f.to(torch.complex64), "got torch.complex64"),
    ("sparse", lambda f: f.to_sparse(), "to_dense"),
    ("on meta", lambda f: f.to("meta"), "device meta"),
    ("channels first", lambda f: f.permute(0, 3, 1, 2), "got shape"),
    ("two channels", lambda f: f[..., :2], "got shape"),
    ("five axes", lambda f: f[None], "got shape"),
    ("no axes", lambda f: np.array(7, np.uint8), "got shape"),
    ("one axis", lambda f: np.zeros(7, np.uint8), "got shape"),
    ("no rows", lambda f: f[:, :0], "no pixels"),
    ("no columns", lambda f: f[:, :, :0].numpy(), "no pixels"),
    ("no frames", lambda f: f[:0], "at least one image"),
    ("an empty list", lambda f: [[], []], "at least one image"),
    ("a list in itself", lambda f: Endless(), "nested more than"),
    ("lists 3000 deep", lambda f: _deep(f, 3000), "nested more than"),
    ("numbers", lambda f: f[0, :2, :2].tolist(), "got int"),
    ("a path", lambda f: "video.mp4", "got str"),
    ("a path object", lambda f: Path("video.mp4"), "Path"),
    ("bytes", lambda f: b"\xff\xd8", "got bytes"),
    ("nothing", lambda f: None, "got NoneType"),
    ("a mapping", lambda f: {"frames": f}, "got dict"),
    ("a generator", lambda f: (one for one in f), "got generator"),
    ("a class", lambda f: Image.Image, "got type"),
    (
        "a mixture",
        lambda f: [f, FrameTokens(torch.zeros(1, 2, 8), torch.zeros(1, 1, 2))],
        "one push",
    ),
    ("32-bit PIL", lambda f: Image.new("I", (WIDTH, HEIGHT)), "mode 'I'"),
    ("16-bit PIL", lambda f: Image.new("I;16", (WIDTH, HEIGHT)), "mode 'I;16'"),
    ("float PIL", lambda f: Image.new("F", (WIDTH, HEIGHT)), "mode 'F'"),
    ("an empty PIL image", lambda f: Image.new("RGB", (0, 5)), "no pixels"),
    ("a cut-off PIL image", lambda f: _truncated(), "cannot be read"),
)


def draw_pictures(random: Random, folder: Path) -> Case:
    del folder
    session = begun(random.choice(sorted(VISION)), random)
    frames = pixels(random.randint(1, 3), random.randrange(100))
    times = [LATEST] * len(frames)
    if random.random() < 0.25:
        what, change = random.choice(PICTURES)
        return equal(
            what,
            session,
            lambda s: s.push(change(frames), times),
            lambda s: s.push(frames, times),
        )
    what, spoil, word = random.choice(NO_PICTURES)
    return refused(what, session, lambda s: s.push(spoil(frames), times[:1]), word)


# Sizes: on Qwen, frames wait for a second one


def draw_sizes(random: Random, folder: Path) -> Case:
    del folder
    name = random.choice((*PAIRS, *PAIRS, *sorted(VISION)))
    session, count = begun(name), random.choice((1, 1, 2, 3))
    size = random.choice(
        ((1, 4000), (3, 1000), (2, 402), (4000, 1), (1, 199), (30, 6000), (1, 1), (3, 5), (33, 70))
    )
    longest = max(size) / min(size)
    frames = torch.full((count, *size, 3), 7, dtype=torch.uint8)
    what = f"{count} frames of {size}"

    def push(session: VideoSession) -> None:
        session.push(frames, [LATEST] * count)

    if isinstance(session.model, QwenVL) and longest > 200:
        words = (f"{size[0]} x {size[1]}", "more than 200 times", "crop or pad")
        return refused(what, session, push, *words)
    if name == "qwen2_5_vl":  # all frames of a stream have one number of tokens
        model: Any = session.model
        if model.patch_grid(*size) != model.patch_grid(HEIGHT, WIDTH):
            return refused(what, session, push, str(size), "resize all frames of a stream")
    return equal(what, session, push, lambda s: [s.push(one, LATEST) for one in frames])


# Frame tokens


def _tokens(session: VideoSession) -> FrameTokens:
    model: Any = session.model
    return model.frame(torch.arange(4)[None], session.cursor)


def _spoilt(frame: FrameTokens) -> Iterator[tuple[str, Callable[[], FrameTokens], str]]:
    embeds, positions = frame.embeds, frame.positions
    yield "NaN", lambda: replace(frame, embeds=embeds * math.nan), "NaN or Inf"
    yield "Inf", lambda: replace(frame, embeds=embeds / 0), "NaN or Inf"
    yield "too wide", lambda: replace(frame, embeds=embeds.repeat(1, 1, 2)), "hidden size"
    yield "no tokens", lambda: frame.take(torch.arange(0)), "no tokens"
    yield "three axes", lambda: replace(frame, positions=positions.repeat(3, 1, 1)), "3 axes"
    yield "two videos", lambda: frame.take(torch.arange(4)), "batch"
    yield "flat embeddings", lambda: replace(frame, embeds=embeds[0]), "embeds must be"
    yield "short positions", lambda: replace(frame, positions=positions[..., :2]), "positions must"
    yield "short mask", lambda: replace(frame, visual=torch.ones(1, 2).bool()), "must be"
    for time in (math.nan, math.inf, "now", [1.0], 2j, 10**400):
        yield f"time {time!r:.9}", lambda t=time: replace(frame, timestamp=t), FINITE
    yield "an earlier time", lambda: replace(frame, timestamp=LATEST - 1), "run backwards"


def draw_frame_tokens(random: Random, folder: Path) -> Case:
    del folder
    session = begun("decoder")
    session.push(replace(_tokens(session), timestamp=LATEST))
    frame = _tokens(session)
    if random.random() < 0.15:
        later = replace(frame, timestamp=LATEST + random.choice((0, 1, 1e6)))
        return equal("later", session, lambda s: s.push([later]), lambda s: s.push(frame))
    cases = [case for case in _spoilt(frame) if case[0] != "two videos"]
    what, spoil, word = random.choice(cases)
    before = random.choice(([], [frame]))
    return refused(f"frame tokens, {what}", session, lambda s: s.push([*before, spoil()]), word)


# Token ids


def draw_ids(random: Random, folder: Path) -> Case:
    del folder
    session = begun(random.choice((*sorted(VISION), "decoder")), random)
    vocab = session.model.spec.vocab
    good = [random.randrange(vocab - 60) for _ in range(random.randint(1, 5))]
    calls: list[Callable[[VideoSession, Any], object]] = [
        lambda s, ids: s.question_logits(ids),
        lambda s, ids: s.ask(ids, max_new_tokens=1),
    ]
    if isinstance(session.model, DecoderModel):
        calls.append(lambda s, ids: s.model.frame(ids))  # type: ignore[attr-defined]
    call = random.choice(calls)
    if random.random() < 0.2:
        kinds = (
            tuple,
            np.array,
            torch.tensor,
            lambda ids: [ids],
            lambda ids: np.array([ids], "i4"),
        )
        given = random.choice(kinds)(good)
        return equal(
            f"ids {given}", session, lambda s: call(s, given), lambda s: s.question_logits(good)
        )
    wrong, word = random.choice(
        (
            (
                [*good, vocab],
                f"token id {vocab} is none of the model's, which are 0 to {vocab - 1}",
            ),
            (torch.tensor([good]) + 2**40, "is none of the model's"),
            ([*good, -1], "token id -1 is none"),
            (np.array([*good, -7]), "token id -7 is none"),
            ([True, False], "integers, with at least one token, got shape (2,) of torch.bool"),
            (torch.tensor(good).float(), "of torch.float32"),
            ([0.5, 1.0], "of torch.float32"),
            ([1j], "of torch.complex64"),
            ([], "at least one token, got shape (0,)"),
            ([[]], "at least one token"),
            (torch.zeros(1, 1, 1).long(), "got shape (1, 1, 1)"),
            (7, "got shape ()"),
            # To `ask` two questions, to the others no row of numbers.
            ([[1, 2], [3]], "got "),
            ([good, 0.5], "got "),
            ([None], "got list"),
            (None, "got NoneType"),
            (b"what?", "got bytes"),
            ({"ids": good}, "got dict"),
            ([10**30], "got list"),
            (np.array(good, object), "got ndarray"),
            (torch.tensor(good).to_sparse(), "without values"),
            (torch.tensor(good, device="meta"), "without values"),
        )
    )
    return refused(f"ids {wrong!r:.60}", session, lambda s: call(s, wrong), word)


FAMILIES = (
    Family("timestamps", draw_timestamps, 90),
    Family("pictures", draw_pictures, 100),
    Family("sizes", draw_sizes, 50),
    Family("frame tokens", draw_frame_tokens, 40),
    Family("token ids", draw_ids, 90),
)
