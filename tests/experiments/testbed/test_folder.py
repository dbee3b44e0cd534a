"""Folders of the testbed, read by the benchmarks' own loaders, parsers and metrics."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossframe.experiments.benchmarks import BENCHMARKS, Benchmark, Question
from crossframe.experiments.streaming.sampling import FrameSampling
from crossframe.experiments.testbed import Setting, make_clip
from crossframe.experiments.testbed.folder import (
    read_account,
    require_same_clips,
    takes,
    write_folder,
)
from crossframe.experiments.testbed.layouts import LAYOUTS, delay_bin, rotations
from crossframe.experiments.testbed.lessons import TimedQuestion
from crossframe.experiments.testbed.options import FolderOptions
from crossframe.framework.video import frames_at, probe_video

SETTING = Setting(scene=2)
OPTIONS = FolderOptions(
    part=2, clips=6, frames=24, tasks=("needle", "count:most=2", "swaps"), circular=True, scale=2
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("testbed")
    for layout in LAYOUTS:
        written = list(write_folder(root / layout, SETTING, replace(OPTIONS, layout=layout)))
        assert written == [1, 2, 3, 4, 5, 6]
    return {layout: root / layout for layout in LAYOUTS}


def benchmark_of(folders: dict[str, Path], layout: str, prompt: str = "lmms-eval") -> Benchmark:
    return BENCHMARKS[layout](folders[layout], prompt)


def told(folder: Path) -> dict[str, dict]:
    return {question["id"]: question for question in read_account(folder)["questions"]}


EVERY = pytest.mark.parametrize("layout", sorted(LAYOUTS))


@EVERY
def test_readers_find_every_question_with_its_video(layout: str, folders: dict[str, Path]) -> None:
    account = told(folders[layout])
    questions = benchmark_of(folders, layout).questions()
    assert {question.id for question in questions} == set(account)
    for question in questions:
        asked = account[question.id]
        assert question.path is not None
        assert (
            question.choices[question.answer].removeprefix(f"{question.answer}. ")
            == (asked["answer"])
        )
        assert question.evidence == (asked["evidence"][-1] + 1) / OPTIONS.fps
        assert asked["text"] in question.prompt


def letter_of(question: Question, word: str) -> str:
    """The letter of an option; Video-MME's begin with theirs."""
    texts = {letter: text.removeprefix(f"{letter}. ") for letter, text in question.choices.items()}
    return next(letter for letter, text in texts.items() if text == word)


@EVERY
@pytest.mark.parametrize("prompt", ["lmms-eval", "question"])
def test_right_replies_score_100_and_wrong_ones_0(
    layout: str, prompt: str, folders: dict[str, Path]
) -> None:
    benchmark, account = benchmark_of(folders, layout, prompt), told(folders[layout])
    for right in (True, False):
        rows = []
        for question in benchmark.questions():
            asked = account[question.id]
            word = next(one for one in asked["options"] if (one == asked["answer"]) == right)
            letter = next(
                k for k, v in question.choices.items() if v.removeprefix(f"{k}. ") == word
            )
            reply = word if prompt == "question" else letter
            assert benchmark.parse(question, reply) == letter
            correct = benchmark.correct(question, reply)
            rows.append({"correct": correct, "groups": question.groups})
        scores = benchmark.score(rows)
        assert set(scores.values()) == {100.0 if right else 0.0}


@EVERY
def test_the_question_alone_is_the_prompt(layout: str, folders: dict[str, Path]) -> None:
    account = told(folders[layout])
    for question in benchmark_of(folders, layout, "question").questions():
        assert question.prompt == account[question.id]["text"]


@EVERY
@pytest.mark.parametrize("rule", ["start", "centres"])
def test_what_is_seen_ends_with_the_frame_of_the_question(
    layout: str, rule: str, folders: dict[str, Path]
) -> None:
    account, sampling = told(folders[layout]), FrameSampling(OPTIONS.fps, rule=rule)
    for question in benchmark_of(folders, layout).questions()[::7]:
        assert question.path is not None
        end = probe_video(question.path).duration
        times = sampling.times(end, question.start, question.end)
        assert len(times) == account[question.id]["frame"] + 1
        shown = list(frames_at(question.path, times))
        assert [time for _, time in shown] == [step / OPTIONS.fps for step in range(len(times))]


def test_only_ovobench_asks_before_the_end(folders: dict[str, Path]) -> None:
    frames = {
        layout: {asked["frame"] for asked in told(folder).values()}
        for layout, folder in folders.items()
    }
    assert frames["videomme"] == frames["mlvu"] == {23}
    assert len(frames["ovobench"]) > 8
    for question in benchmark_of(folders, "ovobench").questions():
        assert question.end == (told(folders["ovobench"])[question.id]["frame"] + 1) / 2


def groups(questions: list[Question], name: str) -> set[str]:
    return {question.groups[name] for question in questions}


def test_groups_tell_task_knob_and_delay(folders: dict[str, Path]) -> None:
    kinds = set(OPTIONS.tasks)
    videomme = list(benchmark_of(folders, "videomme").questions())
    assert groups(videomme, "task_type") == kinds
    assert groups(videomme, "duration") == {"24 frames"}
    assert groups(videomme, "domain") == {"testbed"}
    assert "delay 0" in groups(videomme, "sub_category")  # swaps: the state is up to date
    assert groups(list(benchmark_of(folders, "mlvu").questions()), "task") == kinds
    ovobench = list(benchmark_of(folders, "ovobench").questions())
    assert groups(ovobench, "kind") == kinds
    assert groups(ovobench, "task") == {"EPM", "ASI", "STU"}


@EVERY
def test_every_option_is_once_at_every_place(layout: str, folders: dict[str, Path]) -> None:
    by_question: dict[str, Counter[str]] = {}
    for question in benchmark_of(folders, layout).questions():
        stem = question.id.rpartition("-")[0]
        by_question.setdefault(stem, Counter())[question.answer] += 1
    for letters in by_question.values():
        assert set(letters.values()) == {1}
    stems = Counter(name.rpartition("-")[0] for name in told(folders[layout]))
    assert {stem: len(letters) for stem, letters in by_question.items()} == dict(stems)


def test_rotations() -> None:
    assert rotations(("a", "b", "c"), circular=True) == [
        ("a", "b", "c"),
        ("b", "c", "a"),
        ("c", "a", "b"),
    ]
    assert rotations(("a", "b"), circular=False) == [("a", "b")]


@pytest.mark.parametrize(
    ("delay", "name"),
    [(0, "delay 0"), (1, "delay 1-3"), (3, "delay 1-3"), (4, "delay 4-15"), (63, "delay 16-63"),
     (64, "delay 64-255")],
)  # fmt: skip
def test_bins_of_delay(delay: int, name: str) -> None:
    assert delay_bin(TimedQuestion("now", "", "red", 70, (3, 70 - delay))) == name


def test_videos_show_the_clips_of_their_seeds(folders: dict[str, Path]) -> None:
    for take in takes(SETTING, OPTIONS):
        path = folders["videomme"] / "data" / f"{take.name}.mp4"
        clip = make_clip(take.setting, 2, take.seed, 24).frames
        for (image, _), frame in zip(frames_at(path, [0.0, 5.0]), clip[[0, 10]], strict=True):
            blocks = image.numpy().reshape(32, 2, 32, 2, 3).mean((1, 3))
            assert abs(blocks - frame).mean() < 4
    stages = [take.setting.stage for take in takes(SETTING, OPTIONS)]
    assert stages == ["scenes", "cups"] * 3


@EVERY
def test_the_account_holds_until_something_is_changed(
    layout: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    require_same_clips(folders[layout])
    account = json.loads((folders[layout] / "testbed.json").read_text())
    assert [clip["seed"] for clip in account["clips"]] == list(range(6))
    account["clips"][0]["seed"] = 7
    (tmp_path / "testbed.json").write_text(json.dumps(account))
    with pytest.raises(ValueError, match=r"testbed\.json was changed after it was written"):
        read_account(tmp_path)
    with pytest.raises(ValueError, match=r"holds no testbed\.json: it is no folder of the testbed"):
        read_account(tmp_path.parent)


def test_clips_that_are_drawn_otherwise_are_told(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def brighter(*given: object) -> object:
        clip = make_clip(*given)  # type: ignore[arg-type]
        return replace(clip, frames=np.maximum(clip.frames, 20))

    monkeypatch.setattr("crossframe.experiments.testbed.folder.make_clip", brighter)
    with pytest.raises(ValueError, match=r"clip0000000000\.mp4 is drawn otherwise here"):
        require_same_clips(folders["mlvu"])


def test_a_ranged_setting_can_be_drawn_again(tmp_path: Path) -> None:
    options = replace(OPTIONS, clips=2, tasks=("first",))
    list(write_folder(tmp_path / "folder", Setting(scene=(1, 3), every=2), options))
    require_same_clips(tmp_path / "folder")


def test_without_circular_options_each_question_comes_once(tmp_path: Path) -> None:
    options = replace(OPTIONS, clips=2, circular=False, tasks=("first",))
    list(write_folder(tmp_path / "folder", SETTING, options))
    assert all(name.endswith("-0") for name in told(tmp_path / "folder"))


def test_a_task_without_any_question_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    options = replace(OPTIONS, clips=2, tasks=("first", "count:most=6"))
    with pytest.raises(ValueError, match=r"no clip has a fair question of count:most=6: take more"):
        list(write_folder(tmp_path / "folder", SETTING, options))
    assert not list(tmp_path.iterdir())


def test_a_stop_between_clips_leaves_nothing(tmp_path: Path) -> None:
    writing = write_folder(tmp_path / "folder", SETTING, OPTIONS)
    next(writing)
    assert list(tmp_path.iterdir())
    writing.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"layout": "egoschema"},
            "layout must be one of videomme, mlvu, ovobench; got 'egoschema'",
        ),
        ({"part": 4}, "part must be one of 0, 1, 2; got 4"),
        ({"fps": 3}, "fps must be one of 1, 2, 4, 8; got 3"),
        ({"clips": 0}, "clips must be at least 1, got 0"),
        ({"scale": 0}, "scale must be at least 1, got 0"),
        ({"first_seed": 2**32}, "first_seed must be 0 to 4294967196, got 4294967296"),
        ({"tasks": ()}, "tasks must be one or more, each once; got"),
        ({"tasks": ("first", "first")}, "tasks must be one or more, each once; got first, first"),
        ({"tasks": ("frist",)}, "unknown task 'frist'"),
    ],
)
def test_options_that_cannot_be_are_refused(knobs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FolderOptions(**knobs)
