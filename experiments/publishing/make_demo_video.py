"""Draws and encodes the demo video: a clip of the testbed, enlarged.

`python -m crossframe.experiments.publishing.make_demo_video [--output PATH]`
"""

from pathlib import Path

from jsonargparse import auto_cli

from ..demo.clip import RATE, demo_clip, video_path
from ..testbed.mp4 import write_clip

FACTOR = 2
# On one thread, so the same encoder writes the same bytes; the index in front, for web pages.
ENCODER = {"crf": "28", "preset": "veryslow", "threads": "1", "movflags": "faststart"}


def write_demo_video(output: Path | None = None) -> None:
    """Encode the demo's clip; without an output, as the bundled file."""
    frames = demo_clip().draw()
    write_clip(output or video_path(), frames, RATE, factor=FACTOR, **ENCODER)


if __name__ == "__main__":
    auto_cli(write_demo_video, as_positional=False)
