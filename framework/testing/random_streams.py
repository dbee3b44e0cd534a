"""Random models and streams, and a fixed one, for the laws and for tests of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ..frame_tokens import Cursor, FrameTokens, advance
from ..model import VideoModel
from ..reference import TINY, ReferenceDecoder
from .memory_laws import Stream

FRESH = "soak"  # the hypothesis profile under which examples differ from run to run


def kit_settings(max_examples: int, **options: Any) -> settings:
    """Hypothesis settings of the kit: the same examples at every run, whatever profile is loaded.

    Only under a profile called `soak` they are fresh, or those of pytest's `--hypothesis-seed`.
    """
    return settings(
        max_examples=max_examples,
        derandomize=settings.get_current_profile_name() != FRESH,
        deadline=None,
        database=None,
        **options,
    )


@st.composite
def reference_models(draw: DrawFn, dtype: torch.dtype = torch.float64) -> VideoModel:
    """Plain-torch decoders of different head counts, depths and position axes."""
    num_kv_heads = draw(st.sampled_from([1, 2, 3]))
    sizes = replace(
        TINY,
        num_layers=draw(st.sampled_from([1, 2, 3])),
        hidden=16,
        intermediate=24,
        num_query_heads=num_kv_heads * draw(st.sampled_from([1, 2, 7])),
        num_kv_heads=num_kv_heads,
    )
    return ReferenceDecoder(
        sizes=sizes,
        float_type=dtype,
        axes=draw(st.sampled_from([1, 3])),
        patch=draw(st.sampled_from([1, 2])),
        seed=draw(st.integers(0, 3)),
    )


@st.composite
def streams(
    draw: DrawFn,
    *,
    models: SearchStrategy[VideoModel] | None = None,
    max_batch: int = 3,
    max_frames: int = 7,
    max_tokens: int = 6,
) -> Stream:
    """Random streams; see `Stream`."""
    model = draw(reference_models() if models is None else models)
    sizes = draw(st.lists(st.integers(1, max_tokens), min_size=1, max_size=max_frames))
    return seeded_stream(
        model,
        sizes,
        _cut(draw, len(sizes)),
        seed=draw(st.integers(0, 2**32)),
        batch=draw(st.integers(1, max_batch)),
        prompt=draw(st.booleans()),
        question=draw(st.integers(1, 4)),
        images=draw(st.integers(2, 6)),
        frames_per_step=draw(st.integers(1, 3)),
    )


def seeded_stream(
    model: VideoModel,
    sizes: Sequence[int],
    pushes: Sequence[int],
    *,
    seed: int,
    batch: int = 1,
    prompt: bool = False,
    question: int = 1,
    images: int = 2,
    frames_per_step: int = 1,
) -> Stream:
    """The stream whose numbers a seed draws; failures of the kit name it by this call.

    Args:
        sizes: tokens of each frame.
        pushes: frames of each push.
        prompt: whether the first frame is text.
        question: tokens of the question.
        images: raw frames, for the laws that need some.
    """
    rest = {"batch": batch, "prompt": prompt, "question": question, "images": images}
    rest["frames_per_step"] = frames_per_step
    plain = {"batch": 1, "prompt": False, "question": 1, "images": 2, "frames_per_step": 1}
    said = "".join(f", {name}={value}" for name, value in rest.items() if value != plain[name])
    generator = torch.Generator().manual_seed(seed)
    return Stream(
        model=model,
        frames=_frames(model, sizes, batch, prompt, generator),
        pushes=pushes,
        question=_randint(generator, model.spec.vocab, batch, question),
        images=_randint(generator, 256, images, 4, 4, 3).to(torch.uint8),
        frames_per_step=frames_per_step,
        recipe=f"seeded_stream(model, {sizes}, {pushes}, seed={seed}{said})",
    )


def eventful_stream(batch: int = 2) -> Stream:
    """One fixed stream in which all happens that the laws look for; few random ones are like that.

    A prompt, frames of one to six tokens, pushes of several steps, an image left over from the last
    temporal patch, M-RoPE, grouped queries, an odd number of layers.
    """
    sizes = replace(TINY, num_layers=3, num_query_heads=6)
    stream = seeded_stream(
        ReferenceDecoder(sizes=sizes, axes=3, patch=2),
        [3, 5, 1, 4, 6, 2, 5],
        [2, 1, 3, 1],
        seed=0,
        batch=batch,
        prompt=True,
        question=3,
        images=5,
        frames_per_step=2,
    )
    return replace(stream, recipe=f"eventful_stream({batch})")


def _cut(draw: DrawFn, count: int) -> list[int]:
    """Sizes of consecutive pushes that hold `count` frames."""
    pushes = []
    while count:
        pushes.append(draw(st.integers(1, count)))
        count -= pushes[-1]
    return pushes


def _frames(
    model: VideoModel, sizes: Sequence[int], batch: int, prompt: bool, generator: torch.Generator
) -> list[FrameTokens]:
    frames: list[FrameTokens] = []
    cursor = Cursor()
    for number, size in enumerate(sizes):
        embeds = torch.randn(batch, size, model.spec.hidden, generator=generator)
        visual = torch.ones(batch, size, dtype=torch.bool)
        # The last token of a frame is a text marker; a prompt has nothing else.
        visual[:, -1 if size > 1 else size :] = False
        frames.append(
            FrameTokens(
                embeds=embeds.to(model.dtype),
                positions=model.text_positions(cursor, batch, size),
                visual=torch.zeros_like(visual) if prompt and number == 0 else visual,
                stats={"patch": torch.arange(size).expand(batch, -1).double()},
            )
        )
        cursor = advance(cursor, frames[-1])
    return frames


def _randint(generator: torch.Generator, high: int, *shape: int) -> Any:
    return torch.randint(0, high, shape, generator=generator)
