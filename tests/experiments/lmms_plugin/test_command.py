"""lmms-eval's own command runs our models on tasks of its kind, where it is installed.

It has no place in the locked environment; docs/lmms-eval.md says how to run these tests.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.experiments.lmms_plugin.options import PluginOptions
from crossframe.framework import VideoModel, VideoSession
from crossframe.framework.video import frames_at, probe_video

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lmms_eval") is None,
    reason="lmms-eval is not installed, see docs/lmms-eval.md",
)

MEMORY = "drop(inner=statekv(capacity=6), ratio=0.5)"
FUNCTIONS = """
from PIL import Image

def video(doc, lmms_eval_specific_kwargs=None):
    return [doc["video"]]

def pictures(doc):
    return [Image.new("RGB", (8, 8))] * 2

def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"] + lmms_eval_specific_kwargs["post_prompt"]

def rounds(doc, lmms_eval_specific_kwargs=None, previous_output=None, round_idx=None, **_):
    if round_idx is None:
        return doc["question"]
    return [doc["other"]], doc["again"], round_idx == 2, previous_output, None

def said(doc, results):
    return {"said": float(bool(results[0]))}
"""
COMMON = """
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/docs.jsonl}}
test_split: test
doc_to_visual: !function utils.video
doc_to_text: !function utils.text
doc_to_target: answer
process_results: !function utils.said
generation_kwargs: {max_new_tokens: 6, temperature: 0, top_p: 1.0, num_beams: 1, do_sample: false}
metric_list: [{metric: said, aggregation: mean, higher_is_better: true}]
lmms_eval_specific_kwargs: {default: {post_prompt: "\\nAnswer:"}}
"""
TASKS = {
    "toy": {"output_type": "generate_until"},
    "toy_rounds": {
        "output_type": "generate_until_multi_round",
        "doc_to_text": "!function utils.rounds",
    },
    "toy_pictures": {
        "output_type": "generate_until",
        "doc_to_visual": "!function utils.pictures",
    },
    "toy_choice": {
        "output_type": "multiple_choice",
        "doc_to_choice": '["A", "B", "C"]',
        "metric_list": "[{metric: acc, aggregation: mean, higher_is_better: true}]",
    },
}
GENERATING_ONLY = ("generation_kwargs", "process_results")


def task_text(name: str, folder: Path) -> str:
    pairs = (line.partition(": ") for line in COMMON.strip().splitlines())
    lines = {key: value for key, _, value in pairs}
    lines |= {**TASKS[name], "task": name}
    if TASKS[name]["output_type"] == "multiple_choice":
        lines = {key: value for key, value in lines.items() if key not in GENERATING_ONLY}
    return "".join(f"{key}: {value}\n" for key, value in lines.items()).replace(
        "FOLDER", str(folder)
    )


@pytest.fixture(scope="module")
def documents(make_video: Callable[..., Path]) -> list[dict[str, str]]:
    first, second = str(make_video("first.mp4", 6)), str(make_video("second.mp4", 5))
    return [
        {"video": video, "question": question, "answer": answer, "other": second, "again": "Why?"}
        for video, question, answer in [
            (first, "What is it?", "A"),
            (second, "Where is it?", "B"),
            (first, "Which way does it move?", "C"),
        ]
    ]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, documents: Sequence[Mapping[str, str]]) -> Path:
    """A folder of tasks, each about the three documents."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "utils.py").write_text(FUNCTIONS)
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    for name in TASKS:
        (folder / f"{name}.yaml").write_text(task_text(name, folder))
    return folder


def run(
    toy: Path,
    out: Path,
    tasks: str,
    arguments: str,
    launcher: Sequence[str] = (sys.executable,),
) -> subprocess.CompletedProcess[str]:
    """lmms-eval's command, offline, with a home of its own."""
    return subprocess.run(
        [
            *launcher, "-m", "lmms_eval", "--model", "crossframe", "--model_args", arguments,
            "--include_path", str(toy), "--tasks", tasks,
            "--log_samples", "--output_path", str(out),
        ],
        env={**os.environ, "HF_HOME": str(toy / "home"), "HF_HUB_OFFLINE": "1"},
        cwd=out,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )  # fmt: skip


def samples(out: Path, task: str) -> list[dict[str, Any]]:
    (path,) = out.rglob(f"*_samples_{task}.jsonl")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return sorted(rows, key=lambda row: row["doc_id"])


class OwnSessions:
    """The same questions, asked in a session of one's own."""

    def __init__(self, checkpoint: Path) -> None:
        self.options = PluginOptions(str(checkpoint), memory=MEMORY, dtype="float32", fps=2.0)
        self.model: VideoModel = self.options.load("cpu")

    def session(self, video: str) -> VideoSession:
        path = Path(video)
        seconds, frames = probe_video(path).duration, self.options.frames()
        times, rate = frames.times(seconds), frames.rate(seconds)
        session = self.options.cell().session(self.model.for_stream(len(times), fps=rate))
        images, seconds = zip(*frames_at(path, times), strict=True)
        session.push(list(images), list(seconds))
        return session

    def reply(self, video: str, question: str) -> str:
        """As lmms-eval logs it: stripped."""
        return self.session(video).ask(question, max_new_tokens=6).text.strip()

    def cost(self, video: str, question: str, reply: str) -> float:
        """Per token of a reply, each asked for alone."""
        session, ids, costs = self.session(video), self.model.question_ids(question), []
        for token in self.model.reply_ids(reply)[0]:
            costs.append(-float(session.question_logits(ids)[0, -1].log_softmax(-1)[token]))
            ids = torch.cat([ids, token.view(1, 1)], 1)
        return sum(costs) / len(costs)


def arguments(checkpoint: Path) -> str:
    return f'pretrained={checkpoint},memory="{MEMORY}",reader=all,dtype=float32,fps=2'


def test_its_command_gets_our_sessions_replies(
    toy: Path, checkpoint: Path, tmp_path: Path, documents: Sequence[Mapping[str, str]]
) -> None:
    done = run(toy, tmp_path, "toy,toy_rounds,toy_choice", arguments(checkpoint))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    own = OwnSessions(checkpoint)

    found = samples(tmp_path, "toy")
    assert [row["filtered_resps"] for row in found] == [
        own.reply(row["video"], row["question"] + "\nAnswer:") for row in documents
    ]
    assert all(row["token_counts"][0]["output_tokens"] == 6 for row in found)

    talks = samples(tmp_path, "toy_rounds")
    assert [row["filtered_resps"] for row in talks] == [
        [
            own.reply(row["video"], row["question"]),
            own.reply(row["other"], row["again"]),
        ]
        for row in documents
    ]

    judged = samples(tmp_path, "toy_choice")
    for row, document in zip(judged, documents, strict=True):
        asked = document["video"], document["question"] + "\nAnswer:"
        costs = [own.cost(*asked, f" {letter}") for letter in "ABC"]
        assert [float(cost) for cost, _ in row["filtered_resps"]] == pytest.approx(costs, abs=1e-4)
        assert row["acc"] == ("ABC"[costs.index(min(costs))] == document["answer"])


def test_two_processes_share_the_work(toy: Path, checkpoint: Path, tmp_path: Path) -> None:
    launcher = (sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=2")
    one, two = tmp_path / "one", tmp_path / "two"
    for out, by in ((one, (sys.executable,)), (two, launcher)):
        out.mkdir()
        done = run(toy, out, "toy", arguments(checkpoint), by)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    alone, together = ([row["filtered_resps"] for row in samples(out, "toy")] for out in (one, two))
    assert alone == together


@pytest.mark.parametrize(
    ("task", "more", "message"),
    [
        ("toy_pictures", "", "toy_pictures, test document 0: shows 2 x picture (Image)"),
        ("toy", ",capacity=4", "unknown capacity; there are pretrained, memory"),
    ],
)
def test_what_cannot_be_is_told(
    toy: Path, checkpoint: Path, tmp_path: Path, task: str, more: str, message: str
) -> None:
    done = run(toy, tmp_path, task, arguments(checkpoint) + more)
    assert message in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*_samples_*"))
