"""One visual grammar: a colour is a family of memories, marker and line tell its members apart."""

import io
from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from crossframe.experiments.reports.drawing import FAMILY_COLOURS, Drawing, family_styles, tidy_axes
from crossframe.experiments.reports.text import FULL
from crossframe.experiments.streaming.rule_text import MEMORIES
from crossframe.framework import FullMemory


def lab(colour: str) -> np.ndarray:
    """CIELAB under D65: distances are differences as people see them, about 2 is the least."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    rows = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(rows) @ linear / np.array([0.9505, 1, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_memory_has_a_colour_of_its_own_that_can_be_told_from_others() -> None:
    styles = family_styles({name: FULL if name == "full" else name for name in MEMORIES})
    colours = [style.colour for style in styles.values()]
    assert len(set(colours)) == len(MEMORIES)
    assert styles["full"].colour == "#000000"
    near = [
        (one, other)
        for one, other in combinations(["#000000", *FAMILY_COLOURS], 2)
        if np.linalg.norm(lab(one) - lab(other)) < 15
    ]
    assert not near
    light = [colour for colour in FAMILY_COLOURS if lab(colour)[0] > 80]
    assert not light, "hardly seen on white"


def test_full_attention_is_known_by_its_class() -> None:
    assert FullMemory.__name__ == FULL


def test_variants_share_the_colour_and_differ_in_marker_and_line() -> None:
    families = {
        "full": FULL,
        "a": "A",
        "b": "B",
        "sinks(a)": "A",
        "drop(a)": "A",
        "drop(full)": FULL,
    }
    styles = family_styles(families)
    assert styles["a"].colour == styles["sinks(a)"].colour == styles["drop(a)"].colour
    assert len({(styles[n].marker, styles[n].dashes) for n in ("a", "sinks(a)", "drop(a)")}) == 3
    assert styles["a"].colour != styles["b"].colour
    assert {name for name, s in styles.items() if s.colour == "#000000"} == {"full", "drop(full)"}


def test_a_drawing_is_made_when_it_is_looked_at_and_once() -> None:
    seen: list[Figure] = []
    drawing = Drawing("one", "One", "", (4, 2), seen.append)
    assert not seen
    assert drawing.svg and drawing.figure is seen[0]
    assert len(seen) == 1


def test_a_drawing_shows_itself_in_a_notebook() -> None:
    drawing = Drawing("one", "One", "", (4, 2), lambda figure: tidy_axes(figure.subplots()))
    assert Image.open(io.BytesIO(drawing._repr_png_())).size == (288, 144)
