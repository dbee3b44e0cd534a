"""What the plug-in makes of lmms-eval's arguments and requests, without lmms-eval."""

import importlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from crossframe.experiments.lmms_plugin.answering import Generation
from crossframe.experiments.lmms_plugin.harness import the_video
from crossframe.experiments.lmms_plugin.options import PluginOptions

ROOT = Path(__file__).resolve().parents[3]

# Arguments


def test_arguments_are_read_as_lmms_eval_splits_them() -> None:
    """It splits at commas outside quotes and braces, makes numbers, and leaves quotes on."""
    assert PluginOptions.parsed(
        {
            "pretrained": "some/where",
            "memory": '"drop(inner=statekv, ratio=0.5)"',
            "reader": "'all'",
            "fps": 2,
            "max_frames": "None",
            "max_tokens": "null",
            "system": 7,
            "adapter": '{"planned_frames": 4}',
            "strict": True,
        }
    ) == PluginOptions(
        "some/where",
        memory="drop(inner=statekv, ratio=0.5)",
        fps=2,
        max_frames=None,
        system="7",
        adapter='{"planned_frames": 4}',
        strict=True,
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "pretrained is missing; there are pretrained, memory, "),
        ({"pretrained": "x", "capacity": 3}, "unknown capacity; there are pretrained, memory"),
        ({"pretrained": "x", "fps": "fast"}, "fps is 'fast', but must be float"),
        ({"pretrained": "x", "max_frames": 2.5}, "max_frames is 2.5, but must be int or None"),
        ({"pretrained": "x", "max_frames": True}, "max_frames is True, but must be int or None"),
        ({"pretrained": "x", "strict": 1}, "strict is 1, but must be bool"),
        ({"pretrained": "x", "frames_per_step": 0}, "frames_per_step"),
        ({"pretrained": "x", "max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_wrong_arguments(given: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"model_args.*{message}"):
        PluginOptions.parsed(given)


@pytest.mark.parametrize("adapter", ["{planned_frames: 4}", "[4]"])
def test_wrong_adapter_options(checkpoint: Path, adapter: str) -> None:
    with pytest.raises(ValueError, match="adapter"):
        PluginOptions(str(checkpoint), adapter=adapter).load("cpu")


def test_wrong_memory_or_sampling_is_told_before_any_video(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="reader or archive is called 'statekb'"):
        PluginOptions(str(checkpoint), memory="statekb").cell()
    with pytest.raises(ValueError, match="rule must be one of"):
        PluginOptions(str(checkpoint), sampling="random").frames()


# Requests


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, {"do_sample": False}),
        ({"temperature": 0, "top_p": 1.0}, {"do_sample": False}),
        ({"temperature": 0, "do_sample": True}, {"do_sample": False}),
        ({"temperature": 0.7, "do_sample": False}, {"do_sample": False}),
        ({"temperature": 0.7}, {"do_sample": True, "temperature": 0.7}),
        ({"do_sample": True, "top_p": 0.9, "top_k": None}, {"do_sample": True, "top_p": 0.9}),
        ({"num_beams": 1}, {"do_sample": False, "num_beams": 1}),
        ({"image_aspect_ratio": "pad"}, {"do_sample": False}),
    ],
)
def test_generation_options(given: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    assert dict(Generation.of(given, 9).options) == options


def test_length_and_stop_texts() -> None:
    generation = Generation.of({"max_new_tokens": 3, "until": ["\n\n", "Q:", "."]}, 9)
    assert (generation.max_new_tokens, generation.until) == (3, ("Q:", "."))
    assert generation.cut("It is B. Or Q: what") == "It is B"
    assert Generation.of({}, 9) == Generation(9, (), (("do_sample", False),))
    assert Generation.of({"until": "END"}, 9).cut("one\n\ntwo") == "one\n\ntwo"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_length": 3}, "max_length mean nothing here; known are do_sample"),
        ({"until": 3}, "until must be a text or a list"),
        ({"until": ["a", 3]}, "until must be a text or a list"),
    ],
)
def test_wrong_generation_options(given: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Generation.of(given, 9)


def test_one_video_is_taken() -> None:
    assert the_video(["some/clip.MP4"]) == Path("some/clip.MP4")
    assert the_video(("clip",)) == Path("clip")


@pytest.mark.parametrize(
    ("visuals", "message"),
    [
        (None, "shows nothing, it is text alone"),
        ([], "shows nothing, it is text alone"),
        (["a.mp4", "b.mp4"], "shows 2 x video"),
        ([Image.new("RGB", (4, 4))] * 3, "shows 3 x picture \\(Image\\)"),
        (["a.png"], "shows 1 x picture"),
        ([{"array": [0.0], "sampling_rate": 16000}], "shows 1 x sound"),
        (["a.mp4", "a.WAV"], "shows 1 x video, 1 x sound"),
        ([{"url": "a.mp4", "video_start": 3}], "shows 1 x mapping of url, video_start"),
        (["https://host/a.mp4"], "shows 1 x address"),
    ],
)
def test_what_is_not_one_video_is_refused(visuals: object, message: str) -> None:
    with pytest.raises(ValueError, match=message + ".*; crossframe answers questions about one"):
        the_video(visuals)


# The entry point


def test_the_entry_point_names_a_function() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = project["entry-points"]["lmms_eval.models"]["crossframe"].partition(":")
    assert callable(vars(importlib.import_module(module))[name])


def test_every_option_is_known_to_the_page() -> None:
    page = (ROOT / "docs/lmms-eval.md").read_text("utf-8")
    missing = [name for name in vars(PluginOptions("x")) if f"`{name}`" not in page]
    assert not missing
