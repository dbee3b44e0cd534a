"""A folder of videos and questions in a published layout, with a sealed account of all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...framework.files.whole_folder import whole_folder
from .asking import Asked, ask_at_end, ask_at_times
from .chance import generator
from .clip import Clip, make_clip
from .layouts import LAYOUTS, Item, rotations
from .mp4 import write_clip
from .options import FolderOptions
from .setting import Setting
from .tasks import task_from

ACCOUNT = "testbed.json"


@dataclass(frozen=True, eq=False)
class Take:
    """A clip of the folder and what is asked of it."""

    name: str
    seed: int
    setting: Setting
    clip: Clip
    asked: Asked

    @property
    def digest(self) -> str:
        """SHA-256 of the frames before encoding."""
        return hashlib.sha256(self.clip.frames.tobytes()).hexdigest()


def takes(setting: Setting, options: FolderOptions) -> Iterator[Take]:
    """The clips of a folder in order; where tasks want several stages they take turns."""
    tasks = [task_from(text) for text in options.tasks]
    stages = list(dict.fromkeys(task.stage for task in tasks))
    for number in range(options.clips):
        own, seed = (
            replace(setting, stage=stages[number % len(stages)]),
            options.first_seed + number,
        )
        asking = [task for task in tasks if task.stage == own.stage]
        clip = make_clip(own, options.part, seed, options.frames)
        rng = generator(options.part, seed, "questions")
        if LAYOUTS[options.layout].at_times:
            asked = ask_at_times(asking, clip.truth, own.every, options.questions, rng)
        else:
            asked = ask_at_end(asking, clip.truth, rng)
        yield Take(f"clip{seed:010}", seed, own, clip, asked)


def write_folder(
    output: Path, setting: Setting, options: FolderOptions
) -> Generator[int, None, None]:
    """Write videos, annotations and `testbed.json`; whole, or not at all.

    Yields:
        After each clip how many are written; all has come to its place when the last was taken.

    Raises:
        ValueError: for a folder in use, a number of frames that is no multiple of `every`, or a
            task that no clip has a question for.
    """
    layout, items, clips = LAYOUTS[options.layout], list[Item](), list[dict[str, Any]]()
    with whole_folder(output) as folder:
        for number, take in enumerate(takes(setting, options), 1):
            path = folder / layout.videos / f"{take.name}.mp4"
            write_clip(path, take.clip.frames, options.fps, factor=options.scale)
            items += items_of(take, options)
            told = {"video": path.name, "seed": take.seed, "stage": take.setting.stage}
            clips.append(told | {"sha256": take.digest})
            yield number
        _require_all_kinds(items, options)
        annotation = folder / layout.annotation
        annotation.parent.mkdir(parents=True, exist_ok=True)
        annotation.write_bytes(layout.encode(items))
        account = {
            "options": asdict(options),
            "setting": {k: v for k, v in asdict(setting).items() if k != "stage"},
            "clips": clips,
            "questions": [_told(item) for item in items],
        }
        sealed = account | {"seal": _seal(account)}
        (folder / ACCOUNT).write_text(json.dumps(sealed, indent=1), "utf-8")


def items_of(take: Take, options: FolderOptions) -> Iterator[Item]:
    """The questions of a take, each in all of its rotations."""
    for number, (task, question) in enumerate(take.asked):
        for turn, order in enumerate(rotations(question.choices, options.circular)):
            yield Item(
                f"{take.name}-{number}-{turn}",
                take.name,
                options.frames,
                options.fps,
                task.spelling,
                question,
                order,
            )


def read_account(folder: Path) -> dict[str, Any]:
    """What `testbed.json` tells, after a look at its seal.

    Raises:
        ValueError: for a folder without one, or one that was changed.
    """
    path = folder / ACCOUNT
    if not path.is_file():
        raise ValueError(f"{folder} holds no {ACCOUNT}: it is no folder of the testbed")
    account = json.loads(path.read_text("utf-8"))
    seal = account.pop("seal", None)
    if seal != _seal(account):
        raise ValueError(f"{path} was changed after it was written: write the folder anew")
    return account


def require_same_clips(folder: Path) -> None:
    """Draw the folder's clips again and compare their hashes with those of its account.

    Raises:
        ValueError: naming the first clip that comes out otherwise, or as `read_account`.
    """
    account = read_account(folder)
    setting, options = Setting(**_ranges(account["setting"])), _options(account["options"])
    for take, written in zip(takes(setting, options), account["clips"], strict=True):
        if take.digest != written["sha256"]:
            raise ValueError(
                f"{folder}: {written['video']} is drawn otherwise here, so that results on it "
                "cannot be compared: write the folder with the release that it was written with"
            )


def _require_all_kinds(items: list[Item], options: FolderOptions) -> None:
    for task in options.tasks:
        if task_from(task).spelling not in {item.kind for item in items}:
            raise ValueError(
                f"no clip has a fair question of {task}: take more clips, more frames or shorter "
                "scenes"
            )


def _told(item: Item) -> dict[str, Any]:
    return {"id": item.id, "kind": item.kind, "options": item.options} | asdict(item.asked)


def _seal(account: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(account, sort_keys=True).encode()).hexdigest()


def _options(told: Mapping[str, Any]) -> FolderOptions:
    return FolderOptions(**_ranges(told))


def _ranges(told: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of JSON as the tuples they were."""
    return {name: tuple(one) if isinstance(one, list) else one for name, one in told.items()}
