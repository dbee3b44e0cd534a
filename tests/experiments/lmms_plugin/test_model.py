"""The plug-in's replies are those of a session of one's own; without lmms-eval.

With lmms-eval: test_lmms_eval_command.py.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.experiments.lmms_plugin import answering
from crossframe.experiments.lmms_plugin.answering import NO_REPLY, Answerer, Reply
from crossframe.experiments.lmms_plugin.harness import Harness
from crossframe.experiments.lmms_plugin.options import PluginOptions
from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.framework import VideoModel, VideoSession
from crossframe.framework.video import VideoError, VideoSamples, frames_at, probe_video

GREEDY = {"max_new_tokens": 5, "temperature": 0, "do_sample": False, "until": ["\n\n"]}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> dict[str, Path]:
    qwen = save_tiny_checkpoint(tmp_path_factory.mktemp("qwen3_vl"), "qwen3_vl")
    return {"internvl3": checkpoint, "qwen3_vl": qwen}


@cache
def loaded(folder: Path) -> VideoModel:
    return PluginOptions(str(folder), dtype="float32").load("cpu")


def harness(options: PluginOptions, documents: Sequence[Any]) -> Harness:
    answerer = Answerer(loaded(Path(options.pretrained)), options)
    return Harness(answerer, {"toy": {"test": documents}}, progress=False)


def requests(documents: Sequence[Mapping[str, Any]], settings: Any = GREEDY) -> list[Any]:
    """As a task makes them; of each document its video and question."""
    return [
        (document["question"], settings, lambda shown: [shown["video"]], number, "toy", "test")
        for number, document in enumerate(documents)
    ]


def own_session(options: PluginOptions, video: str) -> VideoSession:
    """All frames in one push, by somebody who has never heard of lmms-eval."""
    path = Path(video)
    seconds = probe_video(path).duration
    times, rate = options.frames().times(seconds), options.frames().rate(seconds)
    model = loaded(Path(options.pretrained)).for_stream(len(times), options.system, rate)
    session = options.cell().session(model)
    images, seconds = zip(*frames_at(path, times), strict=True)
    session.push(list(images), list(seconds))
    return session


def own_reply(options: PluginOptions, document: Mapping[str, Any], tokens: int = 5) -> Reply:
    session = own_session(options, document["video"])
    asked = session.model.question_ids(document["question"]).shape[1]
    answer = session.ask(document["question"], max_new_tokens=tokens)
    # What waits for a second frame of its patch is not counted by the session itself.
    waiting = answering_tokens(session)
    return Reply(answer.text, waiting + asked, len(answer.token_ids))


def answering_tokens(session: VideoSession) -> int:
    """Tokens of the stream with its last patch, though only begun."""
    images = [pending.image for pending in session.state.pending]
    if not images:
        return session.cursor.tokens
    last = session.model.encode(torch.stack(images), [0.0] * len(images), session.cursor)
    return session.cursor.tokens + last.num_tokens


@pytest.fixture(scope="module")
def documents(make_video: Callable[..., Path]) -> list[dict[str, Any]]:
    """Two questions about one video, with one about another in between; one frame is odd."""
    first, second = str(make_video("first.mp4", 6)), str(make_video("second.mp4", 5))
    asked = [(first, "What is it?"), (second, "Where is it?"), (first, "Is it\na square?")]
    return [{"video": video, "question": question} for video, question in asked]


@pytest.mark.parametrize("family", ["internvl3", "qwen3_vl"])
@pytest.mark.parametrize(
    "settings",
    [
        {"memory": "statekv(capacity=6)"},
        {"memory": "full", "frames_per_step": 2},
        {"memory": "window(frames=2)", "reader": "last_frames(frames=2)", "archive": "int8"},
        {"memory": "recency(capacity=5)", "in_frame": "bidirectional", "system": "Be short."},
        {"memory": "full", "max_frames": 3, "sampling": "start", "fps": 2.0},
    ],
    ids=lambda settings: settings["memory"],
)
def test_replies_are_those_of_a_session_of_ones_own(
    checkpoints: Mapping[str, Path],
    documents: Sequence[Mapping[str, Any]],
    family: str,
    settings: Mapping[str, Any],
) -> None:
    options = PluginOptions(str(checkpoints[family]), **settings)
    replies = harness(options, documents).generate_until(requests(documents))
    assert replies == [own_reply(options, document) for document in documents]
    assert len({reply.text for reply in replies}) > 1


def test_questions_about_the_same_frames_share_a_pass(
    checkpoint: Path, documents: Sequence[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def noted(model: Any, path: Path, *given: Any, **options: Any) -> VideoSamples:
        opened.append(path.name)
        return frames_at(path, *given, **options)

    monkeypatch.setattr(answering, "media_at", noted)
    harness(PluginOptions(str(checkpoint)), documents).generate_until(requests(documents))
    assert sorted(opened) == ["first.mp4", "second.mp4"]


def test_every_request_has_its_own_settings(
    checkpoint: Path, documents: Sequence[Mapping[str, Any]]
) -> None:
    options = PluginOptions(str(checkpoint), max_new_tokens=2)
    whole = own_reply(options, documents[0], 4).text
    four, cut = {"max_new_tokens": 4}, {"max_new_tokens": 4, "until": whole[2]}
    asked = [requests(documents[:1], settings)[0] for settings in (four, {}, cut)]
    asked.append(requests(documents, four)[1])
    found = harness(options, documents).generate_until(asked)
    assert [reply.text for reply in found] == [
        whole,
        own_reply(options, documents[0], 2).text,
        whole[: whole.index(whole[2])],
        own_reply(options, documents[1], 4).text,
    ]


def test_errors_name_the_document(checkpoint: Path) -> None:
    shown = [{"video": "a.mp4", "question": "?"}, {"video": "b.png", "question": "?"}]
    with pytest.raises(ValueError, match="toy, test document 1: shows 1 x picture"):
        harness(PluginOptions(str(checkpoint)), shown).generate_until(requests(shown))


# Videos that cannot be read


@pytest.fixture
def broken(
    make_video: Callable[..., Path], blank_out: Callable[..., Path], tmp_path: Path
) -> dict[str, Any]:
    """Damaged in its second half: the header is there, frames are not."""
    path = blank_out(make_video("whole.mp4", 40), tmp_path / "broken.mp4", 0.5, 0.8)
    return {"video": str(path), "question": "What is it?"}


def test_a_broken_video_costs_its_own_replies_only(
    checkpoint: Path,
    documents: Sequence[Mapping[str, Any]],
    broken: Mapping[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = PluginOptions(str(checkpoint))
    missing = {"video": "missing.mp4", "question": "Gone?"}
    shown = [broken, documents[1], missing]
    replies = harness(options, shown).generate_until(requests(shown))
    assert replies == [NO_REPLY, own_reply(options, documents[1]), NO_REPLY]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "missing.mp4: no such file" in caplog.text
    assert "broken.mp4" in caplog.text


def test_strict_stops_at_it(
    checkpoint: Path, documents: Sequence[Mapping[str, Any]], broken: Mapping[str, Any]
) -> None:
    options = PluginOptions(str(checkpoint), strict=True)
    for bad, error in ((broken, VideoError), ({"video": "no.mp4", "question": "?"}, ValueError)):
        shown = [documents[0], bad]
        with pytest.raises(error, match=Path(bad["video"]).name):
            harness(options, shown).generate_until(requests(shown))


def test_flagged_frames_are_a_warning_and_with_strict_an_error(
    checkpoint: Path, flagged_video: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shown = [{"video": str(flagged_video), "question": "What is it?"}]
    options = PluginOptions(str(checkpoint))
    assert harness(options, shown).generate_until(requests(shown)) != [NO_REPLY]
    assert "flagged.avi: FFmpeg flags 1 of the decoded frames as damaged" in caplog.text
    strict = PluginOptions(str(checkpoint), strict=True)
    with pytest.raises(VideoError, match=r"flags a frame as damaged \(strict stops there\) 3.00"):
        harness(strict, shown).generate_until(requests(shown))


def test_no_video_at_all_is_never_a_score(checkpoint: Path) -> None:
    shown = [{"video": "no.mp4", "question": "?"}]
    with pytest.raises(ValueError, match=r"no.mp4: no such file"):
        harness(PluginOptions(str(checkpoint)), shown).generate_until(requests(shown))


# Rounds


def test_rounds_end_when_the_task_says_so(
    checkpoint: Path, documents: Sequence[Mapping[str, Any]]
) -> None:
    """Of OVO-Bench's kind: a video and a question per round; one talk has two rounds, one one."""
    talks = [{"rounds": [documents[0], documents[1]]}, {"rounds": [documents[2]]}]
    heard: list[Any] = []

    def lead(document: Any, *, previous_output: Any, round_idx: int, **more: Any) -> Any:
        heard.append((len(previous_output), round_idx, more["previous_round_info"]))
        if round_idx == len(document["rounds"]):
            return None, None, True, previous_output, None
        now = document["rounds"][round_idx]
        return [now["video"]], now["question"], False, previous_output, "noted"

    asked = [
        (
            talk["rounds"][0]["question"], GREEDY, lambda shown: [shown["rounds"][0]["video"]],
            lead, number, "toy", "test",
        )
        for number, talk in enumerate(talks)
    ]  # fmt: skip
    options = PluginOptions(str(checkpoint))
    replies = harness(options, talks).generate_until_multi_round(asked)
    own = [own_reply(options, document).text for document in documents]
    assert replies == [[own[0], own[1]], [own[2]]]
    assert heard == [(1, 1, None), (1, 1, None), (2, 2, "noted")]


# Likelihoods


def test_loss_is_the_mean_over_the_reply_of_what_each_token_costs(
    checkpoint: Path, documents: Sequence[Mapping[str, Any]]
) -> None:
    options, said = PluginOptions(str(checkpoint), memory="statekv(capacity=6)"), " (B) no"
    (text, _, visual, *where) = requests(documents)[1]
    found = harness(options, documents).loglikelihood(
        [(text, said, visual, *where), (text, lambda shown: shown["question"], visual, *where)]
    )
    session = own_session(options, documents[1]["video"])
    for (loss, _), reply in zip(found, [said, documents[1]["question"]], strict=True):
        asked, told = session.model.question_ids(text), session.model.reply_ids(reply)
        costs = []
        for number, token in enumerate(told[0]):
            logits = session.question_logits(torch.cat([asked, told[:, :number]], 1))[0, -1]
            costs.append(-float(logits.log_softmax(-1)[token]))
        assert len(costs) > 2
        assert loss == pytest.approx(sum(costs) / len(costs), abs=1e-4)


def test_what_would_be_said_anyway_is_greedy(
    checkpoint: Path, documents: Sequence[Mapping[str, Any]]
) -> None:
    options = PluginOptions(str(checkpoint))
    model = loaded(checkpoint)
    questions = [{**documents[0], "question": f"What is {number}?"} for number in range(12)]
    asked = harness(options, questions)
    replies = [reply.text for reply in asked.generate_until(requests(questions))]
    pairs = [
        (request, reply)
        for request, reply in zip(requests(questions), replies, strict=True)
        # Untrained models say bytes that are no text; those do not survive the tokenizer.
        if model.reply_ids(reply).shape[1] == 5 and reply.isprintable()
    ]
    assert pairs
    told = [(text, reply, *rest) for (text, _, *rest), reply in pairs]
    assert all(greedy for _, greedy in asked.loglikelihood(told))
    other = [(text, "no " + reply, *rest) for (text, _, *rest), reply in pairs]
    assert not any(greedy for _, greedy in asked.loglikelihood(other))


def test_likelihoods_that_cannot_be(
    checkpoint: Path, documents: Sequence[Mapping[str, Any]], broken: Mapping[str, Any]
) -> None:
    options, shown = PluginOptions(str(checkpoint)), [documents[0], broken]
    (text, _, visual, *where) = requests(shown)[0]
    with pytest.raises(ValueError, match="has no token to judge"):
        harness(options, shown).loglikelihood([(text, "", visual, *where)])
    with pytest.raises(ValueError, match="acc_mutual_info asks for replies without a video"):
        harness(options, shown).loglikelihood([("", "A")])
    both = [(request[0], "A", *request[2:]) for request in requests(shown)]
    good, bad = harness(options, shown).loglikelihood(both)
    assert good[0] < bad[0] == float("inf")
