"""Images from users: every usual kind becomes uint8 RGB, everything else is refused by text."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from crossframe.framework.stream.images import as_images

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
RED_GREEN = PIXELS[..., 0]


def only(frames: object) -> Tensor:
    (image,) = as_images(frames)
    assert image.dtype == torch.uint8
    return image


@pytest.mark.parametrize(
    "one",
    [
        PIXELS,
        PIXELS[None],
        torch.from_numpy(PIXELS),
        Image.fromarray(PIXELS),
        [Image.fromarray(PIXELS)],
        (PIXELS,),
        [[PIXELS]],
        np.asfortranarray(PIXELS),
        np.ascontiguousarray(PIXELS[:, ::-1])[:, ::-1],
    ],
    ids=["array", "batch", "tensor", "pil", "list", "tuple", "nested", "fortran", "flipped"],
)
def test_one_image_in_every_form_gives_the_same_pixels(one: object) -> None:
    assert torch.equal(only(one), torch.from_numpy(PIXELS))


def test_gray_images_get_three_equal_channels() -> None:
    gray = torch.from_numpy(PIXELS[..., :1])
    for one in (gray, gray.numpy(), Image.fromarray(PIXELS[..., 0])):
        assert torch.equal(only(one), gray.expand(-1, -1, 3))


def test_alpha_is_dropped() -> None:
    alpha = np.concatenate([PIXELS, PIXELS[..., :1]], -1)
    for one in (alpha, torch.from_numpy(alpha), Image.fromarray(alpha)):
        assert torch.equal(only(one), torch.from_numpy(PIXELS))


def test_a_stack_is_split_in_order_and_kinds_may_be_mixed() -> None:
    stack = np.stack([PIXELS, 255 - PIXELS])
    images = as_images([stack, Image.fromarray(PIXELS), torch.from_numpy(stack[1])])
    expected = [PIXELS, 255 - PIXELS, PIXELS, 255 - PIXELS]
    assert len(images) == 4
    assert all((i.numpy() == e).all() for i, e in zip(images, expected, strict=True))


def test_a_read_only_array_is_taken_without_a_warning() -> None:
    locked = PIXELS.copy()
    locked.flags.writeable = False
    assert torch.equal(only(locked), torch.from_numpy(PIXELS))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *((e, "no frames: give at least one image") for e in ([], (), [[]], PIXELS[None][:0])),
        (torch.zeros(2, 4, 6, 3), r"uint8 pixels in 0\.\.255, got torch.float32: scale and conv"),
        (PIXELS / 255, r"got float64"),
        (PIXELS.astype(np.int64), r"got int64"),
        ([PIXELS, PIXELS > 3], r"got bool"),
        (torch.zeros(3, 4, 6, dtype=torch.uint8), r"height, width, 3\].*got shape \(3, 4, 6\)"),
        (torch.zeros(4, 6, dtype=torch.uint8), r"got shape \(4, 6\)"),
        (torch.zeros(1, 1, 2, 4, 6, 3, dtype=torch.uint8), r"got shape \(1, 1, 2, 4, 6, 3\)"),
        (torch.zeros(2, 4, 6, 5, dtype=torch.uint8), r"got shape \(2, 4, 6, 5\)"),
        (torch.zeros(2, 0, 6, 3, dtype=torch.uint8), r"no pixels: shape \(2, 0, 6, 3\)"),
        (
            "video.mp4",
            "must be FrameTokens, PIL images or uint8 .*, got str; files are .*stream_video",
        ),
        (b"bytes", "got bytes"),
        (None, "got NoneType"),
        ([PIXELS, None], "got NoneType"),
        ([[1, 2], [3, 4]], "got int"),
        (PIXELS.astype(object), "got object"),
        (torch.from_numpy(PIXELS).to_sparse(), r"got torch\.sparse_coo: convert with .to_dense"),
        (torch.from_numpy(PIXELS).to("meta"), r"\(4, 6, 3\) lie on the device meta"),
        ([[[[[PIXELS]]]]], "nested more than 4 deep"),
        (Image.new("I;16", (6, 4)), "8 bits per channel, got mode 'I;16'"),
    ],
)
def test_everything_else_is_refused_with_what_was_given(wrong: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_images(wrong)
