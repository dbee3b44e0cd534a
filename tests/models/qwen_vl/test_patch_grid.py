"""Where a frame's visual tokens lie in the picture: as many as there are, and in that order."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from crossframe.framework import Cursor, FrameTokens, VideoModel
from crossframe.framework.frame_tokens import advance
from crossframe.framework.reference import ReferenceDecoder
from crossframe.models import InternVL3, LlavaOnevision, Qwen2_5VL
from crossframe.models.tiny import tiny_internvl, tiny_llava_onevision, tiny_qwen2_5_vl

from ...every import FAMILIES, decoder

MODELS: dict[str, Callable[[], VideoModel]] = {
    "reference": ReferenceDecoder,
    "reference in pairs": lambda: ReferenceDecoder(patch=2),
    "internvl3": lambda: InternVL3(*tiny_internvl(image_size=112)),
    "internvl3 video first": lambda: InternVL3(*tiny_internvl(), layout="video_first"),
    "eagle2_5": FAMILIES["eagle2_5"].model,
    "llava_onevision, odd side": lambda: LlavaOnevision(*tiny_llava_onevision(image_size=70)),
    "llava_onevision, even side": lambda: FAMILIES["llava_onevision"].model(kind="even side"),
    "qwen2_5_vl": lambda: Qwen2_5VL(*tiny_qwen2_5_vl(max_tokens=24)),
    "qwen3_vl": lambda: FAMILIES["qwen3_vl"].model().for_stream(2),
    "qwen3_vl, many frames": lambda: FAMILIES["qwen3_vl"].model().for_stream(6),
}
SIZES = [(96, 160), (160, 96), (70, 70), (33, 201)]


@cache
def made(name: str) -> VideoModel:
    return MODELS[name]()


def encoded(model: VideoModel, frame: Tensor) -> FrameTokens:
    """The first temporal patch of a video that shows one picture [height, width, 3] throughout."""
    cursor = Cursor()
    with torch.no_grad():
        prompt = model.prologue(cursor)
        cursor = cursor if prompt is None else advance(cursor, prompt)
        count = model.frames_per_patch
        return model.encode(frame.expand(count, -1, -1, -1), [0.0] * count, cursor)


def noise(size: tuple[int, int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*size, 3), generator=generator).to(torch.uint8)


def rows_and_columns(model: VideoModel, size: tuple[int, int]) -> int:
    rows, columns = model.patch_grid(*size)
    return rows * columns


def visual_rows(model: VideoModel, frame: Tensor) -> Tensor:
    """[visual tokens, hidden]"""
    tokens = encoded(model, frame)
    return tokens.embeds[0, tokens.visual_mask()[0]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MODELS)
def test_a_frame_has_rows_times_columns_visual_tokens(name: str, size: tuple[int, int]) -> None:
    model = made(name)
    found = encoded(model, noise(size)).visual_mask()
    assert int(found.sum()) == rows_and_columns(model, size)


def test_qwen_keeps_the_shape_of_the_picture() -> None:
    for name in ("qwen2_5_vl", "qwen3_vl"):
        (rows, columns), turned = made(name).patch_grid(96, 160), made(name).patch_grid(160, 96)
        assert rows < columns
        assert turned == (columns, rows)


def test_the_paper_s_model_has_sixteen_by_sixteen() -> None:
    assert InternVL3(*tiny_internvl(image_size=448)).patch_grid(720, 1280) == (16, 16)


@pytest.mark.parametrize("name", MODELS)
def test_tokens_go_row_by_row_from_the_top_left(name: str) -> None:
    """Every token changes most where the patch of the picture changes that the grid gives it."""
    model, size = made(name), (96, 160)
    tokens = torch.arange(rows_and_columns(model, size))
    change = sum(changes(model, noise(size, seed)) for seed in range(6))
    assert isinstance(change, Tensor)
    assert change.argmax(0).tolist() == tokens.tolist()


def changes(model: VideoModel, picture: Tensor) -> Tensor:
    """[patches, tokens]: how far each token moves when one patch of the picture is inverted."""
    rows, columns = model.patch_grid(*picture.shape[:2])
    plain, found = visual_rows(model, picture), []
    for row in picture.tensor_split(rows):
        for patch in row.tensor_split(columns, 1):
            patch.copy_(255 - patch)  # a view into the picture
            found.append((visual_rows(model, picture) - plain).norm(dim=-1))
            patch.copy_(255 - patch)
    return torch.stack(found)


def test_a_model_without_a_vision_side_says_so() -> None:
    with pytest.raises(ValueError, match="DecoderModel has no vision side: frames of 48 x 64"):
        decoder().patch_grid(48, 64)
