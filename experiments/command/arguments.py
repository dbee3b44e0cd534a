"""The arguments of commands, added to jsonargparse parsers; and options made of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from ..demo import settings as demo
from ..observation.stream import CAPACITIES, RECENT_FRAMES, ObserveOptions
from ..streaming.options import ModelOptions, StreamOptions
from ..streaming.rule_text import ARCHIVES, MEMORIES, READERS, SYNTAX, MemoryDefaults

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

T = TypeVar("T")
_VIDEO = (
    "a video file, an address such as http://... or rtsp://..., a folder of images (with --rate), "
    "or a .txt for a text decoder"
)


def options_from(kind: type[T], values: Mapping[str, Any]) -> T:
    """The options of one kind out of all values of a command."""
    names = get_type_hints(kind)
    return kind(**{name: values[name] for name in names})


def add_ask(parser: ArgumentParser) -> None:
    """Of one memory on one video."""
    _add_video(parser, f"{_VIDEO}; or - for none, to ask what --load loads")
    several = "one or more, asked when the video has passed; none sees another"
    parser.add_argument("questions", type=str, nargs="*", help=several, metavar="question")
    timed = "a question at this time of the video, or frame of a text; may be given several times"
    parser.add_argument(
        "--at", nargs=2, action="append", default=[], metavar=("SECONDS", "QUESTION"), help=timed
    )
    add_opening(parser)
    add_answering(parser)
    _add_run_options(parser)


def add_chat(parser: ArgumentParser) -> None:
    """Of one memory on one video that streams in."""
    _add_video(parser, f"{_VIDEO}, or webcam; or - for none, to ask what --load loads")
    speed = "let the video pass no faster than it was recorded"
    parser.add_argument("--realtime", action="store_true", help=speed)
    add_opening(parser)
    add_answering(parser)
    _add_run_options(parser)
    parser.set_defaults(max_frames=None)  # a long video goes on, it is not thinned


def add_opening(parser: ArgumentParser) -> None:
    """How a session begins, and where it is kept."""
    memory = f"{_memory_help()}; by default statekv, or the saved one"
    parser.add_argument("--memory", type=str | None, default=None, help=memory)
    for name, known, what in (
        ("--reader", READERS, "what the answer reads"),
        ("--archive", ARCHIVES, "how the KV of all frames is kept"),
    ):
        names = (
            f"{what}: one of {', '.join(known)}, or a class of your own, as a memory; by default "
            f"{next(iter(known))}, or the saved one"
        )
        parser.add_argument(name, type=str | None, default=None, help=names)
    system = "the system turn; by default the model's own"
    parser.add_argument("--system", type=str | None, default=None, help=system)
    saved = "write the session into this file when the video has passed"
    parser.add_argument("--save", type=str | None, default=None, help=saved)
    loaded = "go on with the session in this file, which --save wrote with the same model"
    parser.add_argument("--load", type=str | None, default=None, help=loaded)


def add_answering(parser: ArgumentParser) -> None:
    """How answers are generated."""
    sampled = "sample the answer at this temperature; by default the likeliest token is taken"
    parser.add_argument("--temperature", type=float | None, default=None, help=sampled)
    further = 'further options of transformers\' generate as JSON, such as {"top_p": 0.9}'
    parser.add_argument("--generation", type=dict[str, Any], default={}, help=further)
    parser.add_argument("--seed", type=int, default=0, help="of every sampled answer")


def add_compare(parser: ArgumentParser) -> None:
    """Of several memories on one video."""
    _add_video_and_question(parser)
    help_text = f"one or more, each {_memory_help()}"
    parser.add_argument(
        "--memories", nargs="+", type=str, default=list(demo.MEMORIES), help=help_text
    )
    for name, known, what in (
        ("--readers", READERS, "what the answer reads"),
        ("--archives", ARCHIVES, "how the KV of all frames is kept"),
    ):
        names = f"{what}: one or more of {', '.join(known)}, or classes of your own, as memories"
        parser.add_argument(name, nargs="+", type=str, default=[next(iter(known))], help=names)
    alone = "also answer from so many last frames alone, prefilled afresh (SimpleStream)"
    parser.add_argument("--simple-stream", type=int | None, default=None, help=alone)
    images = "as images of their own, as its release gives them to Qwen-VL, not as a video"
    parser.add_argument("--simple-stream-images", action="store_true", help=images)
    _add_report(parser, None)
    _add_run_options(parser)


def add_demo(parser: ArgumentParser) -> None:
    """All optional."""
    bundled = "your own video; without one, the video that comes along"
    parser.add_argument("video", type=str, nargs="?", default=None, help=bundled)
    asked = (
        f"one question instead of the demo's own; of your own video by default {demo.QUESTION!r}"
    )
    parser.add_argument("--question", type=str | None, default=None, help=asked)
    _add_report(parser, "runs/demo")


def add_observe(parser: ArgumentParser) -> None:
    """Of one memory on several videos."""
    parser.add_argument(
        "videos", type=str, nargs="+", help="video files, or texts, each counted once"
    )
    pictured = f"whose patches are pictured: {_memory_help()}"
    parser.add_argument("--memory", type=str, default="statekv", help=pictured)
    beside = "another memory, whose patches are pictured beside them"
    parser.add_argument("--beside", type=str | None, default=None, help=beside)
    # Several numbers behind one option, which jsonargparse would want as a list in brackets.
    several = {
        "capacities": (
            CAPACITIES,
            "slots whose evidence is measured, below those of a whole video",
        ),
        "recent_frames": (RECENT_FRAMES, "windows of last frames, measured beside the best tokens"),
    }
    for name, (counts, what) in several.items():
        parser.add_argument(f"--{name}", nargs="+", type=int, default=[*counts], help=what)
    for kind in (ModelOptions, MemoryDefaults, ObserveOptions):
        parser.add_class_arguments(kind, skip=set(several))


def configured(*kinds: type, more: str = "") -> Callable[[ArgumentParser], None]:
    """Adds all options of these kinds, from a file or one by one."""

    def add(parser: ArgumentParser) -> None:
        what = f"YAML file with any of these options{more}"
        parser.add_argument("--config", action="config", help=what)
        for kind in kinds:
            parser.add_class_arguments(kind)

    return add


def _add_video(parser: ArgumentParser, what: str = _VIDEO) -> None:
    parser.add_argument("video", type=str, help=what)


def _add_video_and_question(parser: ArgumentParser) -> None:
    _add_video(parser)
    parser.add_argument("question", type=str, help="asked when the video has passed")


def _add_report(parser: ArgumentParser, default: str | None) -> None:
    files = "folder for report.html, rows.json and steps.csv"
    parser.add_argument("--report", type=str, default=default, help=files)


def _add_run_options(parser: ArgumentParser) -> None:
    for kind in (ModelOptions, MemoryDefaults, StreamOptions):
        parser.add_class_arguments(kind)


def _memory_help() -> str:
    return f"one of {', '.join(MEMORIES)}, or a class of your own: {SYNTAX}"
