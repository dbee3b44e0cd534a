"""What all benchmarks share."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import BENCHMARKS, EgoSchema, LongVideoBench, OVOBench

Built = Callable[[str], Path]
EVERY = pytest.mark.parametrize("name", BENCHMARKS)


@EVERY
def test_fixture_is_read_and_all_right_answers_score_100(name: str, built: Built) -> None:
    benchmark = BENCHMARKS[name](built(name))
    questions = benchmark.questions()
    assert benchmark.name == name
    assert len({question.video for question in questions}) == 2
    assert len({question.id for question in questions}) == len(questions) >= 4
    for question in questions:
        assert question.path is not None and question.path.is_file()
        assert benchmark.parse(question, question.answer) == question.answer
        assert benchmark.parse(question, question.reply_start + question.answer) == question.answer
        assert benchmark.correct(question, question.answer)
        assert not benchmark.correct(question, "")
        assert benchmark.parse(question, "I see nothing of the kind") is None
    rows = [{"id": q.id, "correct": True, "groups": q.groups} for q in questions]
    scores = benchmark.score(rows)
    assert set(scores.values()) == {100.0}
    none = benchmark.score([{**row, "correct": False} for row in rows])
    assert list(none) == list(scores)
    assert set(none.values()) == {0.0}


@EVERY
def test_text_follows_the_video_and_names_no_place_for_it(name: str, built: Built) -> None:
    for prompt in BENCHMARKS[name].prompts:
        # Forward items have no question alone, and are refused in that wording.
        bare = (name, prompt) == ("ovobench", "question")
        parts: dict[str, Any] = {"parts": ("backward", "realtime")} if bare else {}
        for question in BENCHMARKS[name](built(name), prompt=prompt, **parts).questions():
            assert "<image>" not in question.prompt
            assert "<video>" not in question.prompt


@EVERY
def test_a_missing_video_has_no_path_and_stops_nothing(
    name: str, built: Built, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(built(name), root)
    first = BENCHMARKS[name](root).questions()[0]
    assert first.path is not None
    first.path.unlink()
    questions = BENCHMARKS[name](root).questions()
    assert all((q.path is None) == (q.video == first.video) for q in questions)


@EVERY
def test_videos_may_lie_elsewhere(name: str, built: Built, tmp_path: Path) -> None:
    benchmark = BENCHMARKS[name](built(name), videos=tmp_path)
    assert {question.path for question in benchmark.questions()} == {None}
    first = BENCHMARKS[name](built(name)).questions()[0]
    assert first.path is not None
    copied = tmp_path / first.path.name
    if name == "ovobench":
        copied = tmp_path / first.video
    copied.parent.mkdir(exist_ok=True)
    shutil.copy(first.path, copied)
    assert benchmark.questions()[0].path == copied


@EVERY
def test_an_empty_folder_is_told(name: str, tmp_path: Path) -> None:
    benchmark = BENCHMARKS[name](tmp_path)  # nothing is read yet
    with pytest.raises(ValueError, match=f"{name}: .* holds none of .*root must be the folder"):
        benchmark.questions()
    with pytest.raises(ValueError, match="no rows"):
        benchmark.score([])


@EVERY
def test_unknown_prompt_and_parser_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{name}: unknown prompt 'mine'; known are '"):
        BENCHMARKS[name](tmp_path, prompt="mine")
    with pytest.raises(ValueError, match=f"{name}: unknown parser 'mine'; known are 'lmms-eval'"):
        BENCHMARKS[name](tmp_path, parser="mine")


@EVERY
def test_rows_of_another_benchmark_are_refused(name: str, tmp_path: Path) -> None:
    if name == "egoschema":
        return  # it has no groups
    with pytest.raises(ValueError, match="has no group"):
        BENCHMARKS[name](tmp_path).score([{"correct": True, "groups": {"part": "realtime"}}])


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("videomme", ["duration", "domain", "sub_category", "task_type"]),
        ("longvideobench", ["duration_group", "question_category", "topic_category"]),
        ("lvbench", ["question_type", "type"]),
        ("egoschema", []),
        ("streamingbench", ["part", "task"]),
    ],
)
def test_accuracy_is_over_all_rows_and_by_group(name: str, groups: list[str], built: Built) -> None:
    benchmark = BENCHMARKS[name](built(name))
    rows = [
        {"correct": number == 0, "groups": question.groups}
        for number, question in enumerate(benchmark.questions())
    ]
    scores = benchmark.score(rows)
    assert next(iter(scores.items())) == ("accuracy", 100 / len(rows))
    assert list(dict.fromkeys(key.partition("/")[0] for key in scores)) == ["accuracy", *groups]


# Of each benchmark's fixture the first question, which has options A to D.
@pytest.mark.parametrize(
    ("name", "prompt", "reply", "letter"),
    [
        ("egoschema", "lmms-eval", "D", "D"),
        ("egoschema", "lmms-eval", "Because", None),
        ("longvideobench", "lmms-eval", "C. a key", "C"),
        ("longvideobench", "lmms-eval", "The correct option is C", "C"),
        ("longvideobench", "lmms-eval", "a key", None),
        ("lvbench", "lmms-eval", "The answer is C", "C"),
        ("mlvu", "lmms-eval", "B) Red", "B"),
        ("mlvu", "lmms-eval", "The answer is C", "C"),
        ("mlvu", "official", "B) Red", "B"),
        ("mlvu", "official", "Best Option: (B) Red", "B"),  # as the engine hands it over
        ("mlvu", "official", "Best Option: (B", "B"),
        ("mlvu", "official", "B. Red", None),  # its own rule wants "B)" or the bare letter
        ("mlvu", "rekv", "Best option: (C) Green", "C"),
        ("mlvu", "rekv", "Best option: (", None),
        ("streamingbench", "official", "C. A key.", "C"),
        ("streamingbench", "official", "Certainly D", "C"),  # the first character
        ("streamingbench", "official", "The answer is C", None),
        ("videomme", "lmms-eval", "Best option: C", "C"),
        ("videomme", "qwen3-vl", "Best option: C", "C"),
        ("videomme", "paper", "Best option: C", "B"),
        ("videomme", "official", "Best option: C", "B"),
    ],
)
def test_a_wording_brings_its_parser(
    name: str, prompt: str, reply: str, letter: str | None, built: Built
) -> None:
    benchmark = BENCHMARKS[name](built(name), prompt)
    question = benchmark.questions()[0]
    assert benchmark.parse(question, reply) == letter
    assert benchmark.correct(question, reply) == (letter == question.answer)


def test_a_parser_may_be_chosen_apart_from_the_prompt(built: Built) -> None:
    chosen = EgoSchema(built("egoschema"), parser="first-character")
    question = chosen.questions()[0]
    assert EgoSchema(built("egoschema")).parse(question, "The (B)") == "B"
    assert chosen.parse(question, "The (B)") is None


def test_ids_that_come_twice_are_told(built: Built, tmp_path: Path) -> None:
    items: list[Any] = json.loads((built("longvideobench") / "lvb_val.json").read_text("utf-8"))
    (tmp_path / "lvb_val.json").write_text(json.dumps([*items, *items[:2]]), "utf-8")
    with pytest.raises(ValueError, match=r"longvideobench: 2 ids .* come twice, 'clip1_first'"):
        LongVideoBench(tmp_path).questions()


def test_files_without_questions_are_told(tmp_path: Path) -> None:
    (tmp_path / "ovo_bench_new.json").write_text("[]", "utf-8")
    with pytest.raises(ValueError, match=r"ovobench: the files under .* hold no question"):
        OVOBench(tmp_path).questions()
