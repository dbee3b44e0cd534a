import pytest

from crossframe.experiments.testbed import Setting


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"size": 30}, r"size must be 32 to 128, by 4, got 30"),
        ({"size": 50}, r"size must be 32 to 128, by 4, got 50"),
        ({"stage": "sea"}, r"stage must be one of scenes, cups, exits, got 'sea'"),
        ({"background": "black"}, r"background must be static or changing, got 'black'"),
        ({"scene": 31}, r"scene must be 1 to 30 frames, or \(least, most\), got 31"),
        ({"scene": (5, 4)}, r"scene must be .*, got \(5, 4\)"),
        ({"cuts": 1.5}, r"cuts must be a probability, 0 to 1, got 1\.5"),
        ({"occlusion": -0.1}, r"occlusion must be a probability, 0 to 1, got -0\.1"),
        ({"presence": 2}, r"presence must be a probability, 0 to 1, got 2"),
        ({"distractors": 9}, r"distractors must be 0 to 8, got 9"),
        ({"motion": 17}, r"motion must be 0 to 16 pixels, got 17"),
        ({"once": 3}, r"once must be 0 to 2 shapes, got 3"),
        ({"shapes": 6}, r"shapes must be 2 to 5 beside 1, got 6"),
        ({"shapes": (1, 3)}, r"shapes must be 2 to 5 beside 1, got \(1, 3\)"),
        ({"every": 0}, r"every must be 1 to 8 frames, got 0"),
    ],
)
def test_knobs_out_of_bounds_are_refused(knobs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Setting(**knobs)


def test_all_six_shapes_may_be_regular_where_none_comes_once() -> None:
    assert Setting(shapes=6, once=0).shapes == 6
