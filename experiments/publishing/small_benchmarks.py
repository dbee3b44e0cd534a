"""Small benchmarks in the published layouts, to try a command without downloading anything.

Each writer fills a folder with two generated videos of a few seconds and two or three questions
about each, in the files that the benchmark publishes. The questions are about the videos (which
colour is shown, and when), so a real model can be right; its score means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from ..benchmarks.choices import lettered
from ..testbed.mp4 import write_video

COLOURS = {"Red": (200, 30, 30), "Green": (30, 160, 60), "Blue": (40, 60, 200)}
FPS, SECONDS, WIDTH, HEIGHT = 4, 6, 64, 48
VIDEOS = {"clip1": ("Red", "Green", "Blue"), "clip2": ("Blue", "Red", "Green")}
OPTIONS = ("Red", "Green", "Blue", "White")
LENGTHS = ("short", "long")
TASKS = (("first", "Which colour comes first?", 0), ("last", "Which colour comes last?", -1))


def write_clip(path: Path, colours: Sequence[str], *, seconds: int = SECONDS) -> None:
    """Encode an H.264 video that shows colours one after another, a white square moving across.

    Args:
        path: an mp4; folders on the way are made.
        colours: names in `COLOURS`, each shown equally long.
    """
    frames = FPS * seconds
    images = (_square(colours, step, frames) for step in range(frames))
    write_video(path, images, FPS, preset="ultrafast")


def _square(colours: Sequence[str], step: int, frames: int) -> Image.Image:
    """The picture of one step: its colour, and how far the square has come."""
    image = Image.new("RGB", (WIDTH, HEIGHT), COLOURS[colours[step * len(colours) // frames]])
    left = 2 * step % (WIDTH - 12)
    image.paste((255, 255, 255), (left, 18, left + 12, 30))
    return image


def write_videomme(folder: Path) -> None:
    """The parquet, videos in `data/`, and subtitles of the first video."""
    rows = [
        {
            "video_id": f"{number:03}",
            "duration": LENGTHS[number % 2],
            "domain": "Knowledge",
            "sub_category": "Technology",
            "url": f"https://www.youtube.com/watch?v={video}",
            "videoID": video,
            "question_id": f"{number:03}-{task}",
            "task_type": "Temporal Perception",
            "question": asked,
            "options": _with_letters(),
            "answer": answer,
        }
        for number, video, task, asked, answer in _asked(folder / "data")
    ]
    _write_parquet(folder / "videomme/test-00000-of-00001.parquet", rows)
    line = '<font color="white" size=".72c">{}</font>\n\n'.format
    subtitles = folder / "subtitle/clip1.srt"
    subtitles.parent.mkdir(exist_ok=True)
    subtitles.write_text(
        f"1\n00:00:00,000 --> 00:00:02,000\n{line('This is red.')}"
        f"2\n00:00:04,000 --> 00:00:06,000\n{line('And this is blue.')}",
        "utf-8",
    )


def write_mlvu(folder: Path) -> None:
    """The parquet of the dev split, videos beside its folder."""
    listed = "".join(f"\n({letter}) {text}" for letter, text in lettered(OPTIONS).items())
    rows = [
        {
            "video_name": f"{video}.mp4",
            "duration": float(SECONDS),
            "question": asked + listed,
            "candidates": list(OPTIONS),
            "answer": answer,
            "task_type": {"first": "plotQA", "last": "needle"}[task],
            "question_id": f"{task}_{number}",
        }
        for number, video, task, asked, answer in _asked(folder)
    ]
    _write_parquet(folder / "mlvu/test-00000-of-00001.parquet", rows)


def write_mlvu_original(folder: Path) -> None:
    """`json/` with seven files of tasks, answers as text, and `video/`."""
    files = ("1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco")
    for file in (*files, "7_topic_reasoning"):
        rows = [
            {
                "video": f"{video}.mp4",
                "duration": SECONDS,
                "question": asked,
                "candidates": list(OPTIONS),
                "answer": lettered(OPTIONS)[answer],
                "question_type": "findNeedle" if file == "2_needle" else file[2:],
            }
            for _, video, task, asked, answer in _asked(folder / "video" / file)
            if task == "first"
        ]
        _write_json(folder / f"json/{file}.json", rows)


def write_ovobench(folder: Path) -> None:
    """`ovo_bench_new.json` and `src_videos/`: every kind of question, at moments of the videos."""
    for video, colours in VIDEOS.items():
        write_clip(folder / f"src_videos/COIN/{video}.mp4", colours)
    first, second = ({"video": f"COIN/{video}.mp4"} for video in VIDEOS)
    now = {"question": "Which colour is shown now?", "options": list(OPTIONS)}
    before = {"question": TASKS[0][1], "options": list(OPTIONS[:3])}
    shown = [{"realtime": 1, "step": "show green", "type": 0}]
    shown += [{"realtime": 3.5, "step": "show green", "type": 1}]
    items: list[dict[str, Any]] = [
        {"task": "EPM", **first, **before, "realtime": 5, "answer": "Red", "gt": 0},
        {"task": "ACR", **first, **now, "realtime": 2.5, "answer": "Green", "gt": 1},
        {"task": "STU", **second, **now, "realtime": 1, "answer": "Blue", "gt": 2},
        {
            "task": "REC",
            **first,
            "activity": "change the colour",
            "start_times": [2, 4],
            "end_times": [2, 4],
            "test_info": [{"realtime": 1, "count": 0}, {"realtime": 3.5, "count": 1}],
        },
        {
            "task": "SSR",
            **first,
            "tutorial": "Colours",
            "all_steps": ["show red", "show green"],
            "start_time": [0, 2],
            "end_time": [2, 4],
            "test_info": shown,
        },
        {
            "task": "CRR",
            **second,
            "question": "What comes after red?",
            "answer": "Green",
            "ask_time": 1,
            "clue_time": 4,
            "test_info": [{"realtime": 1, "type": 0}, {"realtime": 5, "type": 1}],
        },
    ]
    rows = [{"id": number, **item} for number, item in enumerate(items)]
    _write_json(folder / "ovo_bench_new.json", rows)


def write_longvideobench(folder: Path) -> None:
    """`lvb_val.json` and `videos/`."""
    rows = [
        {
            "video_id": video,
            "id": f"{video}_{task}",
            "video_path": f"{video}.mp4",
            "subtitle_path": f"{video}_en.json",
            "question": asked,
            "candidates": list(OPTIONS),
            "correct_choice": "ABCD".index(answer),
            "duration": float(SECONDS),
            "duration_group": 15,
            "question_category": "T3E",
            "topic_category": "KH-Knowledge-History",
            "starting_timestamp_for_subtitles": 0,
        }
        for _, video, task, asked, answer in _asked(folder / "videos")
    ]
    _write_json(folder / "lvb_val.json", rows)


def write_lvbench(folder: Path) -> None:
    """`video_info.meta.jsonl`, one line per video, and `videos/`."""
    listed = "".join(f"\n({letter}) {text}" for letter, text in lettered(OPTIONS).items())
    lines: dict[str, dict[str, Any]] = {}
    for number, video, _, asked, answer in _asked(folder / "videos"):
        size = {"width": WIDTH, "height": HEIGHT}
        about = {"duration_minutes": SECONDS / 60, "fps": FPS, "resolution": size}
        line = lines.setdefault(
            video, {"key": video, "type": "cartoon", "video_info": about, "qa": []}
        )
        line["qa"].append(
            {
                "uid": str(2 * number + len(line["qa"])),
                "question": asked + listed,
                "answer": answer,
                "question_type": ["entity recognition", "temporal grounding"][: 1 + number],
                "time_reference": "00:00-00:06",
            }
        )
    text = "".join(f"{json.dumps(line)}\n" for line in lines.values())
    (folder / "video_info.meta.jsonl").write_text(text, "utf-8")


def write_egoschema(folder: Path) -> None:
    """The parquet of the subset with answers, and `videos/`; one question per video and task."""
    rows = [
        {
            "question_idx": f"{video}-{task}",
            "video_idx": video,
            "question": asked,
            "option": [*_with_letters(), "E. Black"],
            "answer": str("ABCDE".index(answer)),
        }
        for _, video, task, asked, answer in _asked(folder / "videos")
    ]
    _write_parquet(folder / "Subset/test-00000-of-00001.parquet", rows)


def write_streamingbench(folder: Path) -> None:
    """`questions_real.json` and `videos/`: what is shown now, two questions per video."""
    entries = []
    for number, (video, colours) in enumerate(VIDEOS.items(), 1):
        name = f"sample_{number}_real.mp4"
        write_clip(folder / "videos" / name, colours)
        for moment, stamp in ((1, "00:00:01"), (3, "0:00:03")):
            question = {
                "task_type": "Attribute Recognition",
                "question": "Which colour is shown right now?",
                "time_stamp": stamp,
                "answer": "ABCD"[OPTIONS.index(colours[moment // 2])],
                "options": _with_letters(),
                "required_ability": "working memory",
            }
            entry = {"time": "[0:00:00 - 0:00:06]", "questions": [question]}
            entries.append({**entry, "video_categories": video, "video_path": f"./videos/{name}"})
    _write_json(folder / "questions_real.json", entries)


FIXTURES: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {
        "videomme": write_videomme,
        "mlvu": write_mlvu,
        "ovobench": write_ovobench,
        "longvideobench": write_longvideobench,
        "lvbench": write_lvbench,
        "egoschema": write_egoschema,
        "streamingbench": write_streamingbench,
    }
)


def _asked(folder: Path) -> Iterator[tuple[int, str, str, str, str]]:
    """(number and name of the video, task, question, letter of the answer), videos written."""
    for number, (video, colours) in enumerate(VIDEOS.items()):
        write_clip(folder / f"{video}.mp4", colours)
        for task, asked, place in TASKS:
            yield number, video, task, asked, "ABCD"[OPTIONS.index(colours[place])]


def _with_letters() -> list[str]:
    return [f"{letter}. {text}" for letter, text in lettered(OPTIONS).items()]


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
