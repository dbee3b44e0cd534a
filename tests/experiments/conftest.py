import shutil
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from crossframe.experiments.publishing.demo_picture import BROWSERS
from crossframe.experiments.publishing.small_benchmarks import FIXTURES, write_mlvu_original
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.experiments.testbed.mp4 import write_video
from crossframe.models import DecoderModel
from crossframe.models.tiny import tiny_qwen2, tiny_tokenizer

MakeVideo = Callable[..., Path]
BlankOut = Callable[[Path, Path, float, float], Path]


def noise(number: int, square: bool = False) -> Image.Image:
    """Dark noise, and a white square whose place tells the number."""
    pixels = np.random.default_rng(number).integers(0, 99, (48, 64, 3), np.uint8)
    if square:
        pixels[10:30, 5 * (number % 9) : 5 * (number % 9) + 20] = 255
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"NOT TESTED in a browser: this machine has none of {', '.join(BROWSERS)}")
    return found


@pytest.fixture(scope="session")
def make_video(tmp_path_factory: pytest.TempPathFactory) -> MakeVideo:
    """Writes an mp4 of a moving square, one frame a second."""

    def make(name: str = "square.mp4", frames: int = 6) -> Path:
        path = tmp_path_factory.mktemp("video") / name
        images = (noise(number, square=True) for number in range(frames))
        write_video(path, images, 1, g="1", bf="0")  # every frame stands alone
        return path

    return make


@pytest.fixture(scope="session")
def blank_out() -> BlankOut:
    """Writes an mp4 again with a part (by shares of its length) blank, so that frames are missing.

    Its index stands at the end and must stay.
    """

    def write(whole: Path, path: Path, begin: float, end: float) -> Path:
        content = whole.read_bytes()
        start, stop = int(len(content) * begin), int(len(content) * end)
        path.write_bytes(content[:start] + bytes(stop - start) + content[stop:])
        return path

    return write


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> DecoderModel:
    """The untrained text decoder that every command and run finds, whatever model it names."""
    model = DecoderModel(
        tiny_qwen2(max_position_embeddings=600),
        tiny_tokenizer(),
        start="<|endoftext|>",
        tokens_per_frame=16,
    )
    monkeypatch.setattr(ModelOptions, "load", lambda self: model)
    return model


@pytest.fixture(scope="session")
def video(make_video: MakeVideo) -> Path:
    return make_video()


@pytest.fixture(scope="session")
def flagged_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures, one a second; FFmpeg flags the fourth as damaged."""
    path = tmp_path_factory.mktemp("flagged") / "flagged.avi"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(1), options={"g": "1", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8):
            container.mux(stream.encode(av.VideoFrame.from_image(noise(number))))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data, middle = bytearray(path.read_bytes()), (packets[3].pos or 0) + packets[3].size // 2
    data[middle : middle + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a fixture benchmark, written once a run; read only."""
    writers = {**FIXTURES, "mlvu_original": write_mlvu_original}

    @cache
    def get(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        writers[name](folder)
        return folder

    return get
