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
PARQUET = "test-00000-of-00001.parquet"
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


def require_same(
    benchmark: Benchmark, task: str, rows: list[dict[str, Any]], model: str = "default"
) -> None:
    """Every prompt, and the length of replies, are those of a task, named by folder and file."""
    settings, folder = task_file(f"{task}.yaml"), task.split("/")[0]
    ask = getattr(functions(folder), f"{folder}_doc_to_text")
    wording = settings.get("lmms_eval_specific_kwargs", {}).get(model)
    assert prompts(benchmark) == [ask(row, wording and dict(wording)) for row in rows]
    assert benchmark.max_new_tokens == settings["generation_kwargs"]["max_new_tokens"]


@pytest.mark.parametrize(("wording", "model"), [("lmms-eval", "default"), ("qwen3-vl", "qwen3_vl")])
def test_videomme(built: Built, wording: str, model: str) -> None:
    root = built("videomme")
    rows = rows_of(root / "videomme" / PARQUET)
    require_same(VideoMME(root, wording), "videomme/videomme", rows, model)


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
    rows = rows_of(root / "videomme" / PARQUET)
    expected = [theirs.videomme_doc_to_text_subtitle(row, settings) for row in rows]
    assert prompts(benchmark) == expected
    assert "This is red." in expected[0]
    assert "No subtitles available" in expected[-1]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_mlvu(built: Built, split: str) -> None:
    root = built("mlvu")
    require_same(MLVU(root, split=split), f"mlvu/mlvu_{split}", rows_of(root / "mlvu" / PARQUET))


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
    rows = longvideobench_rows()
    files.parquet("validation-00000-of-00001.parquet", rows)
    require_same(LongVideoBench(files.root), "longvideobench/longvideobench_val_v", rows)


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
    files.parquet("data/train-00000-of-00001.parquet", rows)
    require_same(LVBench(files.root), "lvbench/lvbench", rows)


def test_egoschema(built: Built) -> None:
    root = built("egoschema")
    rows = rows_of(root / "Subset" / PARQUET)
    require_same(EgoSchema(root), "egoschema/egoschema_subset", rows)


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


def require_alike(ours: Callable[[str], Any], theirs: Callable[[str], Any]) -> None:
    """On the table, then on made-up replies."""

    def same(reply: str) -> None:
        assert ours(reply) == theirs(reply.strip())

    for reply in NASTY:
        same(reply)
    given(replies)(same)()


@pytest.mark.parametrize(
    ("parser", "task", "options"),
    [
        *(("lmms-eval", task, FOUR) for task in ("videomme", "mlvu", "lvbench")),
        # The list with two commas missing, which other tasks of 0.7.3 still have, for A to E.
        ("lmms-eval-2025", "videomathqa", FIVE),
    ],
)
def test_likeliest_letter(parser: str, task: str, options: dict[str, str]) -> None:
    theirs = functions(task).extract_characters_regex
    require_alike(lambda reply: PARSERS[parser](reply, options) or "", theirs)


def test_first_letter_of_longvideobench(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = functions("longvideobench")
    monkeypatch.setattr(theirs.random, "choice", lambda _: GUESS)
    require_alike(
        lambda reply: PARSERS["longvideobench"](reply, FOUR) or GUESS,
        lambda reply: theirs.parse_multi_choice_response(reply, [*FOUR], FOUR),
    )


def test_mentioned_letter_of_egoschema(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = functions("egoschema")
    monkeypatch.setattr(theirs.random, "choice", lambda _: GUESS)
    texts = {letter: text.strip() for letter, text in FIVE.items()}
    require_alike(
        lambda reply: PARSERS["egoschema"](reply.strip(), FIVE) or GUESS,
        lambda reply: theirs.parse_multi_choice_response(reply, [*FIVE], texts)[0],
    )


def test_scores_of_ovobench(built: Built) -> None:
    root = built("ovobench")
    scores: Any = importlib.import_module("lmms_eval.tasks.ovobench.score_utils.score")
    benchmark = OVOBench(root)
    questions = benchmark.questions()

    def theirs(reply: str) -> list[bool]:
        found: list[Any] = []
        for row in rows_of(root / "ovo_bench_new.json"):
            if "test_info" not in row:
                asked = {"task": row["task"], "response": reply, "ground_truth": "ABCDE"[row["gt"]]}
                found += scores.calculate_score_backward_realtime([asked])[1][row["task"]]
                continue
            for probe in row["test_info"]:
                probe["response"] = reply
            found += scores.calculate_score_forward([row])[1][row["task"]]
        return [bool(one) for one in found]

    require_alike(
        lambda reply: [benchmark.correct(question, reply.strip()) for question in questions], theirs
    )


# Headline scores, of replies that rotate through the letters


def rotated(benchmark: Benchmark) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for number, question in enumerate(benchmark.questions()):
        reply = "ABCD"[number % 4]
        right = benchmark.correct(question, reply)
        found.append((reply, {"correct": right, "groups": question.groups}))
    assert {row["correct"] for _, row in found} == {True, False}
    return found


@pytest.mark.parametrize(
    ("kind", "result", "aggregate", "headline", "share"),
    [
        (VideoMME, "videomme_perception_score", "videomme_aggregate_results", "accuracy", 1),
        # Theirs counts the five tasks that the fixture lacks as wrong.
        (MLVU, "mlvu_percetion_score", "mlvu_aggregate_results_dev", "m_avg", 2 / 7),
    ],
)
def test_headline_score(
    built: Built, kind: type[Benchmark], result: str, aggregate: str, headline: str, share: float
) -> None:
    root, theirs = built(kind.name), functions(kind.name)
    found, rows = rotated(kind(root)), rows_of(root / kind.name / PARQUET)
    process = getattr(theirs, f"{kind.name}_process_results")
    results = [process(row, [reply])[result] for row, (reply, _) in zip(rows, found, strict=True)]
    ours = kind(root).score([row for _, row in found])[headline]
    assert ours * share == pytest.approx(getattr(theirs, aggregate)(results))
