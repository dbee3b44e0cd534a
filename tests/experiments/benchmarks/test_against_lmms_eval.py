"""Wordings, parsers and scores against lmms-eval's own functions, where it is installed.

It has no place in the locked environment; docs/lmms-eval.md says how to run these tests.
"""

import importlib
import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crossframe.experiments.benchmarks import (
    MLVU,
    Benchmark,
    EgoSchema,
    LongVideoBench,
    LVBench,
    OVOBench,
    VideoMME,
)
from crossframe.experiments.benchmarks.choices import PARSERS, lettered

from .files import Files

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lmms_eval") is None,
    reason="lmms-eval is not installed, see docs/lmms-eval.md",
)

Built = Callable[[str], Path]
GUESS = "a guess"  # what lmms-eval draws at random, and we call invalid


def functions(task: str) -> Any:
    """The module of a task's functions."""
    if task == "longvideobench" and importlib.util.find_spec("decord") is None:
        pytest.skip("lmms-eval's functions for LongVideoBench import decord, not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's deprecations
        return importlib.import_module(f"lmms_eval.tasks.{task}.utils")


def task_file(name: str) -> dict[str, Any]:
    """A task's settings, without its functions."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda *_: None)
    spec = importlib.util.find_spec("lmms_eval")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "tasks" / name
    found = yaml.load(path.read_text("utf-8"), Loader)
    base = found.pop("include", None)
    return {**task_file(str(Path(name).parent / base)), **found} if base else found


def rows_of(path: Path) -> list[dict[str, Any]]:
    """What `datasets` would give to the functions of a task."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.ParquetFile(path).read().to_pylist()
    return json.loads(path.read_text("utf-8"))


def prompts(benchmark: Benchmark) -> list[str]:
    return [question.prompt for question in benchmark.questions()]


# Wordings, byte for byte


@pytest.mark.parametrize(("wording", "model"), [("lmms-eval", "default"), ("qwen3-vl", "qwen3_vl")])
def test_videomme(built: Built, wording: str, model: str) -> None:
    root, task = built("videomme"), task_file("videomme/videomme.yaml")
    ask = functions("videomme").videomme_doc_to_text
    settings = task["lmms_eval_specific_kwargs"][model]
    benchmark = VideoMME(root, wording)
    rows = rows_of(root / "videomme/test-00000-of-00001.parquet")
    assert prompts(benchmark) == [ask(row, settings) for row in rows]
    assert benchmark.max_new_tokens == task["generation_kwargs"]["max_new_tokens"]


@pytest.mark.parametrize(
    ("wording", "model", "frames"),
    [("lmms-eval", "default", 32), ("qwen3-vl", "qwen3_vl", 768)],
)
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # theirs leaves the subtitles open
def test_videomme_with_subtitles(
    built: Built, monkeypatch: pytest.MonkeyPatch, wording: str, model: str, frames: int
) -> None:
    root, task = built("videomme"), task_file("videomme/videomme_w_subtitle.yaml")
    theirs = functions("videomme")
    monkeypatch.setattr(theirs, "base_cache_dir", str(root.parent))
    monkeypatch.setattr(theirs, "cache_name", root.name)
    settings = task["lmms_eval_specific_kwargs"][model]
    assert settings["frame_num"] == frames
    benchmark = VideoMME(root, wording, subtitles=True, subtitle_frames=frames)
    rows = rows_of(root / "videomme/test-00000-of-00001.parquet")
    expected = [theirs.videomme_doc_to_text_subtitle(row, settings) for row in rows]
    assert prompts(benchmark) == expected
    assert "This is red." in expected[0]
    assert "No subtitles available" in expected[-1]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_mlvu(built: Built, split: str) -> None:
    root, task = built("mlvu"), task_file(f"mlvu/mlvu_{split}.yaml")
    settings = task.get("lmms_eval_specific_kwargs", {}).get("default")
    ask = functions("mlvu").mlvu_doc_to_text
    benchmark = MLVU(root, split=split)
    rows = rows_of(root / "mlvu/test-00000-of-00001.parquet")
    assert prompts(benchmark) == [ask(row, settings) for row in rows]
    assert benchmark.max_new_tokens == task["generation_kwargs"]["max_new_tokens"]


def longvideobench_rows() -> list[dict[str, Any]]:
    options = [["Red", "Green"], ["A. b", "c", "d", "e"], ["1", "2", "3", "4", "5"]]
    return [
        {
            "video_id": f"v{number}",
            "video_path": f"v{number}.mp4",
            "id": f"v{number}_0",
            "question": f"Which one\nis it, {number}?",
            "correct_choice": 1,
            "duration_group": 15 * (1 + number),
            "question_category": "T3E",
            "topic_category": "KH",
            **{f"option{place}": text for place, text in enumerate([*texts, *["N/A"] * 5][:5])},
        }
        for number, texts in enumerate(options)
    ]


def test_longvideobench(files: Files) -> None:
    rows, task = longvideobench_rows(), task_file("longvideobench/longvideobench_val_v.yaml")
    files.parquet("validation-00000-of-00001.parquet", rows)
    settings = task["lmms_eval_specific_kwargs"]["default"]
    ask = functions("longvideobench").longvideobench_doc_to_text
    benchmark = LongVideoBench(files.root)
    assert prompts(benchmark) == [ask(row, settings) for row in rows]
    assert benchmark.max_new_tokens == task["generation_kwargs"]["max_new_tokens"]


@pytest.mark.parametrize("listed", [False, True])
def test_lvbench(files: Files, listed: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "uid": f"{number}",
            "question": "What is it?" if listed else "What is it?\n(A) a\n(B) b\n(C) c\n(D) d",
            "answer": "C",
            "question_type": ["entity recognition"],
            "time_reference": "00:00-00:06",
            "video_path": f"v{number}.mp4",
            "type": "cartoon",
            **({"options": ["a", "b", "c", "d"]} if listed else {}),
        }
        for number in range(2)
    ]
    task = task_file("lvbench/lvbench.yaml")
    files.parquet("data/train-00000-of-00001.parquet", rows)
    settings = task["lmms_eval_specific_kwargs"]["default"]
    ask = functions("lvbench").lvbench_doc_to_text
    benchmark = LVBench(files.root)
    assert prompts(benchmark) == [ask(row, dict(settings)) for row in rows]
    assert benchmark.max_new_tokens == task["generation_kwargs"]["max_new_tokens"]


def test_egoschema(built: Built) -> None:
    root, task = built("egoschema"), task_file("egoschema/egoschema_subset.yaml")
    ask = functions("egoschema").egoschema_doc_to_text
    settings = task["lmms_eval_specific_kwargs"]["default"]
    benchmark = EgoSchema(root)
    rows = rows_of(root / "Subset/test-00000-of-00001.parquet")
    assert prompts(benchmark) == [ask(row, settings) for row in rows]
    assert benchmark.max_new_tokens == task["generation_kwargs"]["max_new_tokens"]


def test_ovobench(built: Built) -> None:
    root, task = built("ovobench"), task_file("ovobench/ovo_forward.yaml")
    theirs, expected = functions("ovobench"), []
    for row in rows_of(root / "ovo_bench_new.json"):
        probes = range(len(row["test_info"])) if "test_info" in row else [None]
        expected += [theirs.build_prompt(row, number) for number in probes]
    benchmark = OVOBench(root)
    assert prompts(benchmark) == expected
    assert benchmark.max_new_tokens == task["generation_kwargs"]["max_new_tokens"]


# Parsers. lmms-eval strips a reply before any task sees it.


NASTY = [
    "", " ", "\n", ".", "A", " b", "(C", "(D)", "D)", "B.", "C:", "A man", "An apple", "Because",
    "E", "F", "The answer is (B).", "the answer is b", "THE ANSWER IS C", "Answer: D", "A or B",
    "(A) or (B)", "B, not A", "not A but C.", "The best option is C", "Best option: C",
    "Best answer: D", "Best option: (A) a red car", "I choose D because A is wrong",
    "It shows Dogs and Cats", "Option A. Option D. Enough", "The correct option is\n\nB", "**C**",
    "选B", "答案是C，因为它是猫", "정답은 D 입니다", "答えはA", "a blue dog", "'A'", "A!",
    '"B"', "?C", "I would say that it must be a blue dog", "one two three four five six",
    "Best answer:", "I think that the answer may well be a red car or else a tree", "A B C D",
    "D C B A", "(A)(B)",
    "one two three four five six seven eight nine ten eleven", "A.B.C", "B) or C)", "The answer",
    "The answer is The answer is B", "<think>A or B?</think> C", "USA", "yes", "No", "Y", "N", "2",
    "2 or 3", "There are 12 of them.", "the answer is B or A, so B",
]  # fmt: skip
PIECES = ["A", "B", "C", "D", "E", "a", " ", ".", ")", "(", ":", ",", "\n", "'", "the answer is ",
          "The best answer is ", "Best option: ", "I pick", "dog", "选", "a cat", "2"]  # fmt: skip
replies = st.lists(st.sampled_from(PIECES), max_size=9).map("".join) | st.sampled_from(NASTY)
FOUR = lettered(["a red car", "a blue dog", "a cat", "a tree"])
FIVE = lettered(["A. a red car", "B. a blue dog", "C. a cat", "D. a tree", "E. nothing"])


def every(test: Callable[[str], None]) -> None:
    """The table, then made-up replies."""
    for reply in NASTY:
        test(reply)
    given(replies)(test)()


@pytest.mark.parametrize("task", ["videomme", "mlvu", "lvbench"])
def test_likeliest_letter(task: str) -> None:
    theirs = functions(task).extract_characters_regex

    def same(reply: str) -> None:
        assert (PARSERS["lmms-eval"](reply, FOUR) or "") == theirs(reply.strip())

    every(same)


def test_first_letter_of_2025() -> None:
    """The list with two commas missing, which other tasks of 0.7.3 still have, for A to E."""
    theirs = functions("videomathqa").extract_characters_regex

    def same(reply: str) -> None:
        assert (PARSERS["lmms-eval-2025"](reply, FIVE) or "") == theirs(reply.strip())

    every(same)


def test_first_letter_of_longvideobench(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = functions("longvideobench")
    monkeypatch.setattr(theirs.random, "choice", lambda _: GUESS)

    def same(reply: str) -> None:
        found = theirs.parse_multi_choice_response(reply.strip(), [*FOUR], FOUR)
        assert (PARSERS["longvideobench"](reply, FOUR) or GUESS) == found

    every(same)


def test_mentioned_letter_of_egoschema(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = functions("egoschema")
    monkeypatch.setattr(theirs.random, "choice", lambda _: GUESS)

    def same(reply: str) -> None:
        texts = {letter: text.strip() for letter, text in FIVE.items()}
        found, _ = theirs.parse_multi_choice_response(reply.strip(), [*FIVE], texts)
        assert (PARSERS["egoschema"](reply.strip(), FIVE) or GUESS) == found

    every(same)


def test_scores_of_ovobench(built: Built) -> None:
    root, scores = (
        built("ovobench"),
        importlib.import_module("lmms_eval.tasks.ovobench.score_utils.score"),
    )
    benchmark = OVOBench(root)
    questions = benchmark.questions()

    def same(reply: str) -> None:
        right = [benchmark.correct(question, reply.strip()) for question in questions]
        assert right == [bool(one) for one in theirs(reply.strip())]

    def theirs(reply: str) -> list[Any]:
        found: list[Any] = []
        for row in rows_of(root / "ovo_bench_new.json"):
            if "test_info" not in row:
                asked = {"task": row["task"], "response": reply, "ground_truth": "ABCDE"[row["gt"]]}
                found += scores.calculate_score_backward_realtime([asked])[1][row["task"]]
                continue
            for probe in row["test_info"]:
                probe["response"] = reply
            found += scores.calculate_score_forward([row])[1][row["task"]]
        return found

    every(same)


# Headline scores, of replies that rotate through the letters


def rotated(benchmark: Benchmark) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for number, question in enumerate(benchmark.questions()):
        reply = "ABCD"[number % 4]
        right = benchmark.correct(question, reply)
        found.append((reply, {"correct": right, "groups": question.groups}))
    assert {row["correct"] for _, row in found} == {True, False}
    return found


def test_score_of_videomme(built: Built) -> None:
    root, theirs = built("videomme"), functions("videomme")
    found, rows = rotated(VideoMME(root)), rows_of(root / "videomme/test-00000-of-00001.parquet")
    results = [
        theirs.videomme_process_results(row, [reply])["videomme_perception_score"]
        for row, (reply, _) in zip(rows, found, strict=True)
    ]
    ours = VideoMME(root).score([row for _, row in found])["accuracy"]
    assert ours == pytest.approx(theirs.videomme_aggregate_results(results))


def test_score_of_mlvu(built: Built) -> None:
    """Theirs counts the five tasks that the fixture lacks as wrong."""
    root, theirs = built("mlvu"), functions("mlvu")
    found, rows = rotated(MLVU(root)), rows_of(root / "mlvu/test-00000-of-00001.parquet")
    results = [
        theirs.mlvu_process_results(row, [reply])["mlvu_percetion_score"]
        for row, (reply, _) in zip(rows, found, strict=True)
    ]
    ours = MLVU(root).score([row for _, row in found])["m_avg"]
    assert ours * 2 / 7 == pytest.approx(theirs.mlvu_aggregate_results_dev(results))
