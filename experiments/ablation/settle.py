"""Once per model, before hours are spent: a look at it, and every memory's size, kept on disk."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock
from torch import Tensor

from ...framework import FullMemory, VideoModel
from ...framework.as_data import plain
from ...framework.flops import DecoderSpec
from ...framework.video import VideoError
from ..evaluation.folder import config_hash, read_json, write_json
from ..streaming.cells import Cell
from ..streaming.media import media_at
from ..streaming.options import ModelOptions
from ..streaming.plan import Pass, plan_passes, sample_videos, set_up, video_seconds
from .budgets import Matcher
from .dry_run import DryRun, shown_again
from .grid import Grid, Sized, as_it_is, grid
from .options import AblateOptions
from .variants import Variant

FRAMES = 8  # temporal patches that are decoded for the dry run
FILE = "sizes.json"
NUMBERS = ("value", "attained", "wanted")  # of every size in it
# What the sizes depend on.
DEPENDS = (
    *("benchmark", "sampling", "limit", "budget", "memories", "fixed", "wrappers", "capacities"),
    *("windows", "frames_per_step", "in_frame", "attention"),
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What is known of a model before its evaluation.

    Attributes:
        spec: sizes of the decoder.
        frame_tokens: of one temporal patch with its text markers.
        frames_per_patch: raw frames in it.
        prompt_tokens: before the video.
    """

    spec: DecoderSpec
    frame_tokens: int
    frames_per_patch: int
    prompt_tokens: int


@dataclass(frozen=True)
class Settled:
    """A look at a model, None where no video could be read, and the sizes of budgeted variants."""

    look: Look | None
    sizes: Mapping[str, Mapping[str, float]]

    def size(self, variant: Variant) -> Sized:
        """The variant at its size."""
        size = self.sizes.get(variant.label)
        if size is None:
            return as_it_is(variant)
        return Sized(variant, variant.at(size["value"]), **size)


@dataclass(frozen=True)
class Plan:
    """What is evaluated on a model: its look, None where no video could be read, and its cells."""

    look: Look | None
    grid: Grid


def plan(options: AblateOptions, name: str, memories: Sequence[Variant]) -> Plan:
    """Look at a model and size its memories, or read what an earlier run wrote.

    Raises:
        ValueError: for memories that cannot be sized, or a budget where no video can be read.
    """
    folder = options.output / name
    folder.mkdir(parents=True, exist_ok=True)
    model = options.models[name]
    # Processes that a launcher started would all load the model, and onto one device.
    with FileLock(folder / "sizes.lock"):
        depends = {name: plain(getattr(options, name)) for name in DEPENDS}
        key = config_hash({"model": plain(model), **depends})
        settled = read_settled(folder, key)
        if settled is None:
            settled = _settled(options, model, memories)
            write_json(folder / FILE, {"config": key, **asdict(settled)})
    return _planned(options, settled, memories)


def known_plan(options: AblateOptions, name: str, memories: Sequence[Variant]) -> Plan | None:
    """The plan of a model that was looked at before, maybe on another machine; None for another.

    Raises:
        ValueError: for a file that cannot be read, naming it.
    """
    settled = read_settled(options.output / name)
    return None if settled is None else _planned(options, settled, memories)


def _planned(options: AblateOptions, settled: Settled, memories: Sequence[Variant]) -> Plan:
    layers = settled.look.spec.num_layers if settled.look is not None else 1
    return Plan(settled.look, grid(options, map(settled.size, memories), layers))


def read_settled(folder: Path, key: str | None = None) -> Settled | None:
    """What an earlier run wrote; None if none did, or with other settings.

    Raises:
        ValueError: for a file that cannot be read, naming it.
    """
    path, remedy = folder / FILE, "delete it to have the model looked at again"
    if not path.is_file():
        return None
    data = read_json(path, remedy)
    if key is not None and data.get("config") != key:
        return None
    try:
        look = data["look"]
        if look is not None:
            look = Look(**{**look, "spec": DecoderSpec(**look["spec"])})
        sizes = data["sizes"]
        for size in sizes.values():
            math.fsum(size[n] for n in NUMBERS)  # all there, and numbers
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} does not say what it should ({error!r}): {remedy}") from error
    return Settled(look, sizes)


def _settled(
    options: AblateOptions, model_options: ModelOptions, memories: Sequence[Variant]
) -> Settled:
    needed = [one for one in memories if options.budget is not None and one.knob]
    video = _first_video(options)
    if video is None:
        if needed:
            raise ValueError(
                "ablate: a budget is worked out on the frames of a video, and no video of the "
                f"benchmark {options.benchmark.name} can be read: check benchmark.root and "
                "benchmark.videos"
            )
        return Settled(None, {})
    logger.info("sizing memories on the first frames of %s", video.path.name)
    device = "cpu" if options.trainer.get("accelerator") == "cpu" else None
    model = replace(model_options, device=device).load()
    model, video = set_up(model, video, 0, options.max_tokens)
    cut = options.frames_per_step[0], options.in_frame[0], options.attention
    cell = Cell(FullMemory(), None, None, *cut)
    dry_run = DryRun(model, shown_again(model, _frames(video, model)), cell)
    prompt = 0 if dry_run.prompt is None else dry_run.prompt.num_tokens
    look = Look(model.spec, dry_run.frame_tokens, model.frames_per_patch, prompt)
    return Settled(look, _sizes(options, needed, dry_run))


def _sizes(
    options: AblateOptions, needed: list[Variant], dry_run: DryRun
) -> dict[str, dict[str, float]]:
    if options.budget is None:
        return {}
    raw = options.budget.frames or options.sampling.max_frames
    patches = None if raw is None else max(2, -(-raw // dry_run.model.frames_per_patch))
    matcher = Matcher(options.budget, dry_run, patches)
    sized = {one.label: matcher.sized(one) for one in needed}
    return {name: {n: getattr(one, n) or 0 for n in NUMBERS} for name, one in sized.items()}


def _first_video(options: AblateOptions) -> Pass | None:
    """The frames of the first question whose video can be read."""
    for question in options.benchmark.questions()[: options.limit]:
        sampled, _ = sample_videos([question], options.sampling, video_seconds)
        if sampled:
            return plan_passes(sampled)[0]
    return None


def _frames(video: Pass, model: VideoModel) -> list[tuple[Tensor, float]]:
    """The first frames, as far as they can be read; a whole number of temporal patches."""
    wanted = video.times[: FRAMES * model.frames_per_patch]
    frames: list[tuple[Tensor, float]] = []
    try:
        for frame in media_at(model, video.path, wanted):
            frames.append(frame)
    except VideoError:  # what came before the damage is good
        if not frames:
            raise
    return frames
