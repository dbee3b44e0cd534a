"""What memories still hold of a video's frames, followed in sessions of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from ...framework import CrossFrameMemory, VideoModel
from ..observation.contact_sheet import draw_timeline
from ..observation.held import FollowedMemory, FramePatches, HeldTokens, shares_over_time
from ..observation.pictures import Picture, PictureTaker
from ..reports.drawing import Drawing
from ..streaming.frames import VideoFrames
from ..streaming.media import seen_by
from ..streaming.options import StreamOptions
from ..streaming.shared_stream import SharedStream

CAPTION = (
    "Share of a frame's visual tokens still held, mean over layers and KV heads, by the frames "
    "seen. A window lets all of a frame go at once; StateKV keeps of old frames what later ones "
    "look at."
)


@dataclass(frozen=True, eq=False)
class Held:
    """A video's frames as the model sees them, and what became of their tokens by memory."""

    pictures: Sequence[Picture]
    patches: Mapping[str, Sequence[FramePatches]]


def follow(
    model: VideoModel,
    media: VideoFrames,
    memories: Mapping[str, CrossFrameMemory],
    stream: StreamOptions,
) -> Held:
    """Let a video pass through memories and note what they hold after every frame."""
    model, frames = seen_by(model, media, stream)
    noted = {name: HeldTokens(model.spec) for name in memories}
    sessions = {
        name: stream.session(model, FollowedMemory(memory, noted[name]))
        for name, memory in memories.items()
    }
    camera, shared = PictureTaker(model.frames_per_patch, model.text), SharedStream(model, sessions)
    for image, seconds in camera.watch(frames):
        shared.push(image, seconds)
    patches = {name: held.frames(camera.pictures, model.patch_grid) for name, held in noted.items()}
    return Held(camera.pictures, patches)


def timelines(held: Held) -> Drawing:
    """Frames by frames seen, a panel for each memory."""

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(held.patches), squeeze=False)[0]
        for axes, (name, frames) in zip(panels, held.patches.items(), strict=True):
            draw_timeline(axes, shares_over_time(frames))
            axes.set_title(name)

    return Drawing("held", "What is held as the video passes", CAPTION, (9.6, 3.9), draw)
