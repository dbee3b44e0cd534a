"""Qwen3-VL's DeepStack features and M-RoPE positions on their way through a session."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from crossframe.framework import FrameTokens, FullMemory, VideoSession
from crossframe.methods import StateKVMemory, TokenDroppingMemory
from crossframe.models.qwen_vl.qwen3_vl import DEEPSTACK, Qwen3VL
from crossframe.models.tiny import tiny_qwen3_vl

from ..streams import asked, patches, session_after, video


class Watched(Qwen3VL):
    """Notes what passes the decoder, and can be made blind to DeepStack."""

    steps: list[tuple[FrameTokens, Tensor]]
    blind = False

    def step(
        self, frame: FrameTokens, attention: Any, max_tokens: int, recurrent: Any = None
    ) -> Tensor:
        hidden = super().step(frame, attention, max_tokens, recurrent)
        self.steps.append((frame, hidden))
        return hidden

    def decoder_inputs(self, frame: FrameTokens) -> Any:
        return {} if self.blind else super().decoder_inputs(frame)


@cache
def adapter() -> Watched:
    made = Watched(*tiny_qwen3_vl(dtype=torch.float64), planned_frames=4)
    made.steps = []
    return made


def streamed(*pushes: Tensor, **options: Any) -> VideoSession:
    """A session over the adapter, of whose steps the adapter has noted no others."""
    adapter().steps.clear()
    return session_after(adapter(), *pushes, **options)


# DeepStack


def test_deepstack_changes_every_layers_keys_but_the_firsts():
    seen = streamed(video(4))
    adapter().blind = True
    blind = streamed(video(4))
    blind_logits = asked(blind)
    adapter().blind = False
    assert (asked(seen) - blind_logits).abs().max() > 0.01
    for layer in range(3):
        change = (seen.slots(layer).keys - blind.slots(layer).keys).abs().max()
        assert (change > 0.01) == (layer > 0)


def test_every_level_of_deepstack_counts():
    frames = patches(adapter(), 1, 2)
    whole = VideoSession(adapter(), FullMemory())
    whole.push(frames)
    for level in range(2):
        cut = []
        for frame in frames:
            levels = frame.extras[DEEPSTACK].clone()
            levels[:, :, level] = 0
            cut.append(replace(frame, extras={DEEPSTACK: levels}))
        session = VideoSession(adapter(), FullMemory())
        session.push(cut)
        assert (asked(session) - asked(whole)).abs().max() > 0.01


@pytest.mark.parametrize("options", [{"frames_per_step": 2}, {"frames_per_step": 5}, {}], ids=str)
@pytest.mark.parametrize("memory", [FullMemory(), TokenDroppingMemory(ratio=0.0)])
def test_joined_patches_and_whole_frames_change_nothing(memory, options):
    expected = asked(streamed(*video(5)))
    assert (asked(streamed(video(5), memory=memory, **options)) - expected).abs().max() <= 1e-9


@pytest.mark.parametrize("options", [{}, {"frames_per_step": 2}], ids=str)
def test_deepstack_goes_with_the_tokens_that_enter(options):
    """Dropped tokens gone, the stream equals one stock forward over those that are left."""
    streamed(video(8), memory=TokenDroppingMemory(ratio=0.5), **options)
    frames, hidden = zip(*adapter().steps, strict=True)
    visual = torch.cat([frame.visual_mask() for frame in frames], 1)
    assert visual.sum() == 6 + 3 * 3
    levels = [frame.extras[DEEPSTACK][frame.visual_mask()] for frame in frames if frame.extras]
    with torch.no_grad():
        expected = adapter().decoder(
            inputs_embeds=torch.cat([frame.embeds for frame in frames], 1),
            position_ids=torch.cat([frame.positions for frame in frames], 2),
            visual_pos_masks=visual,
            deepstack_visual_embeds=torch.cat(levels).unbind(1),
        )
    expected = expected.last_hidden_state
    assert (torch.cat(hidden, 1) - expected).abs().max() <= 1e-9


def test_a_batch_of_videos_equals_each_alone():
    first, second = patches(adapter(), 1, 2), patches(adapter(), 3, 4)
    both = []
    for a, b in zip(first, second, strict=True):
        both.append(
            FrameTokens(
                embeds=torch.cat([a.embeds, b.embeds]),
                positions=torch.cat([a.positions, b.positions], 1),
                visual=torch.cat([a.visual_mask(), b.visual_mask()]),
                extras={DEEPSTACK: torch.cat([a.extras[DEEPSTACK], b.extras[DEEPSTACK]])},
            )
        )
    together = []
    for frames in (both, first, second):
        session = VideoSession(adapter(), StateKVMemory(9))
        session.push(frames)
        together.append(asked(session))
    assert (together[0] - torch.cat(together[1:])).abs().max() <= 1e-9


# Positions


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_turned_keys_equal_keys_computed_at_the_new_positions(dtype):
    model = adapter()
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(2, 2, 5, model.spec.head_dim, generator=generator, dtype=dtype)
    old, delta = (torch.randint(0, 60, (3, 2, 2, 5), generator=generator) for _ in range(2))
    turned = model.rotate(rotated(model, keys, old), delta - 30, 1000)
    assert turned.dtype == dtype
    assert (turned - rotated(model, keys, old + delta - 30)).abs().max() <= 1e-4
    assert (turned - rotated(model, keys, old)).abs().max() > 0.1
    for axis in range(3):
        one = torch.zeros_like(delta)
        one[axis] = 7
        assert (model.rotate(keys, one, 1000) - keys).abs().max() > 0.1


def rotated(model: Qwen3VL, keys: Tensor, positions: Tensor) -> Tensor:
    """[B, K, S, D] keys at positions [3, B, K, S], turned by the model's own embedding."""
    cos, sin = model.decoder.rotary_emb(keys.double()[:1, :1], positions.flatten(1, 2))
    cos, sin = cos.view(keys.shape), sin.view(keys.shape)
    first, second = keys.double().chunk(2, -1)
    return (keys.double() * cos + torch.cat([-second, first], -1) * sin).to(keys.dtype)


def test_a_patch_takes_as_many_positions_as_its_longer_side():
    session = streamed(video(4))
    positions = session.archive.columns["positions"].joined()
    assert positions.shape == (3, 1, session.cursor.tokens)
    visual = session.archive.columns["visual"].joined()[0]
    time, height, width = positions[:, 0, visual][:, :6] - positions[0, 0, visual][0]
    assert time.tolist() == [0] * 6
    assert height.tolist() == [0, 0, 0, 1, 1, 1]
    assert width.tolist() == [0, 1, 2] * 2
    assert session.cursor.position == session.cursor.tokens - 2 * (6 - 3)
