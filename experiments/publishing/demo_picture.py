"""Takes the picture of the demo's page that README shows; needs chromium.

crossframe demo --report runs/demo
python -m crossframe.experiments.publishing.demo_picture --page runs/demo/report.html
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from jsonargparse import auto_cli
from PIL import Image

PICTURE = Path("docs/figures/demo.png")
SIZE = (1100, 1580)  # pixels, down to what further clips say
COLOURS = 256  # of the picture: a quarter of its bytes
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def browser() -> str:
    """The first that is installed.

    Raises:
        ValueError: where none is.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise ValueError(f"a picture of a page needs one of {', '.join(BROWSERS)}: install one")
    return found


def take_picture(page: Path, output: Path = PICTURE) -> None:
    """The top of a page as a PNG of few colours.

    Args:
        page: report.html of a run of the demo.
        output: the PNG.

    Raises:
        ValueError: where there is no browser.
    """
    with TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        size = f"--window-size={SIZE[0]},{SIZE[1]}"
        command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [size, f"--screenshot={shot}", page.resolve().as_uri()]
        subprocess.run(command, capture_output=True, check=True, timeout=120)
        with Image.open(shot) as image:
            # By the octree: median cuts take the few bright pixels for their dim neighbours.
            method, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
            few = image.convert("RGB").quantize(COLOURS, method, dither=dither)
            few.save(output, optimize=True)


if __name__ == "__main__":
    auto_cli(take_picture, as_positional=False)
