"""StreamingBench: JSON and CSV, prompts byte for byte, clips, sequential context."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossframe.experiments.benchmarks import StreamingBench

from .files import Files

ASKED = {
    "task_type": "Object Recognition",
    "question": "What is he holding now?",
    "time_stamp": "00:02:31",
    "answer": "C",
    "options": ["A. A cup.", "B. A hat.", "C. A key.", "D. A pen."],
    "required_ability": "working memory",
}
REAL = {
    "time": "[0:02:00 - 0:03:00]",
    "questions": [ASKED],
    "video_categories": "vlog",
    "video_path": "./videos/sample_348_real.mp4",
}
HEAD = "You are an advanced video question-answering AI assistant. You have been provided with "
PROMPT = f"""\
{HEAD}some frames from the video and a multiple-choice question related to the video. Your task is \
to carefully analyze the video and provide the best answer to question, choosing from the four \
options provided. Respond with only the letter (A, B, C, or D) of the correct option.

Question: What is he holding now?

Options:
A. A cup.
B. A hat.
C. A key.
D. A pen.

The best option is:"""
SQA = [
    [
        {
            **REAL,
            "video_path": "./videos/sample_17_sqa.mp4",
            "questions": [{**ASKED, "question": asked, "time_stamp": stamp, "options": options}],
        }
        for asked, stamp, options in [
            ("Who serves?", "00:00:36", ["Wang.", "Fan.", "Xu.", "Ma."]),
            ("And who won?", "00:03:02", ["A. Wang.", "B. Fan.", "C. Xu.", "D. Ma."]),
            ("By how much?", "00:04:58", ["1.", "2.", "3.", "4."]),
        ]
    ]
]
SQA_PROMPT = f"""\
{HEAD}a video and a multiple-choice question related to the video. Your task is to carefully \
analyze the video and the provided context to answer the question, choosing from the four options \
provided. Respond with only the letter (A, B, C, or D) of the correct option.

{{}}

Here is the question. Answer it and don't confuse it with the previous conversation.
Question: {{}}

Options:
{{}}

The best option is:"""
TOLD = (
    "Here are the contextual information related to the video. Please answer the questions based "
    "on the contextual information: At timestamp 00:00:36, the following question and answer "
    "occurred: Question: Who serves?; Options: A. Wang., B. Fan., C. Xu., D. Ma.; Answer: C; "
)
TOLD_MORE = (
    f"{TOLD}At timestamp 00:03:02, the following question and answer occurred: Question: And who "
    "won?; Options: A. Wang., B. Fan., C. Xu., D. Ma.; Answer: C; "
)


@pytest.mark.parametrize("folder", ["", "src/data/", "data/"])
def test_prompt_byte_for_byte(folder: str, files: Files) -> None:
    files.json(f"{folder}questions_real.json", [REAL])
    (question,) = StreamingBench(files.root).questions()
    assert question.prompt == PROMPT
    assert (question.id, question.video) == ("sample_348_real_1", "sample_348_real")
    assert (question.start, question.end, question.answer) == (0.0, 151.0, "C")
    assert question.groups == {"part": "real", "task": "Object Recognition"}


def test_sequential_questions_are_told_those_before_with_right_answers(files: Files) -> None:
    files.json("questions_sqa.json", SQA)
    first, second, third = StreamingBench(files.root, parts=("sqa",)).questions()
    people = "A. Wang.\nB. Fan.\nC. Xu.\nD. Ma."
    assert first.prompt == SQA_PROMPT.format("", "Who serves?", people)
    assert second.prompt == SQA_PROMPT.format(TOLD, "And who won?", people)
    assert third.prompt == SQA_PROMPT.format(
        TOLD_MORE, "By how much?", "A. 1.\nB. 2.\nC. 3.\nD. 4."
    )
    assert third.end == 298.0


def test_a_question_may_see_only_the_time_before_it(files: Files) -> None:
    files.json(
        "questions_real.json", [REAL, {**REAL, "questions": [{**ASKED, "time_stamp": "0:31"}]}]
    )
    questions = StreamingBench(files.root, context_seconds=60).questions()
    assert [(question.start, question.end) for question in questions] == [
        (91.0, 151.0),
        (0.0, 31.0),
    ]
    assert [question.id for question in questions] == ["sample_348_real_1", "sample_348_real_2"]


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [("00:02:31", 151.0), ("0:07:40", 460.0), ("00:24", 24.0), ("1:00:01", 3601.0)],
)
def test_time_stamps(stamp: str, seconds: float, files: Files) -> None:
    files.json("questions_real.json", [{**REAL, "questions": [{**ASKED, "time_stamp": stamp}]}])
    assert StreamingBench(files.root).questions()[0].end == seconds


def test_torn_options_show_their_first_four_as_officially(files: Files) -> None:
    options = ["A. He says: 'Wait", "for me.'", "B. A hat.", "C. A key.", "D. A pen."]
    asked = {**ASKED, "options": options, "answer": "D"}
    video = "./videos/sample_2_Source_Discrimination.mp4"
    files.json("questions_omni.json", [{**REAL, "questions": [asked], "video_path": video}])
    (question,) = StreamingBench(files.root, parts=("omni",)).questions()
    assert "Options:\nA. He says: 'Wait\nfor me.'\nB. A hat.\nC. A key.\n\nThe" in question.prompt
    assert (question.answer, list(question.choices)) == ("D", ["A", "B", "C", "D"])
    assert question.groups["part"] == "omni"


EMOTION, SCENE = "sample_2_Emotion_Recognition", "sample_30_Scene_Understanding_26-50"


@pytest.mark.parametrize(
    ("part", "sample", "file"),
    [
        ("real", "sample_348_real", "videos/sample_348_real.mp4"),
        ("real", "sample_348_real", "src/data/videos/sample_348_real.mp4"),
        ("real", "sample_348_real", "data/real/sample_348/video.mp4"),
        ("real", "sample_348_real", "Real-Time Visual Understanding/sample_348/video.mp4"),
        ("omni", EMOTION, f"videos/{EMOTION}.mp4"),
        ("omni", EMOTION, "data/omni/Emotion Recognition/sample_2/video.mp4"),
        ("omni", SCENE, f"videos/{SCENE}.mp4"),
        ("omni", SCENE, "data/omni/Scene Understanding_26-50/sample_30/video.mp4"),
        ("omni", SCENE, "Scene Understanding/sample_30/video.mp4"),
    ],
)
def test_videos_renamed_or_as_unpacked(part: str, sample: str, file: str, files: Files) -> None:
    files.json(f"questions_{part}.json", [{**REAL, "video_path": f"/abs/videos/{sample}.mp4"}])
    files.touch(file)
    (question,) = StreamingBench(files.root, parts=(part,)).questions()
    assert question.path == files.root / file
    # The archive's halves are no videos of their own.
    assert question.video == sample.removesuffix("_1-25").removesuffix("_26-50")


CSV_HEAD = (
    "question_id,task_type,question,time_stamp,answer,options,frames_required,temporal_clue_type"
)
CSV_TAIL = (
    "What is he holding now?,00:02:31,C,\"['A. A cup.', 'B. A hat.', 'C. A key.', 'D. A pen.']\""
)


def write_csv(path: Path, *names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{name},Object Recognition,{CSV_TAIL},single,Prior" for name in names]
    path.write_text("\n".join([CSV_HEAD, *rows, ""]), "utf-8")


@pytest.mark.parametrize("folder", ["", "StreamingBench"])
def test_csv_holds_the_same_question(folder: str, files: Files) -> None:
    name = "Real-Time Visual Understanding_sample_348_1"
    write_csv(files.root / folder / "Real_Time_Visual_Understanding.csv", name)
    (question,) = StreamingBench(files.root).questions()
    assert question.id == name
    files.json("elsewhere/questions_real.json", [REAL])
    (other,) = StreamingBench(files.root / "elsewhere").questions()
    assert replace(question, id="") == replace(other, id="")


def test_csv_of_omni_comes_in_two_tables_whose_videos_are_found(files: Files) -> None:
    write_csv(files.root / "Omni_Source_Understanding.csv", "Scene Understanding_sample_30_2")
    with pytest.raises(ValueError, match=r"holds none of .*Contextual_Understanding\.csv"):
        StreamingBench(files.root, parts=("omni",)).questions()
    write_csv(
        files.root / "Contextual_Understanding.csv", "Anomaly Context Understanding_sample_1_1"
    )
    files.touch("videos/sample_30_Scene_Understanding_26-50.mp4")
    scene, anomaly = StreamingBench(files.root, parts=("omni",)).questions()
    assert scene.path == files.root / "videos/sample_30_Scene_Understanding_26-50.mp4"
    assert (scene.video, anomaly.path) == ("sample_30_Scene_Understanding", None)
    assert anomaly.video == "sample_1_Anomaly_Context_Understanding"


def test_csv_of_sequential_questions_is_told_the_same(tmp_path: Path) -> None:
    names = [f"Sequential Question Answering_sample_17_{number}" for number in (1, 2)]
    write_csv(tmp_path / "Sequential_Question_Answering.csv", *names)
    first, second = StreamingBench(tmp_path, parts=("sqa",)).questions()
    assert "At timestamp" not in first.prompt
    assert second.prompt.count("At timestamp 00:02:31, the following question") == 1
    assert first.video == second.video == "sample_17_sqa"


def test_several_parts_are_read_one_after_another(files: Files) -> None:
    files.json("questions_real.json", [REAL])
    files.json("questions_sqa.json", SQA)
    questions = StreamingBench(files.root, parts=("sqa", "real")).questions()
    assert [question.groups["part"] for question in questions] == ["sqa", "sqa", "sqa", "real"]


@pytest.mark.parametrize("parts", [(), ("proactive",), ("real", "x")])
def test_parts_that_cannot_be_asked_are_told(parts: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parts must be some of 'real', 'omni', 'sqa', got"):
        StreamingBench(tmp_path, parts=parts)


@pytest.mark.parametrize("seconds", [0, -60, float("nan")])
def test_no_context_is_told(seconds: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="context_seconds must be above 0"):
        StreamingBench(tmp_path, context_seconds=seconds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": ["A. A cup."]}, "item 0, questions, item 0: field 'options' has 1 options"),
        ({"options": None}, "field 'options' is None"),
        ({"answer": "E"}, "field 'answer' is 'E', but the options are A, B, C, D"),
        ({"time_stamp": "soon"}, "field 'time_stamp' is 'soon', not H:MM:SS or MM:SS"),
        ({"time_stamp": "31"}, "field 'time_stamp' is '31', not"),
    ],
)
def test_a_bad_question_is_told(change: dict[str, Any], message: str, files: Files) -> None:
    files.json("questions_real.json", [{**REAL, "questions": [{**ASKED, **change}]}])
    with pytest.raises(ValueError, match=message):
        StreamingBench(files.root).questions()


def test_names_that_tell_no_video_are_told(files: Files) -> None:
    files.json("questions_real.json", [{**REAL, "video_path": "./videos/one.mp4"}])
    with pytest.raises(ValueError, match=r"names no sample_<number>_<kind>\.mp4 but 'one\.mp4'"):
        StreamingBench(files.root).questions()
    (files.root / "questions_real.json").unlink()
    write_csv(files.root / "Real_Time_Visual_Understanding.csv", "one")
    with pytest.raises(ValueError, match="field 'question_id' is 'one', not <category>_sample"):
        StreamingBench(files.root).questions()
