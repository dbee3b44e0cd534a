"""Random models and streams, and a fixed one, for the laws and for tests of one's own."""

from __future__ import annotations

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
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    batch = draw(st.integers(1, max_batch))
    sizes = draw(st.lists(st.integers(1, max_tokens), min_size=1, max_size=max_frames))
    pushes = _cut(draw, len(sizes))
    prompt = draw(st.booleans())
    return Stream(
        model=model,
        frames=_frames(model, sizes, batch, prompt, generator),
        pushes=pushes,
        question=_randint(generator, model.spec.vocab, batch, draw(st.integers(1, 4))),
        images=_randint(generator, 256, draw(st.integers(2, 6)), 4, 4, 3).to(torch.uint8),
        frames_per_step=draw(st.integers(1, 3)),
    )


def eventful_stream(batch: int = 2) -> Stream:
    """One fixed stream in which all happens that the laws look for; few random ones are like that.

    A prompt, frames of one to six tokens, pushes of several steps, an image left over from the last
    temporal patch, M-RoPE, grouped queries, an odd number of layers.
    """
    sizes = replace(TINY, num_layers=3, num_query_heads=6)
    model = ReferenceDecoder(sizes=sizes, axes=3, patch=2)
    generator = torch.Generator().manual_seed(0)
    return Stream(
        model=model,
        frames=_frames(model, [3, 5, 1, 4, 6, 2, 5], batch, True, generator),
        pushes=[2, 1, 3, 1],
        question=_randint(generator, model.spec.vocab, batch, 3),
        images=_randint(generator, 256, 5, 4, 4, 3).to(torch.uint8),
        frames_per_step=2,
    )


def _cut(draw: DrawFn, count: int) -> list[int]:
    """Sizes of consecutive pushes that hold `count` frames."""
    pushes = []
    while count:
        pushes.append(draw(st.integers(1, count)))
        count -= pushes[-1]
    return pushes


def _frames(
    model: VideoModel, sizes: list[int], batch: int, prompt: bool, generator: torch.Generator
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
