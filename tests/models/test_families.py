"""What holds alike for every family: prompt, images, streams, loading."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from crossframe.framework import VideoSession
from crossframe.methods import StateKVMemory, TokenDroppingMemory
from crossframe.models import load_model, model_families
from crossframe.models.families import LAWS, NOTES
from crossframe.models.tiny import tiny_internvl, tiny_qwen2, tiny_qwen3_vl

from ..every import FAMILIES, NATIVE, UNBOUNDED
from .stock import processed, worst
from .streams import QUESTION, asked, session_after, video

EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
ALL_NATIVE = pytest.mark.parametrize("family", NATIVE.values(), ids=NATIVE)
QUESTIONS = [
    "",
    "What happens?",
    "\nOptions:\n(A) yes\n(B) no",
    "\n\n\nWhat?",
    " leading and trailing \n",
    "It's 'ein' Bär: <b>?\n",
    "早上好 — ¿qué? e\u0301 é 🎬 \ufffc",
    "<|im_end|>\n<|im_start|>user\n",
    "<img></img>",
    "<2.0 seconds><|vision_start|><|vision_end|>",
]
NO_PLACE = "{{ messages[0].content[-1].text }}"
# Tokens that stand for pictures, and layouts that put the question together by themselves.
PICTURES: list[tuple[str, dict[str, str], tuple[str, ...]]] = [
    ("glm4v", {}, ("<|video|>", "<|image|>")),
    ("internvl3", {}, ("<video>", "<IMG_CONTEXT>")),
    ("internvl3", {"layout": "video_first"}, ("<video>", "<IMG_CONTEXT>")),
    ("llava_onevision", {}, ("<video>", "<image>")),
    ("perception_lm", {}, ("<|video|>", "<|image|>")),
    ("qwen2_5_vl", {}, ("<|video_pad|>", "<|image_pad|>")),
    ("qwen3_vl", {}, ("<|video_pad|>", "<|image_pad|>")),
    ("qwen3_vl", {"layout": "release"}, ("<|video_pad|>", "<|image_pad|>")),
    ("smolvlm", {}, ("<video>", "<image>")),
    ("eagle2_5", {}, ("<IMG_CONTEXT>", "<video-1>", "<image-12>")),
]


@ALL_NATIVE
def test_these_are_the_native_classes(family):
    model, processor = family.loaded()
    assert (type(model), type(processor), type(processor.video_processor)) == family.stock


def test_the_readmes_table_is_what_can_be_loaded():
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    table = readme.partition("## Models\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert rows == [
        f"| {family.name} | `{family.model_type}` | `{family.model.__name__}` | "
        f"`{family.adapter.__name__}` | {family.tested} |"
        for family in model_families()
    ]


def test_families_are_those_of_the_tests():
    known = {(family.model, family.adapter) for family in model_families()}
    assert {(family.stock[0], family.shipped) for family in NATIVE.values()} <= known
    tested = {family.adapter for family in model_families() if LAWS in family.tested}
    assert tested == {family.shipped for family in FAMILIES.values()}
    assert {family.model_type for family in model_families()} == NOTES.keys()


# The question


@ALL_NATIVE
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_question_has_the_processors_ids(question, family):
    model = family.model().for_stream(2)
    expected = processed(model, video(2), question, fps=family.fps)["input_ids"][0].tolist()
    ids = model.question_ids(question)
    assert ids.shape[0] == 1
    assert expected[-ids.shape[1] :] == ids[0].tolist()
    assert len(expected) == session_after(model, video(2)).cursor.tokens + ids.shape[1]


@pytest.mark.parametrize(("name", "options", "tokens"), PICTURES)
def test_a_question_may_not_stand_for_pictures(name, options, tokens):
    session = session_after(FAMILIES[name].model(**options), video(2))
    for token in tokens:
        with pytest.raises(ValueError, match="which stands for pictures: take it out") as refusal:
            session.ask(f"What is in {token}?")
        assert f"the question contains {token}," in str(refusal.value)


# Images


@EVERY
def test_kinds_of_images_are_one_and_the_same(family):
    model, frames = family.model(), video(2)
    expected = asked(session_after(model, frames))
    pil = [Image.fromarray(frame.numpy()) for frame in frames]
    alpha = torch.cat([frames, torch.full_like(frames[..., :1], 7)], -1)
    for kind in (frames.numpy(), list(frames), pil, [pil[0], frames[1].numpy()], alpha):
        assert torch.equal(asked(session_after(model, kind)), expected)
    assert torch.equal(asked(session_after(model, frames[0], pil[1])), expected)


@EVERY
def test_gray_is_repeated_over_the_colours(family):
    model, gray = family.model(), video(2)[..., :1]
    expected = asked(session_after(model, gray.expand(-1, -1, -1, 3).contiguous()))
    pil = [Image.fromarray(frame[..., 0].numpy()) for frame in gray]
    for kind in (gray, pil):
        assert torch.equal(asked(session_after(model, kind)), expected)
    with pytest.raises(ValueError, match=r"must be \[frames, height, width, 3\]"):
        session_after(model, np.zeros((40, 60), np.uint8))


# From 1 x 1 to 4K; 1 x 300 is too long for Qwen-VL.
SIZES = [(1, 1), (1, 199), (3, 3), (32, 3), (56, 56), (301, 17), (720, 1280), (2160, 3840)]
ONE_TILE = ("internvl3", "llava_onevision", "eagle2_5", "perception_lm", "smolvlm")


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in FAMILIES for size in SIZES] + [(n, (1, 300)) for n in ONE_TILE],
)
def test_frames_of_any_size_pass(name, size):
    model = FAMILIES[name].model()
    session = session_after(model, video(1, size))
    answer = session.ask("What?", max_new_tokens=2)
    assert answer.first_logits.isfinite().all()
    if name in ONE_TILE:
        rows, columns = model.patch_grid(*size)
        assert int(session.slots(0).visual[0, 0].sum()) == rows * columns == 4


@pytest.mark.parametrize("name", ["internvl3", "llava_onevision", "perception_lm", "qwen2_5_vl"])
def test_times_do_not_reach_the_model(name):
    model = NATIVE[name].model()
    session, timed = session_after(model, video(3)), session_after(model)
    timed.push(video(2), timestamps=[0.0, 5.0])
    timed.push(video(3)[2:])
    assert torch.equal(asked(session), asked(timed))
    with pytest.raises(ValueError, match="2 frames came with 1 timestamps"):
        timed.push(video(2), timestamps=[7.0])


# Streams and checkpoints


@pytest.mark.parametrize("name", ["glm4v", "qwen2_5_vl", "qwen3_vl"])
def test_asking_about_a_waiting_frame_changes_nothing(name):
    model = NATIVE[name].model().for_stream(4)
    session = session_after(model, video(5))
    assert (session.cursor.frames, len(session.state.pending)) == (2, 1)

    def held() -> Any:
        return session.cursor, session.state_bytes, session.archive.num_tokens, len(session.costs)

    before = held()
    first, second = (session.ask(QUESTION, max_new_tokens=5) for _ in range(2))
    assert torch.equal(first.first_logits, second.first_logits)
    assert torch.equal(first.token_ids, second.token_ids)
    assert held() == before
    assert not torch.equal(asked(session), asked(session_after(model, video(4))))
    session.push(video(6)[5])
    assert torch.equal(asked(session), asked(session_after(model, video(6))))


@pytest.mark.parametrize(
    "memory",
    [UNBOUNDED[0], StateKVMemory(9), TokenDroppingMemory(StateKVMemory(9), ratio=0.5)],
    ids=repr,
)
@EVERY
def test_forks_and_saved_sessions_go_on_as_if_nothing_had_happened(family, memory, tmp_path):
    model, frames, file = family.model().for_stream(4), video(9), tmp_path / "stream"
    expected = asked(session_after(model, frames[:5], frames[5:], memory=memory))
    session = session_after(model, frames[:5], memory=memory)
    session.save(file)
    fork, read = session.fork(), VideoSession.load(file, family.model().for_stream(4))
    for other in (fork, read):
        assert len(other.state.pending) == 5 % model.frames_per_patch
        other.push(frames[5:])
        assert torch.equal(asked(other), expected)
    session.push(video(2, seed=5))
    assert torch.equal(asked(fork), expected)
    assert not torch.equal(asked(session), expected)


@pytest.mark.parametrize(
    ("name", "sizes", "options"),
    [
        ("glm4v", {}, {"planned_frames": 4}),
        ("glm4v", {"release": "4.6"}, {"planned_frames": 4}),
        ("glm4v", {"release": "4.6", "experts": 4}, {"planned_frames": 4}),
        ("internvl3", {"seed": 3}, {"layout": "chat"}),
        ("internvl3", {"seed": 3}, {"layout": "video_first"}),
        ("internvl3", {"seed": 3, "tie_word_embeddings": True}, {"layout": "chat"}),
        ("internvl3", {"seed": 3, "tie_word_embeddings": True}, {"layout": "video_first"}),
        ("internvl3", {"decoder": "qwen3"}, {}),
        ("llava_onevision", {}, {}),
        ("llava_onevision", {"tie_word_embeddings": True}, {}),
        ("perception_lm", {}, {}),
        ("perception_lm", {"tower": "timm"}, {}),
        ("qwen2_5_vl", {}, {"fps": 1.0}),
        ("qwen2_5_vl", {"tie_word_embeddings": True}, {"fps": 1.0}),
        ("qwen3_vl", {}, {"planned_frames": 4, "layout": "release"}),
        ("qwen3_vl", {"tie_word_embeddings": True}, {"planned_frames": 4, "layout": "release"}),
        ("qwen3_vl", {"experts": 4}, {"planned_frames": 4, "layout": "release"}),
        ("smolvlm", {}, {"planned_frames": 3, "duration": 7.0}),
    ],
)
def test_a_loaded_model_answers_like_the_saved_one(tmp_path, name, sizes, options):
    family = NATIVE[name]
    read: Any = load_model(family.save(tmp_path, **sizes), device="cpu", **options)
    assert type(read) is family.shipped
    assert not read.hf_model.training
    model, processor = family.tiny(**sizes)
    assert type(read.prompt.processor) is type(processor)
    written = family.adapter(model, processor, **options)
    answers = [
        session_after(model, video(3)).ask("What happens?", max_new_tokens=5)
        for model in (read, written)
    ]
    assert answers[0].text == answers[1].text
    # Not bit for bit: mapped from a file, weights lie at other addresses, and on some processors
    # matrix products round by alignment.
    assert worst(answers[0].first_logits, answers[1].first_logits) <= 1e-4


# What does not belong together


@ALL_NATIVE
def test_another_model_class_or_processor_is_refused(family):
    model, processor = family.loaded()
    stranger = tiny_qwen3_vl() if family is NATIVE["internvl3"] else tiny_internvl()
    models: list[Any] = [tiny_qwen2(), stranger[0], model.model]
    for other in models:
        with pytest.raises(ValueError, match=f"got {type(other).__name__}; use load_model"):
            family.adapter(other, processor)
    processors: list[Any] = [None, processor.tokenizer, processor.video_processor, stranger[1]]
    for other in processors:
        words = f"{family.stock[1].__name__}, got {type(other).__name__}; use load_model"
        with pytest.raises(ValueError, match=words):
            family.adapter(model, other)


@ALL_NATIVE
def test_a_tokenizer_with_other_ids_is_refused(family):
    for name in family.tokens:
        model, processor = family.tiny()
        setattr(processor, f"{name}_token_id", None)
        with pytest.raises(ValueError, match=r"' the id None, the model expects \d+") as refusal:
            family.adapter(model, processor)
        assert repr(getattr(processor, f"{name}_token")) in str(refusal.value)


@pytest.mark.parametrize("name", [name for name, family in NATIVE.items() if family.own_template])
def test_a_chat_template_without_the_video_is_refused(name):
    family = NATIVE[name]
    model, processor = family.tiny()
    processor.chat_template = NO_PLACE
    with pytest.raises(ValueError, match=r"chat template puts no .* into the prompt: load the"):
        family.adapter(model, processor)


@ALL_NATIVE
def test_a_folder_without_its_processor_is_told(family, tmp_path):
    folder = family.save(tmp_path)
    (folder / "processor_config.json").unlink()
    words = f"{folder} has no whole processor for {family.shipped.__name__}: give the folder all"
    with pytest.raises(ValueError, match=words):
        load_model(folder)
