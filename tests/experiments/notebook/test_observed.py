"""Observations from Python say what the command says, and show themselves."""

from crossframe.experiments import observe
from crossframe.experiments.demo.clip import video_path

MODEL = "crossframe/tiny-internvl3"


def test_mass_is_observed() -> None:
    seen = observe(video_path(), model=MODEL, frames=6, capacities=[4, 16])
    assert set(seen.rows["capacity"]) == {4, 16}
    assert repr(seen) == f"Observed({len(seen.rows)} rows of {video_path()})"
    assert list(seen.figures) == ["layer", "head", ""]
    assert "Evidence" in seen._repr_html_()
