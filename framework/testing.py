"""The public test kit: any memory against all laws, in one line.

    from crossframe.framework.testing import check_memory
    check_memory(MyMemory(capacity=8), unbounded=MyMemory(capacity=None))

Needs the extra `testing` (hypothesis). Streams are random: batch 1 to 3, grouped queries, frames of
unequal token counts, a prompt or none, several frames per push and per step, RoPE and M-RoPE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.strategies import DrawFn, SearchStrategy

from . import laws, session_laws
from .cost import DecoderSpec
from .frame_tokens import Cursor, FrameTokens, advance
from .laws import LawBroken as LawBroken
from .laws import Stream as Stream
from .machine import memory_machine as memory_machine
from .memory import CrossFrameMemory
from .model import VideoModel
from .reference import ReferenceDecoder

Law = Callable[[CrossFrameMemory, Stream], None]

LAWS: Mapping[str, Law] = MappingProxyType(
    {
        "1 attention": laws.prefix_causal,
        "2 mass": laws.exact_mass,
        "3 selection": laws.exact_selection,
        "4 positions": laws.stream_positions,
        "5 steps": laws.steps_and_pushes,
        "6 exactness": laws.exact_when_unbounded,
        "7 boundedness": laws.bounded,
        "8 isolation": session_laws.isolated,
        "9 asking": session_laws.asking_changes_nothing,
        "10 forks": session_laws.independent_forks,
        "10 saving": session_laws.saved_and_loaded,
        "11 failure": session_laws.failed_push_leaves_no_trace,
        "12 archive": session_laws.archive_grows_in_place,
        "13 cost": session_laws.counted_cost,
    }
)


def check_memory(
    memory: CrossFrameMemory,
    *,
    unbounded: CrossFrameMemory | None = None,
    models: SearchStrategy[VideoModel] | None = None,
    max_batch: int = 3,
    max_examples: int = 25,
) -> None:
    """Hold a memory to every law on random streams.

    Args:
        memory: the settings to test; small capacities evict more.
        unbounded: the same rule without a bound, for law 6; left out, law 6 is not checked.
        models: where streams draw their model from; small plain-torch decoders by default.
        max_batch: largest batch; 1 for rules whose rows may keep different numbers of tokens.
        max_examples: streams per law.

    Raises:
        LawBroken: naming the law, with the falsifying stream in the notes.
    """
    for name in LAWS:
        check_law(
            name,
            memory,
            unbounded=unbounded,
            models=models,
            max_batch=max_batch,
            max_examples=max_examples,
        )


def check_law(
    name: str,
    memory: CrossFrameMemory,
    *,
    unbounded: CrossFrameMemory | None = None,
    models: SearchStrategy[VideoModel] | None = None,
    max_batch: int = 3,
    max_examples: int = 25,
    shrink: bool = True,
) -> None:
    """Hold a memory to one law; arguments as for `check_memory`.

    Args:
        shrink: look for a small failing stream before reporting.

    Raises:
        LawBroken: if it breaks the law.
        KeyError: for an unknown law; `LAWS` lists them.
    """
    law = LAWS[name]
    subject = unbounded if law is laws.exact_when_unbounded else memory
    if subject is None:
        return

    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[phase for phase in Phase if shrink or phase != Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(streams(models=models, max_batch=max_batch))
    def holds(stream: Stream) -> None:
        law(subject, stream)

    with torch.no_grad():
        try:
            holds()
        except FlakyFailure as failure:
            raise LawBroken(f"{failure.exceptions[0]} (and not the same each time)") from failure


@st.composite
def reference_models(draw: DrawFn, dtype: torch.dtype = torch.float64) -> VideoModel:
    """Plain-torch decoders of different head counts, depths and position axes."""
    num_kv_heads = draw(st.sampled_from([1, 2, 3]))
    sizes = DecoderSpec(
        num_layers=draw(st.sampled_from([1, 2, 3])),
        hidden=16,
        intermediate=24,
        num_query_heads=num_kv_heads * draw(st.sampled_from([1, 2, 7])),
        num_kv_heads=num_kv_heads,
        head_dim=8,
        vocab=31,
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
