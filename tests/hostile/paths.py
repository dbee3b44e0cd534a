"""Where sessions are saved, where videos and studies lie, what an index of shards lists."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from crossframe.experiments.ablation.options import AblateOptions
from crossframe.experiments.benchmarks import OVOBench
from crossframe.experiments.streaming.options import ModelOptions
from crossframe.framework import FullMemory, VideoSession
from crossframe.models.checkpoints.shards import INDEX, require_plain_shards

from .cases import Case, Family
from .session_files import plain, sound

LEGAL = ("x", "a b", "-x", ".x", "x.partial", "x.session", "ü.é", "%s%n", "$HOME", "~", "x\ny", "*")
PARTS = ("..", ".", "a", "b.mp4", "", "in", "x" * 300, "%d", "a:b", "\\", "~", "..a", "a..", "\0")


# Targets of a save


def ordinary(rng: Random, folder: Path) -> Path:
    return folder / rng.choice(LEGAL)


def replaced(rng: Random, folder: Path) -> Path:
    path = ordinary(rng, folder)
    path.write_bytes(rng.randbytes(9))
    return path


def link(rng: Random, folder: Path) -> Path:
    """The link is replaced, what it leads to stays."""
    path = ordinary(rng, folder)
    (folder / "precious").write_bytes(b"mine")
    path.symlink_to(folder / rng.choice(("precious", "nowhere")))
    return path


def a_folder(rng: Random, folder: Path) -> Path:
    path = ordinary(rng, folder)
    path.mkdir()
    return path


def a_pipe(rng: Random, folder: Path) -> Path:
    path = ordinary(rng, folder)
    os.mkfifo(path)
    return path


def link_to_a_pipe(rng: Random, folder: Path) -> Path:
    """No device of the machine: run by root, broken code would replace that."""
    os.mkfifo(folder / "pipe")
    path = ordinary(rng, folder)
    path.symlink_to("pipe")
    return path


def in_no_folder(rng: Random, folder: Path) -> Path:
    (folder / "file").write_bytes(b"mine")
    return folder / rng.choice(("no/x", "no/no/x", "file/x", "file/x/y"))


def impossible(rng: Random, folder: Path) -> Path:
    return folder / rng.choice(("x" * 256, "a\0b", "ü" * 128))


def looped(rng: Random, folder: Path) -> Path:
    (folder / "x").symlink_to("x")
    return folder / "x"


GOOD = (ordinary, replaced, link)
BAD = (a_folder, a_pipe, link_to_a_pipe, in_no_folder, impossible, looped)


def draw_target(rng: Random, folder: Path) -> Case:
    make: Callable[[Random, Path], Path] = rng.choice(GOOD if rng.random() < 0.5 else BAD)
    path = make(rng, folder)
    for name in (f"{path.name}.partial", f"{path.name}.tmp", ".partial"):
        beside = folder / name
        possible = len(os.fsencode(name)) < 256 and "\0" not in name
        if possible and not os.path.lexists(beside) and rng.random() < 0.3:
            beside.write_bytes(b"mine")
    kind, before = sound(plain), contents(folder)
    session = plain()

    def right(came_back: object) -> None:
        kind.require_same(VideoSession.load(path, kind.model))
        assert not path.is_symlink()

    def untouched() -> None:
        after = contents(folder)
        if make in GOOD:
            assert after.pop(path.name) != before.pop(path.name, None)
        assert after == before

    name = repr(str(path))[1:-1][:200]
    return Case(
        f"save to {make.__name__} {name:.80}",
        partial(session.save, path),
        right if make in GOOD else None,
        () if make in GOOD else (name[:40],),
        untouched,
        (ValueError, OSError),
    )


def contents(folder: Path) -> dict[str, object]:
    """What lies in a folder by name: bytes of files, the way of links, else the mode."""
    found: dict[str, object] = {}
    for path in folder.iterdir():
        if path.is_symlink():
            found[path.name] = os.readlink(path)
        else:
            found[path.name] = path.read_bytes() if path.is_file() else path.lstat().st_mode
    return found


# Names that files give


def drawn_name(rng: Random, folder: Path) -> str:
    parts = [rng.choice(PARTS) for _ in range(rng.randint(1, 4))]
    start = rng.choice(("", "", "", "/", f"{folder}/", f"{folder}/../"))
    return start + "/".join(parts)


def draw_video(rng: Random, folder: Path) -> Case:
    """Inside the root a video is found or missing, outside it is refused by its name."""
    root = folder / "root"
    for place in (root / "src_videos/a", root / "in", folder / "a"):
        place.mkdir(parents=True)
        (place / "b.mp4").touch()
    (folder / "b.mp4").touch()
    benchmark, name = OVOBench(root), drawn_name(rng, root)
    places = [root / part / name for part in benchmark.video_folders]
    inside = all(f"{os.path.normpath(place)}/".startswith(f"{root}/") for place in places)

    def right(came_back: object) -> None:
        expected = [place for place in places if os.path.isfile(place)]
        assert came_back == (expected[0] if expected else None)

    act = partial(benchmark.find_video, name)
    told = () if inside else ("outside", "set `videos`")
    return Case(f"video {name[:80]!r}", act, right if inside else None, told)


def draw_study(rng: Random, folder: Path) -> Case:
    """A study's model is a folder right below its output, or refused by its name."""
    name = rng.choice((rng.choice(LEGAL), drawn_name(rng, folder)))

    def make() -> AblateOptions:
        return AblateOptions(
            models={name: ModelOptions("x")},
            benchmark=OVOBench(folder),
            output=folder,
            fixed={"full": FullMemory()},
        )

    def right(came_back: object) -> None:
        assert isinstance(came_back, AblateOptions)
        assert Path(os.path.normpath(folder / name)).parent == folder
        assert "/" not in name

    return Case(f"study of {name[:80]!r}", make, right, ("names are made of",))


def draw_shard(rng: Random, folder: Path) -> Case:
    """An index lists safetensors of its own folder, or is refused by the name it lists."""
    good = "model-00001-of-00002.safetensors"
    ending = rng.choice((".safetensors", ".bin", ".pt", ""))
    file: object = rng.choice((good, drawn_name(rng, folder) + ending, None, 3, [], {}, True))
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": good, "b": _hashable(file)}}))
    plain_name = isinstance(file, str) and not {"/", "\\", "\0"} & set(file)
    fine = plain_name and str(file).endswith(".safetensors")
    act = partial(require_plain_shards, folder)
    told = () if fine else (INDEX, repr(_hashable(file))[:40])
    return Case(f"shard {str(file)[:80]!r}", act, (lambda _: None) if fine else None, told)


def _hashable(file: object) -> object:
    return None if isinstance(file, list | dict) else file


FAMILIES = (
    Family("targets of a save", draw_target, 80),
    Family("names of videos", draw_video, 60),
    Family("names of studies", draw_study, 30),
    Family("shards of a checkpoint", draw_shard, 40),
)
