"""Video-MME's .srt files, and which of their lines sampled frames show."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crossframe.experiments.benchmarks.videomme import NONE, Line, read_subtitles, shown_text
from crossframe.experiments.publishing.small_benchmarks import write_clip


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Six seconds, four frames each."""
    write_clip(tmp_path / "clip.mp4", ["Red"])
    return tmp_path / "clip.mp4"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def srt(*lines: tuple[float, float, str]) -> Path:
        sections = [
            f"{number}\n{stamp(start)} --> {stamp(end)}\n"
            f'<font color="white" size=".72c">{text}</font>'
            for number, (start, end, text) in enumerate(lines)
        ]
        path = tmp_path / "lines.srt"
        path.write_text("\n\n".join(sections), "utf-8")
        return path

    return srt


def stamp(seconds: float) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", ",")


def test_lines_are_read_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_bytes(b"1\r\n01:02:03,450 --> 01:02:04,000\r\none\r\ntwo\r\n\r\n2\r\n\r\n\r\n")
    assert read_subtitles(path) == [Line(3723.45, 3724.0, "one two")]


def test_a_line_counts_if_a_sampled_frame_shows_it(write: Callable[..., Path], video: Path) -> None:
    path = write((0, 2, "one"), (2, 4, "two"), (5.75, 6, "end"))
    assert shown_text(path, video, 1) == "one"  # frame 0
    assert shown_text(path, video, 2) == "one\nend"  # frames 0 and 23
    assert shown_text(path, video, 3) == "one\ntwo\nend"  # and 11


def test_the_end_of_a_line_is_not_part_of_it(write: Callable[..., Path], video: Path) -> None:
    # Of the frames 0, 2, 5, 8, 11, ... only 8 is near, and it stands at 2 s.
    assert shown_text(write((1.5, 2, "before"), (2, 2.25, "after")), video, 9) == "after"


def test_lines_come_once_and_in_the_order_of_the_file(
    write: Callable[..., Path], video: Path
) -> None:
    path = write((3, 6, "late"), (0, 6, "long"), (0, 1, "early"))
    assert shown_text(path, video, 24) == "late\nlong\nearly"


def test_of_lines_at_the_same_time_the_last_is_taken(
    write: Callable[..., Path], video: Path
) -> None:
    assert shown_text(write((0, 6, "first"), (0, 6, "second")), video, 8) == "second"


def test_lines_in_other_markup_are_passed_over(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:06,000\nplain\n", "utf-8")
    assert shown_text(path, video, 8) == ""


def test_without_a_file_or_a_video_there_are_none(
    write: Callable[..., Path], video: Path, tmp_path: Path
) -> None:
    path = write((0, 6, "one"))
    assert shown_text(None, video, 8) == shown_text(path, None, 8) == NONE
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert shown_text(path, tmp_path / "broken.mp4", 8) == NONE


def test_a_damaged_file_is_told(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\nno times here\ntext\n", "utf-8")
    with pytest.raises(ValueError, match=r"a\.srt has 'no times here' where the times"):
        shown_text(path, video, 8)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"a\.srt cannot be read as subtitles"):
        read_subtitles(path)
