"""Qwen3-VL's prompt: the installed processor's and the release's, token by token."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from crossframe.framework import Cursor, FrameTokens
from crossframe.models.qwen_vl.qwen3_vl_prompt import Qwen3VLPrompt, keeps_outer_markers

from ...every import NATIVE
from ..streams import session_after, video

MARKED = "<|vision_start|><v><|vision_end|>"


def adapter(layout: str = "installed") -> Any:
    return NATIVE["qwen3_vl"].model(layout=layout).for_stream(4)


def patch_at(model: Any, *times: float, number: int = 0) -> FrameTokens:
    """A patch of frames at these seconds."""
    with torch.no_grad():
        return model.encode(video(len(times)), times, Cursor(9, number, 7))


def text_of(model: Any, frame: FrameTokens) -> str:
    """Prompt text behind embeddings, one <v> for all visual tokens."""
    text = model.prompt.processor.decode(model.ids_of(frame).tolist())
    return re.sub(r"(<\|video_pad\|>)+", "<v>", text)


@pytest.mark.parametrize(
    ("layout", "opening", "closing"),
    [("installed", "<|vision_start|>", "<|vision_end|>"), ("release", "", "")],
)
def test_only_the_installed_layout_keeps_the_templates_vision_markers_around_all_patches(
    layout, opening, closing
):
    model = adapter(layout)
    prologue = model.prologue(Cursor())
    assert prologue is not None
    assert text_of(model, prologue) == f"<|im_start|>user\n{opening}"
    assert keeps_outer_markers(model.prompt.processor)
    asked = model.prompt.processor.decode(model.question_ids("What?")[0])
    assert asked == f"{closing}What?<|im_end|>\n<|im_start|>assistant\n"
    assert text_of(model, patch_at(model, 0.0, 0.5)) == f"<0.2 seconds>{MARKED}"
    for number in (0, 1):
        assert text_of(model, patch_at(model, 7.0, 8.0, number=number)) == f"<7.5 seconds>{MARKED}"


@pytest.mark.parametrize(
    ("times", "words"),
    [([0.0, 0.5], "0.2"), ([0.5, 1.0], "0.8"), ([3.0], "3.0"), ([3599.96, 3600.0], "3600.0")],
)
def test_a_patch_is_stamped_with_the_mean_of_its_first_and_last_frame(times, words):
    model = adapter()
    patch = patch_at(model, *times)
    assert text_of(model, patch).startswith(f"<{words} seconds>")
    assert patch.timestamp == (times[0] + times[-1]) / 2


class MergingProcessor:
    """A processor of characters that joins a blank and "<" to one token, as Qwen3-VL's does."""

    video_token, image_token = "<|video_pad|>", "<|image_pad|>"
    vision_start_token, vision_end_token = "<|vision_start|>", "<|vision_end|>"
    video_token_id, vision_start_token_id, vision_end_token_id = 1, 2, 3

    def __init__(self, keeps_outer: bool) -> None:
        self.keeps_outer = keeps_outer
        self.tokenizer = SimpleNamespace(encode=self.encode)

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        known = {"<|video_pad|>": 1, "<|vision_start|>": 2, "<|vision_end|>": 3, " <": 4}
        pieces = re.findall(r"<\|\w+\|>| <(?!\|)|.", text)
        return [known.get(piece) or ord(piece) for piece in pieces]

    def apply_chat_template(self, messages: Any, **options: Any) -> str:
        around = self.vision_start_token + self.video_token + self.vision_end_token
        return "Video: " + around + messages[0]["content"][1]["text"]

    def __call__(self, **inputs: Any) -> dict[str, list[list[int]]]:
        block = "<0.2 seconds><|vision_start|><|video_pad|><|vision_end|>"
        text = f"<|vision_start|>{block}<|vision_end|>" if self.keeps_outer else block
        return {"input_ids": [self.encode(text, add_special_tokens=False)]}


def merged(keeps_outer: bool, layout: str) -> tuple[list[int], list[int]]:
    """Ids around the visual tokens of a first patch, and those of the same text as a whole."""
    processor: Any = MergingProcessor(keeps_outer)
    prompt = Qwen3VLPrompt(processor, layout, processor)
    ids = prompt.prologue_ids + prompt.before_ids(0.25, first=True) + prompt.after_ids()
    ids += prompt.before_ids(1.25, first=False) + prompt.after_ids() + prompt.question_ids("What?")
    outer = ("<|vision_start|>", "<|vision_end|>") if prompt.outer else ("", "")
    blocks = "".join(f"<{t} seconds><|vision_start|><|vision_end|>" for t in ("0.2", "1.2"))
    text = "Video: " + outer[0] + blocks + outer[1] + "What?"
    return ids, processor.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("layout", ["installed", "release"])
@pytest.mark.parametrize("keeps_outer", [True, False])
def test_a_prefix_that_merges_with_the_first_marker_is_cut_before_it(keeps_outer, layout):
    ids, whole = merged(keeps_outer, layout)
    assert ids == whole
    assert (4 in ids) == (not keeps_outer or layout == "release")


def test_only_the_first_patch_continues_the_prologue(monkeypatch):
    model, real, first_ones = adapter(), adapter().prompt.before_ids, []

    def watched(seconds: float, first: bool) -> list[int]:
        first_ones.append(first)
        return real(seconds, first)

    monkeypatch.setattr(model.prompt, "before_ids", watched)
    session_after(model, video(6))
    assert first_ones == [True, False, False]


@pytest.mark.parametrize("keeps_outer", [True, False])
def test_the_installed_layout_follows_the_processor(keeps_outer):
    processor: Any = MergingProcessor(keeps_outer)
    assert keeps_outer_markers(processor) == keeps_outer
    assert Qwen3VLPrompt(processor, "installed", processor).outer == keeps_outer
    assert not Qwen3VLPrompt(processor, "release", processor).outer
