"""Draws and encodes the demo video: four scenes whose facts are known, so they can be asked about.

`python -m crossframe.experiments.publishing.make_demo_video [--output PATH]`
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from jsonargparse import auto_cli
from PIL import Image, ImageDraw, ImageFont

from ..testbed.mp4 import write_video

WIDTH, HEIGHT, FPS, SCENE_SECONDS = 320, 240, 12, 7
DEMO_VIDEO = Path(__file__).parents[1] / "assets" / "demo.mp4"

Scene = Callable[[ImageDraw.ImageDraw, float], None]


def bouncing_ball(draw: ImageDraw.ImageDraw, seconds: float) -> None:
    """A ball on a wooden floor; each bounce gives it the next colour."""
    bounces, phase = divmod(seconds / 1.4, 1.0)
    colour = ("crimson", "royalblue", "gold", "seagreen", "purple")[int(bounces) % 5]
    x, y = 30 + 38 * seconds, 196 - 4 * 150 * phase * (1 - phase)
    draw.rectangle((0, 0, WIDTH, 214), "lightsteelblue")
    draw.rectangle((0, 214, WIDTH, HEIGHT), "saddlebrown")
    draw.ellipse((x - 10 - 6 * phase, 214, x + 10 + 6 * phase, 220), "black")  # its shadow
    draw.ellipse((x - 18, y - 18, x + 18, y + 18), colour, outline="black", width=2)


def scoreboard(draw: ImageDraw.ImageDraw, seconds: float) -> None:
    """HOME scores every second, AWAY once; the clock runs down from 20."""
    draw.rectangle((0, 0, WIDTH, HEIGHT), "darkgreen")
    draw.rectangle((30, 40, 290, 200), "black", outline="white", width=4)
    _write(draw, (95, 70), "HOME", 26, "white")
    _write(draw, (225, 70), "AWAY", 26, "white")
    _write(draw, (95, 125), str(2 * int(seconds)), 60, "orange")
    _write(draw, (225, 125), "3" if seconds >= 4 else "0", 60, "orange")
    _write(draw, (160, 180), f"0:{20 - int(seconds):02d}", 24, "red")
    x = 20 + 280 * (seconds % 2 if seconds % 2 < 1 else 2 - seconds % 2)
    draw.ellipse((x - 8, 212, x + 8, 228), "white")  # a ball passed below the board


def road(draw: ImageDraw.ImageDraw, seconds: float) -> None:
    """A red car overtakes a blue lorry on a scrolling road past trees."""
    draw.rectangle((0, 0, WIDTH, 110), "skyblue")
    draw.rectangle((0, 110, WIDTH, HEIGHT), "olivedrab")
    draw.rectangle((0, 140, WIDTH, 215), "dimgray")
    for index in range(5):
        x = (index * 80 - 110 * seconds) % 400 - 40
        draw.rectangle((x, 175, x + 38, 179), "white")
        tree = (index * 80 - 45 * seconds) % 400 - 40
        draw.rectangle((tree + 11, 100, tree + 17, 125), "sienna")
        draw.ellipse((tree, 65, tree + 28, 108), "darkgreen")
    _vehicle(draw, 190 - 12 * seconds, 168, 90, 48, "mediumblue")
    _vehicle(draw, -70 + 52 * seconds, 208, 60, 24, "red")


def sunset(draw: ImageDraw.ImageDraw, seconds: float) -> None:
    """The sun sinks into the sea, the sky darkens, a boat crosses, stars come out."""
    left = 1 - seconds / SCENE_SECONDS
    draw.rectangle((0, 0, WIDTH, 150), (int(30 + 200 * left), int(20 + 120 * left), 110))
    if left < 0.45:
        for x, y in ((40, 30), (110, 55), (170, 22), (235, 70), (290, 40)):
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), "white")
    height = 60 + 130 * (1 - left)
    draw.ellipse((135, height - 25, 185, height + 25), "orange")
    draw.rectangle((0, 150, WIDTH, HEIGHT), (10, int(30 + 50 * left), int(60 + 80 * left)))
    x = 300 - 38 * seconds
    draw.polygon(((x, 170), (x + 70, 170), (x + 55, 188), (x + 15, 188)), "maroon")
    draw.polygon(((x + 33, 165), (x + 33, 110), (x + 62, 165)), "white")


SCENES: tuple[Scene, ...] = (bouncing_ball, scoreboard, road, sunset)


def _vehicle(
    draw: ImageDraw.ImageDraw, x: float, floor: float, length: float, height: float, colour: str
) -> None:
    draw.rectangle((x, floor - 6 - height, x + length, floor - 6), colour, outline="black")
    draw.rectangle(
        (x + length - 20, floor - 2 - height, x + length - 6, floor + 8 - height), "cyan"
    )
    for wheel in (x + 12, x + length - 14):
        draw.ellipse((wheel - 7, floor - 12, wheel + 7, floor + 2), "black", outline="silver")


def _write(
    draw: ImageDraw.ImageDraw, centre: tuple[float, float], text: str, size: float, colour: str
) -> None:
    draw.text(centre, text, colour, font=ImageFont.load_default(size), anchor="mm")


def draw_frames() -> Iterator[Image.Image]:
    """Every frame of the demo: `WIDTH` x `HEIGHT` RGB, `FPS` a second, the scenes one by one."""
    for scene in SCENES:
        for step in range(SCENE_SECONDS * FPS):
            image = Image.new("RGB", (WIDTH, HEIGHT))
            scene(ImageDraw.Draw(image), step / FPS)
            yield image


def write_demo_video(output: Path = DEMO_VIDEO) -> None:
    """Encode the demo; on one thread, so the same encoder writes the same bytes."""
    encoder = {"crf": "24", "preset": "veryslow", "threads": "1"}
    write_video(output, draw_frames(), FPS, movflags="faststart", **encoder)


if __name__ == "__main__":
    auto_cli(write_demo_video, as_positional=False)
