"""Videos as streams of frames."""

from .reading import VideoError as VideoError
from .reading import VideoInfo as VideoInfo
from .reading import VideoSamples as VideoSamples
from .reading import frames_at as frames_at
from .reading import probe_video as probe_video
from .reading import stream_video as stream_video
