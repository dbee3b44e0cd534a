"""Checks of a memory, an archive or a reader against all laws, on streams that hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.strategies import SearchStrategy

from ..archives.codec import Archive
from ..archives.reader import Reader
from ..memory import CrossFrameMemory
from ..model import VideoModel
from . import bound_laws, merge_laws, reader_laws, session_laws
from . import memory_laws as laws
from .archive_laws import ARCHIVE_LAWS as ARCHIVE_LAWS
from .archive_laws import MEMORIES
from .failures import Case
from .histories import memory_machine as memory_machine
from .memory_laws import LawBroken as LawBroken
from .memory_laws import Stream as Stream
from .random_streams import eventful_stream as eventful_stream
from .random_streams import kit_settings
from .random_streams import reference_models as reference_models
from .random_streams import seeded_stream as seeded_stream
from .random_streams import streams as streams
from .reader_laws import READER_LAWS as READER_LAWS

Law = Callable[[CrossFrameMemory, Stream], None]

LAWS: Mapping[str, Law] = MappingProxyType(
    {
        "1 attention": laws.prefix_causal,
        "2 mass": laws.exact_mass,
        "3 selection": laws.exact_selection,
        "4 positions": laws.stream_positions,
        "4 merging": merge_laws.merged_between,
        "5 steps": laws.steps_and_pushes,
        "6 exactness": laws.exact_when_unbounded,
        "7 boundedness": bound_laws.bounded,
        "7 state": bound_laws.steady_state,
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
        max_examples: random streams per law.

    Raises:
        LawBroken: naming the law, the smallest stream found to break it, and where to look.
        ValueError: for what is no memory, or what no session takes from it.
    """
    __tracebackhide__ = True
    if models is None:
        # Told by the memory's own name, before laws look through one of theirs.
        with torch.no_grad():
            eventful_stream(min(2, max_batch)).seen_by(memory)
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
    __tracebackhide__ = True
    law = LAWS[name]
    subject = unbounded if law is laws.exact_when_unbounded else memory
    if subject is None:
        return

    def case(stream: Stream) -> Case:
        return Case("LAWS", name, law, {"memory": subject}, stream)

    first = case(eventful_stream(min(2, max_batch))) if models is None else None
    drawn = streams(models=models, max_batch=max_batch).map(case)
    # What grows does so on every stream, and hundreds of frames take long to shrink.
    shrink = shrink and law is not bound_laws.steady_state
    _hold(first, drawn, max_examples, shrink)


def check_archive(
    archive: Archive, *, models: SearchStrategy[VideoModel] | None = None, max_examples: int = 25
) -> None:
    """Hold an archive to every law of archives, under memories that keep all, some or no slots.

    A lossless archive must answer bit for bit as `PlainArchive`; one that is `lossy`, as a plain
    archive of what it makes of keys and values. How near that comes is for its own tests.

    Args:
        models: where streams draw their model from; small plain-torch decoders in float64, float32
            and bfloat16 by default.
        max_examples: random streams per law.

    Raises:
        LawBroken: naming the law, the smallest stream found to break it, and where to look.
    """
    __tracebackhide__ = True
    for name in ARCHIVE_LAWS:
        check_archive_law(name, archive, models=models, max_examples=max_examples)


def check_archive_law(
    name: str,
    archive: Archive,
    *,
    models: SearchStrategy[VideoModel] | None = None,
    max_examples: int = 25,
    shrink: bool = True,
) -> None:
    """Hold an archive to one law; arguments as for `check_archive` and `check_law`.

    Raises:
        LawBroken: if it breaks the law.
        KeyError: for an unknown law; `ARCHIVE_LAWS` lists them.
    """
    __tracebackhide__ = True
    law = ARCHIVE_LAWS[name]

    def case(memory: CrossFrameMemory, stream: Stream) -> Case:
        return Case("ARCHIVE_LAWS", name, law, {"archive": archive, "memory": memory}, stream)

    first = case(MEMORIES[0], eventful_stream()) if models is None else None
    dtypes = st.sampled_from([torch.float64, torch.float32, torch.bfloat16])
    models = dtypes.flatmap(reference_models) if models is None else models
    drawn = st.builds(case, st.sampled_from(MEMORIES), streams(models=models))
    _hold(first, drawn, max_examples, shrink)


def check_reader(
    reader: Reader, *, models: SearchStrategy[VideoModel] | None = None, max_examples: int = 25
) -> None:
    """Hold a reader to every law of readers, under memories that keep all slots, ragged heads or
    moved slots, and over a plain and a lossy archive.

    Args:
        models: where streams draw their model from; small plain-torch decoders by default.
        max_examples: random streams per law.

    Raises:
        LawBroken: naming the law, the smallest stream found to break it, and where to look.
    """
    __tracebackhide__ = True
    for name in READER_LAWS:
        check_reader_law(name, reader, models=models, max_examples=max_examples)


def check_reader_law(
    name: str,
    reader: Reader,
    *,
    memories: Sequence[CrossFrameMemory] = reader_laws.MEMORIES,
    archives: Sequence[Archive] = reader_laws.ARCHIVES,
    models: SearchStrategy[VideoModel] | None = None,
    max_examples: int = 25,
    shrink: bool = True,
) -> None:
    """Hold a reader to one law; further arguments as for `check_reader` and `check_law`.

    Args:
        memories, archives: that streams are seen by and kept in, drawn at random.

    Raises:
        LawBroken: if it breaks the law.
        KeyError: for an unknown law; `READER_LAWS` lists them.
    """
    __tracebackhide__ = True
    law = READER_LAWS[name]

    def case(memory: CrossFrameMemory, archive: Archive, stream: Stream) -> Case:
        about = {"reader": reader, "memory": memory}
        return Case("READER_LAWS", name, law, about, stream.having(archive=archive))

    first = case(memories[0], archives[0], eventful_stream()) if models is None else None
    sampled = st.sampled_from(memories), st.sampled_from(archives)
    drawn = st.builds(case, *sampled, streams(models=models))
    _hold(first, drawn, max_examples, shrink)


def _hold(first: Case | None, drawn: SearchStrategy[Case], max_examples: int, shrink: bool) -> None:
    """Check a first case, unless it is None, and many drawn ones; report the smallest that fails.

    Raises:
        LawBroken: with one report; what a memory raises by itself passes as it is.
    """
    __tracebackhide__ = True
    with torch.no_grad():
        failed = _failure(first) if first is not None else None
        if failed is None or shrink:  # a smaller one may fail too
            failed = _failure_of_drawn(drawn, max_examples, shrink) or failed
    if failed is not None:
        raise failed


def _failure(case: Case) -> LawBroken | None:
    try:
        case.check()
    except LawBroken as broken:
        return case.report(broken)
    except Exception as error:
        error.add_note(f"in {case!r}")
        raise
    return None


def _failure_of_drawn(
    drawn: SearchStrategy[Case], max_examples: int, shrink: bool
) -> LawBroken | None:
    reports: list[LawBroken] = []

    @kit_settings(
        max_examples,
        report_multiple_bugs=False,
        phases=[phase for phase in Phase if shrink or phase != Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(drawn)
    def holds(case: Case) -> None:
        try:
            case.check()
        except LawBroken as broken:
            reports.append(case.report(broken))
            raise

    try:
        holds()
    except LawBroken:
        return reports[-1]  # the last one tried is the smallest found
    except FlakyFailure:
        return LawBroken(f"{reports[-1]}\n  and not the same each time")
    return None
