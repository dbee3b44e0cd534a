"""OVO-Bench: its texts byte for byte, probes as questions, official and strict scoring."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import OVOBench, Question

from .files import Files

Built = Callable[[str], Path]

CHOICE = {
    "id": 609,
    "task": "STU",
    "video": "AutoEvalMetaData/106.mp4",
    "realtime": 54.2,
    "question": "Where is it?",
    "answer": "On the left.",
    "options": ["On the left.", "On the right."],
    "gt": 0,
}
CHOICE_PROMPT = (
    "\nQuestion: Where is it?\nOptions:\nA. On the left.; B. On the right.;\n\n"
    "Respond only with the letter corresponding to your chosen option (e.g., A, B, C). \n"
    "Do not include any additional text or explanation in your response.\n"
)
REC = {
    "id": 1558,
    "task": "REC",
    "video": "perception_test/video_4017.mp4",
    "activity": "breaking something",
    "start_times": [6],
    "end_times": [17],
    "test_info": [{"realtime": 17, "count": 1}, {"realtime": 32.5, "count": 12}],
}
REC_PROMPT = """
You're watching a video in which people may perform a certain type of action repetively.\x20
The person performing this kind of action are referred to as 'they' in the following statement.
You're task is to count how many times have different people in the video perform this kind of \
action in total.
One complete motion counts as one.\x20
Now, answer the following question: How many times did they breaking something?
Provide your answer as a single number (e.g., 0, 1, 2, 3…) indicating the total count.
Do not include any additional text or explanation in your response.
"""
SSR = {
    "id": 1516,
    "task": "SSR",
    "video": "COIN/xZecGPPhbHE.mp4",
    "tutorial": "PutOnHairExtensions",
    "all_steps": ["put on", "comb"],
    "start_time": [25, 31],
    "end_time": [30, 49],
    "test_info": [
        {"realtime": 27, "step": "put on", "type": 1},
        {"realtime": 30, "step": "comb", "type": 0},
    ],
}
SSR_PROMPT = """
You're watching a tutorial video which contain a sequential of steps.\x20
The following is one step from the whole procedures:\x20
comb
Your task is to determine if the man or woman in the video is currently performing this step.
Answer only with “Yes” or “No”.
Do not include any additional text or explanation in your response.
"""
CRR = {
    "id": 1468,
    "task": "CRR",
    "video": "MovieNet/tt0048028.mp4",
    "question": "What does she do?",
    "answer": "She walks past the car.",
    "ask_time": 297,
    "clue_time": 308,
    "test_info": [{"realtime": 297, "type": 0}, {"realtime": 310, "type": 1}],
}
CRR_PROMPT = """
You're responsible of answering questions based on the video content.\x20
The following question are relevant to the latest frames, i.e. the end of the video.
What does she do?
Decide whether existing visual content, especially latest frames, i.e. frames that near the end of \
the video, provide enough information for answering the question.
Answer only with “Yes” or “No”.
Do not include any additional text or explanation in your response.
"""


@pytest.fixture
def questions(files: Files) -> dict[str, Question]:
    files.json("ovo_bench_new.json", [CHOICE, REC, SSR, CRR])
    return {question.id: question for question in OVOBench(files.root).questions()}


def test_prompts_byte_for_byte(questions: dict[str, Question]) -> None:
    assert questions["609"].prompt == CHOICE_PROMPT
    assert questions["1558_0"].prompt == questions["1558_1"].prompt == REC_PROMPT
    assert questions["1516_1"].prompt == SSR_PROMPT
    assert questions["1468_0"].prompt == CRR_PROMPT


def test_the_official_wording_is_the_same_with_longer_replies(
    tmp_path: Path, questions: dict[str, Question]
) -> None:
    official = OVOBench(tmp_path, "official")
    assert [q.prompt for q in official.questions()] == [q.prompt for q in questions.values()]
    assert (OVOBench(tmp_path).max_new_tokens, official.max_new_tokens) == (128, 1024)


def test_every_probe_is_a_question_that_ends_at_its_own_moment(
    questions: dict[str, Question],
) -> None:
    seen = {name: (one.answer, one.end, one.groups["task"]) for name, one in questions.items()}
    assert seen == {
        "609": ("A", 54.2, "STU"),
        "1558_0": ("1", 17.0, "REC"),
        "1558_1": ("12", 32.5, "REC"),
        "1516_0": ("Yes", 27.0, "SSR"),
        "1516_1": ("No", 30.0, "SSR"),
        "1468_0": ("No", 297.0, "CRR"),
        "1468_1": ("Yes", 310.0, "CRR"),
    }
    assert {one.start for one in questions.values()} == {0.0}
    assert questions["609"].groups == {"part": "realtime", "task": "STU"}
    assert questions["1558_0"].video == "perception_test/video_4017.mp4"


@pytest.mark.parametrize(
    ("parts", "tasks"),
    [
        (("realtime",), ["ACR", "STU"]),
        (("backward",), ["EPM"]),
        (("forward", "backward"), ["EPM", "REC", "REC", "SSR", "SSR", "CRR", "CRR"]),
    ],
)
def test_parts_can_be_chosen(parts: tuple[str, ...], tasks: list[str], built: Built) -> None:
    found = OVOBench(built("ovobench"), parts=parts).questions()
    assert [question.groups["task"] for question in found] == tasks


@pytest.mark.parametrize("parts", [(), ("realtime", "sideways")])
def test_parts_that_are_none_are_told(parts: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parts must be some of 'backward', 'realtime', 'forward'"):
        OVOBench(tmp_path, parts=parts)


def test_sources_go_before_the_published_cuts(files: Files, questions: dict[str, Question]) -> None:
    assert {question.path for question in questions.values()} == {None}
    files.touch("chunked_videos/609.mp4", "chunked_videos/1558_1.mp4")
    found = {question.id: question.path for question in OVOBench(files.root).questions()}
    assert found["609"] == files.root / "chunked_videos/609.mp4"
    assert found["1558_1"] == files.root / "chunked_videos/1558_1.mp4"
    assert found["1558_0"] is None
    files.touch("src_videos/perception_test/video_4017.mp4")
    found = {question.id: question.path for question in OVOBench(files.root).questions()}
    assert found["1558_0"] == found["1558_1"] == files.root / "src_videos" / str(REC["video"])


def test_parquet_configs_hold_the_same_questions(built: Built, files: Files) -> None:
    items = json.loads((built("ovobench") / "ovo_bench_new.json").read_text("utf-8"))
    shutil.copytree(built("ovobench") / "src_videos", files.root / "src_videos")
    for part, own in {"backward": ("EPM",), "realtime": ("ACR", "STU")}.items():
        rows = [item for item in items if item["task"] in own]
        files.parquet(f"{part}/test-00000-of-00001.parquet", rows)
    # One table for items of three kinds: absent fields are null.
    names = sorted({name for item in items[3:] for name in item})
    rows = [{name: item.get(name) for name in names} for item in items[3:]]
    for row in rows:
        row["test_info"] = [
            {
                "count": None,
                "step": None,
                "type": None,
                **probe,
                "realtime": float(probe["realtime"]),
            }
            for probe in row["test_info"]
        ]
    files.parquet("forward/test-00000-of-00001.parquet", rows)
    theirs = OVOBench(built("ovobench")).questions()
    ours = OVOBench(files.root).questions()
    assert [replace(one, path=None) for one in ours] == [replace(one, path=None) for one in theirs]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({**CHOICE, "gt": 2}, r"item 0: field 'gt' is 2, but the options are 0 to 1"),
        ({**CHOICE, "task": "XYZ"}, r"field 'task' is 'XYZ', not one of EPM, ASI, HLD"),
        ({**CHOICE, "realtime": None}, r"field 'realtime' is None, not a number"),
        ({**REC, "test_info": [{"realtime": 1}]}, r"test_info, item 0: field 'count' is missing"),
        ({**SSR, "test_info": [{"realtime": 1, "step": "a", "type": 2}]}, r"field 'type' is 2"),
        ({**CRR, "test_info": None}, r"field 'test_info' is None, not a list of items"),
    ],
)
def test_a_bad_item_is_told(item: dict[str, Any], message: str, files: Files) -> None:
    files.json("ovo_bench_new.json", [item])
    with pytest.raises(ValueError, match=message):
        OVOBench(files.root).questions()


# reply, official verdict, strict reading; for the right answers "A", "12", "Yes" and "No"
REPLIES = {
    "609": [
        ("A", True, "A"),
        ("A.", True, "A"),
        ("(A) On the left.", True, "A"),
        ("Answer", True, None),  # the substring
        ("B, Absolutely", True, "B"),
        ("A or B", True, None),
        ("B", False, "B"),
        ("Because", False, None),
        ("a", False, None),
        ("", False, None),
    ],
    "1558_1": [
        ("12", True, "12"),
        ("12 times", True, "12"),
        ("1 or 2", True, None),  # digits are joined
        ("12, yes 12", False, "12"),
        ("2", False, "2"),
        ("twelve", False, None),
        ("", False, None),
    ],
    "1468_1": [
        ("Yes", True, "Yes"),
        ("Yes.", True, "Yes"),
        ("“Yes”", True, "Yes"),
        ("Y", True, "Yes"),
        ("Yes and No", True, None),
        ("Yesterday", True, None),
        ("yes", False, "Yes"),
        ("No", False, "No"),
        ("N", False, "No"),
        ("", False, None),
    ],
    "1468_0": [
        ("No", True, "No"),
        ("N", True, "No"),
        ("Not sure", True, None),
        ("Nothing to say, Yes", True, "Yes"),
        ("no", False, "No"),
        ("Yes", False, "Yes"),
        ("None", True, None),
    ],
}


@pytest.mark.parametrize(
    ("name", "reply", "official", "strict"),
    [(name, *row) for name, rows in REPLIES.items() for row in rows],
)
def test_official_rule_and_strict_reading(
    name: str,
    reply: str,
    official: bool,
    strict: str | None,
    questions: dict[str, Question],
    tmp_path: Path,
) -> None:
    benchmark = OVOBench(tmp_path)
    assert benchmark.correct(questions[name], reply) == official
    assert benchmark.parse(questions[name], reply) == strict


def rows_of(*answers: tuple[str, str, bool, str | None]) -> list[dict[str, Any]]:
    return [
        {"correct": right, "parsed": parsed, "answer": "A", "groups": {"part": part, "task": task}}
        for part, task, right, parsed in answers
    ]


def test_average_is_the_mean_of_parts_of_the_mean_of_tasks(tmp_path: Path) -> None:
    rows = rows_of(
        ("realtime", "OCR", True, "A"),
        ("realtime", "OCR", True, None),  # by a substring alone
        ("realtime", "OCR", True, "A"),
        ("realtime", "ACR", False, "B"),
        ("backward", "EPM", True, "A"),
        ("backward", "EPM", False, "B"),
    )
    scores = OVOBench(tmp_path).score(rows)
    assert next(iter(scores)) == "average"
    assert scores["realtime"] == 50.0  # (100 + 0) / 2
    assert scores["realtime_micro"] == 75.0
    assert scores["backward"] == scores["backward_micro"] == 50.0
    assert scores["average"] == 50.0
    assert scores["strict_realtime"] == pytest.approx(100 / 3)
    assert scores["strict_realtime_micro"] == 50.0
    assert scores["strict_average"] == pytest.approx((100 / 3 + 50) / 2)
    assert scores["task/OCR"] == 100.0
    assert "forward" not in scores


def test_rows_without_readings_have_no_strict_scores(tmp_path: Path) -> None:
    rows = [{"correct": True, "groups": {"part": "forward", "task": "REC"}}]
    scores = OVOBench(tmp_path).score(rows)
    assert scores == {"average": 100.0, "forward": 100.0, "forward_micro": 100.0, "task/REC": 100.0}


def test_the_paper_reports_the_real_time_part_alone(tmp_path: Path) -> None:
    rows = rows_of(("realtime", "OCR", True, "A"), ("realtime", "ACR", False, "B"))
    scores = OVOBench(tmp_path, parts=("realtime",)).score([*rows, rows[0]])
    assert scores["average"] == scores["realtime"] == 50.0
    assert scores["realtime_micro"] == pytest.approx(200 / 3)


def test_a_question_without_a_reply_counts_as_wrong(tmp_path: Path) -> None:
    rows = rows_of(("forward", "REC", True, "A"), ("forward", "REC", False, None))
    assert OVOBench(tmp_path).score(rows)["forward"] == 50.0


def test_the_question_alone_is_answered_by_the_text_of_an_option(files: Files) -> None:
    files.json("ovo_bench_new.json", [CHOICE])
    benchmark = OVOBench(files.root, "question")
    (question,) = benchmark.questions()
    assert (question.prompt, benchmark.max_new_tokens) == ("Where is it?", 8)
    right = {"On the left": True, "on the left.": True, "On the right": False, "A": False}
    assert {reply: benchmark.correct(question, reply) for reply in right} == right
    assert benchmark.parse(question, "on the right") == "B"


@pytest.mark.parametrize("item", [REC, SSR, CRR], ids=lambda item: item["task"])
def test_forward_items_have_no_question_alone(item: dict[str, Any], files: Files) -> None:
    files.json("ovo_bench_new.json", [CHOICE, item])
    message = rf"is {item['task']}, which has no question alone: take parts=\[backward, realtime\]"
    with pytest.raises(ValueError, match=message):
        OVOBench(files.root, "question").questions()
    parts = ("backward", "realtime")
    assert len(OVOBench(files.root, "question", parts=parts).questions()) == 1


def test_evidence_and_kind_are_handed_on_where_the_file_tells(files: Files) -> None:
    told = [{**CHOICE, "evidence": 12.5, "kind": "left"}, {**CHOICE, "id": 1}]
    files.json("ovo_bench_new.json", told)
    first, second = OVOBench(files.root).questions()
    assert (first.evidence, second.evidence) == (12.5, None)
    assert first.groups == {"part": "realtime", "task": "STU", "kind": "left"}
    assert second.groups == {"part": "realtime", "task": "STU"}


def test_kinds_are_scored_where_every_row_has_one(tmp_path: Path) -> None:
    groups = {"part": "realtime", "task": "STU"}
    rows = [
        {"correct": right, "groups": {**groups, "kind": kind}}
        for right, kind in ((True, "left"), (False, "swaps"), (True, "swaps"))
    ]
    scores = OVOBench(tmp_path).score(rows)
    assert (scores["kind/left"], scores["kind/swaps"]) == (100, 50)
    assert not any(
        name.startswith("kind")
        for name in OVOBench(tmp_path).score([*rows, {"correct": True, "groups": groups}])
    )
