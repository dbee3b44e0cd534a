"""The Qwen3-VL adapter: times, frame sizes and pixels as the installed processor has them."""

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor

from crossframe.framework import Cursor, FrameTokens, FullMemory, VideoSession
from crossframe.models.qwen3_vl import Qwen3VL, load_qwen3_vl
from crossframe.models.tiny import tiny_internvl, tiny_qwen2
from crossframe.models.tiny_qwen3_vl import save_tiny_qwen3_vl, tiny_qwen3_vl


@cache
def loaded() -> tuple[Any, Any]:
    return tiny_qwen3_vl(dtype=torch.float64)


def adapter(planned: int | None = 4, layout: str = "installed") -> Qwen3VL:
    return Qwen3VL(*loaded(), planned_frames=planned, layout=layout)


def video(frames: int, *size: int) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    shape = (frames, *(size or (70, 100)), 3)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def processed(frames: Tensor, question: str = "", fps: float = 2.0) -> Any:
    _, processor = loaded()
    content = [{"type": "video"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    count = len(frames)
    times = {"fps": fps, "frames_indices": list(range(count)), "total_num_frames": count}
    videos = [frames.permute(0, 3, 1, 2)]
    options: Any = {"do_sample_frames": False, "return_tensors": "pt"}
    return processor(text=text, videos=videos, video_metadata=[times], **options)


def encoded(model: Qwen3VL, frames: Tensor, times: Any = None, number: int = 0) -> FrameTokens:
    with torch.no_grad():
        return model.encode(frames, times or [None] * len(frames), Cursor(9, number, 7))


def text_of(model: Qwen3VL, frame: FrameTokens) -> str:
    """Prompt text behind embeddings, one <v> for all visual tokens."""
    table = model.hf_model.get_input_embeddings().weight
    found = (frame.embeds[0][:, None] == table).all(-1)
    ids = found.int().argmax(-1).where(found.any(-1), model.hf_model.config.video_token_id)
    text = model.prompt.processor.decode(ids.tolist())
    return re.sub(r"(<\|video_pad\|>)+", "<v>", text)


def session_after(*pushes: object, model: Qwen3VL | None = None) -> VideoSession:
    session = VideoSession(model or adapter(), FullMemory())
    for frames in pushes:
        session.push(frames)
    return session


def same(first: VideoSession, second: VideoSession) -> bool:
    asked = adapter().question_ids("What happens?")
    return torch.equal(first.question_logits(asked), second.question_logits(asked))


# Time


@pytest.mark.parametrize(
    ("times", "words"),
    [([0.0, 0.5], "0.2"), ([0.5, 1.0], "0.8"), ([3.0], "3.0"), ([3599.96, 3600.0], "3600.0")],
)
def test_a_patch_is_stamped_with_the_mean_of_its_first_and_last_frame(times, words):
    model = adapter()
    patch = encoded(model, video(len(times)), times)
    assert text_of(model, patch).startswith(f"<{words} seconds>")
    assert patch.timestamp == (times[0] + times[-1]) / 2


def test_frames_without_timestamps_count_as_sampled_at_the_processors_rate():
    assert adapter().pixels.video.fps == 2
    session, timed = session_after(video(3)), session_after()
    timed.push(video(3), [0.0, 0.5, 1.0])
    assert same(session, timed)
    later = session_after()
    later.push(video(3), [0.0, 5.0, 10.0])
    assert not same(session, later)
    assert encoded(adapter(), video(2), number=10).timestamp == 10.25


def test_a_patch_half_of_which_has_a_timestamp_is_refused():
    session = session_after()
    session.push(video(3)[0], 0.0)
    with pytest.raises(ValueError, match=r"timestamps \[0.0, None\]: give one for every frame"):
        session.push(video(3)[1])
    session.push(video(3)[1:], [0.5, 1.0])
    assert same(session, session_after(video(3)))


# Frame sizes


@pytest.mark.parametrize("size", [(70, 100), (100, 70), (20, 31), (301, 17), (720, 1280)])
@pytest.mark.parametrize("planned", [2, 3, 5, 8, 23])
def test_planned_frames_give_the_size_of_a_video_of_that_many(planned, size):
    whole = processed(video(planned, *size))
    rows, columns = whole["video_grid_thw"][0, 1:].tolist()
    model = adapter(planned)
    assert model.pixels.size(*size) == (16 * rows, 16 * columns)
    pixels, grid = model.pixels(video(planned, *size)[:2].permute(0, 3, 1, 2))
    assert grid.tolist() == [[1, rows, columns]]
    assert torch.equal(pixels, whole["pixel_values_videos"][: rows * columns])


def test_without_a_plan_frames_are_sized_for_the_longest_video():
    most = adapter().pixels.video.max_frames
    assert most == 24
    assert adapter(None).pixels.size(70, 100) == adapter(most).pixels.size(70, 100)
    assert adapter(None).pixels.size(70, 100) != adapter(4).pixels.size(70, 100)


def test_a_stream_may_outgrow_its_plan_and_keeps_its_size():
    session = session_after(video(8), model=adapter(4))
    assert session.slots(0).visual[0, 0].sum() == 4 * 6


def test_the_size_may_change_between_patches_and_not_inside_one():
    session = session_after(video(2), video(2, 40, 40), video(2, 2160, 3840))
    found = session.slots(0)
    counts = [int((found.visual & (found.frame == n))[0, 0].sum()) for n in range(3)]
    assert counts == [6, 1, 8]
    session.push(video(1))
    with pytest.raises(ValueError, match="one temporal patch differ in size"):
        session.push(video(1, 40, 40))
    session.push(video(1))


@pytest.mark.parametrize("size", [(1, 1), (1, 199), (3, 3), (32, 3), (2160, 3840)])
def test_frames_of_any_size_pass(size):
    session = session_after(video(1, *size), model=adapter(2))
    assert session.ask("What?", max_new_tokens=2).first_logits.isfinite().all()


def test_frames_too_long_for_the_processor_are_refused():
    with pytest.raises(ValueError, match="aspect ratio must be smaller than 200"):
        session_after(video(2, 1, 300))


def test_kinds_of_images_are_one_and_the_same():
    frames = video(2)
    expected = session_after(frames)
    pil = [Image.fromarray(frame.numpy()) for frame in frames]
    alpha = torch.cat([frames, torch.full_like(frames[..., :1], 7)], -1)
    for kind in (frames.numpy(), list(frames), pil, [pil[0], frames[1].numpy()], alpha):
        assert same(session_after(kind), expected)
    gray = frames[..., :1]
    expected = session_after(gray.expand(-1, -1, -1, 3).contiguous())
    assert same(session_after(gray), expected)
    assert same(session_after([Image.fromarray(f[..., 0].numpy()) for f in gray]), expected)
    with pytest.raises(ValueError, match=r"must be \[frames, height, width, 3\]"):
        session_after(np.zeros((40, 60), np.uint8))


# The vision tower


def test_features_of_single_patches_equal_those_of_the_whole_video():
    model, frames = adapter(5), video(5)
    whole = processed(frames)
    pixels = whole["pixel_values_videos"].to(model.dtype)
    with torch.no_grad():
        found = model.hf_model.model.visual(pixels, whole["video_grid_thw"], return_dict=True)
    levels = torch.stack(found.deepstack_features, 1)
    for number, pair in enumerate(frames.split(2)):
        patch, own = encoded(model, pair, number=number), slice(6 * number, 6 * number + 6)
        visual = patch.visual_mask()
        assert (patch.embeds[visual] - found.pooler_output[own]).abs().max() <= 1e-9
        assert (patch.extras["deepstack"][visual] - levels[own]).abs().max() <= 1e-9
        assert levels.shape[1] == 2
        assert (patch.extras["deepstack"][~visual] == 0).all()


# What does not belong together


def test_another_model_class_is_refused():
    model, processor = loaded()
    wrong: list[Any] = [tiny_qwen2(), tiny_internvl()[0], model.model]
    for other in wrong:
        with pytest.raises(ValueError, match=f"got {type(other).__name__}; use load_model"):
            Qwen3VL(other, processor)


def test_another_processor_is_refused():
    model, processor = loaded()
    wrong: list[Any] = [None, processor.tokenizer, tiny_internvl()[1]]
    for other in wrong:
        with pytest.raises(ValueError, match=f"Qwen3VLProcessor .* got {type(other).__name__}"):
            Qwen3VL(model, other)


@pytest.mark.parametrize("name", ["video", "vision_start", "vision_end"])
def test_a_tokenizer_without_the_vision_tokens_is_refused(name):
    model, processor = tiny_qwen3_vl()
    setattr(processor, f"{name}_token_id", None)
    with pytest.raises(ValueError, match=rf"{name}.*\|>' the id None, the model expects \d+"):
        Qwen3VL(model, processor)


def test_a_chat_template_without_the_video_is_refused():
    model, processor = tiny_qwen3_vl()
    processor.chat_template = "{{ messages[0].content[-1].text }}"
    with pytest.raises(ValueError, match=r"puts no <\|video_pad\|> into the prompt"):
        Qwen3VL(model, processor)


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"one of \('installed', 'release'\), got 'chat'"):
        adapter(layout="chat")
    for planned in (1, 0, -4):
        with pytest.raises(ValueError, match=f"planned_frames must be at least 2, got {planned}"):
            adapter(planned)


@pytest.mark.parametrize("options", [{"tie_word_embeddings": True}, {}, {"experts": 4}], ids=str)
def test_a_loaded_model_answers_like_the_saved_one(tmp_path, options):
    folder = save_tiny_qwen3_vl(tmp_path, **options)
    read = load_qwen3_vl(folder, torch.device("cpu"), None, planned_frames=4, layout="release")
    written = Qwen3VL(*tiny_qwen3_vl(**options), planned_frames=4, layout="release")
    assert type(read.prompt.processor) is transformers.Qwen3VLProcessor
    answers = [
        session_after(video(3), model=model).ask("What happens?", max_new_tokens=5)
        for model in (read, written)
    ]
    assert answers[0].text == answers[1].text
    assert (answers[0].first_logits - answers[1].first_logits).abs().max() <= 1e-4
