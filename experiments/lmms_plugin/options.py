"""What `--model_args` may say: one model, one memory, one way to sample frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ...framework import VideoModel
from ...framework.counts import require_count
from ..streaming.cells import Cell
from ..streaming.options import ModelOptions
from ..streaming.rule_text import archive_from, memory_from, reader_from
from ..streaming.sampling import FrameSampling

NAME = "lmms-eval's --model_args"
KINDS = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


@dataclass(frozen=True)
class PluginOptions:
    """One cell and the model it runs on.

    Args:
        pretrained: the checkpoint's folder or hub name.
        memory, reader, archive: as on our own command line: `statekv(capacity=4096)`.
        frames_per_step, in_frame, attention: of the session, see `VideoSession`.
        fps, max_frames, sampling: which frames are shown, see `FrameSampling`.
        max_tokens: planned length of a stream; None is what each needs.
        max_new_tokens: of replies to tasks that set no length.
        system: the system turn; None is the model's own.
        layout, dtype: see `ModelOptions`.
        adapter: further options of the model's adapter, a JSON object.
        strict: stop at a video that cannot be read, instead of giving an empty reply, and at a
            frame that FFmpeg flags as damaged, instead of a warning.

    Raises:
        ValueError: for settings that cannot work, naming them.
    """

    pretrained: str
    memory: str = "statekv"
    reader: str = "all"
    archive: str = "plain"
    frames_per_step: int = 1
    in_frame: str = "causal"
    attention: str = "auto"
    fps: float = 1.0
    max_frames: int | None = 512
    sampling: str = "centres"
    max_tokens: int | None = None
    max_new_tokens: int = 256
    system: str | None = None
    layout: str | None = None
    dtype: str | None = None
    adapter: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        require_count(NAME, "max_new_tokens", self.max_new_tokens, least=1, unbounded=False)
        require_count(NAME, "max_tokens", self.max_tokens, least=1)
        require_count(NAME, "frames_per_step", self.frames_per_step, least=1, unbounded=False)

    @classmethod
    def parsed(cls, given: Mapping[str, Any]) -> Self:
        """From what lmms-eval makes of its text: words, numbers, True and False; quotes stay."""
        types = {field.name: str(field.type) for field in fields(cls)}
        unknown = sorted(given.keys() - types.keys())
        if unknown or "pretrained" not in given:
            wrong = f"unknown {', '.join(unknown)}" if unknown else "pretrained is missing"
            raise ValueError(f"{NAME}: {wrong}; there are {', '.join(types)}")
        return cls(**{name: _value(name, value, types[name]) for name, value in given.items()})

    def cell(self) -> Cell:
        """Memory, reader, archive and session settings."""
        return Cell(
            memory_from(self.memory),
            reader_from(self.reader),
            archive_from(self.archive),
            self.frames_per_step,
            self.in_frame,
            self.attention,
        )

    def frames(self) -> FrameSampling:
        """Which moments of a video are shown."""
        return FrameSampling(self.fps, self.max_frames, self.sampling)

    def load(self, device: str) -> VideoModel:
        """The adapter, ready for sessions."""
        adapter = _settings(self.adapter) if self.adapter is not None else None
        return ModelOptions(self.pretrained, self.layout, device, self.dtype, adapter).load()


def _value(name: str, value: Any, wanted: str) -> Any:
    """One value as its option wants it; a word in quotes is the word."""
    kind, _, optional = wanted.partition(" | ")
    if isinstance(value, str):
        text = value.strip()
        if optional and text.lower() in ("none", "null"):
            return None
        value = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
    if kind == "str":
        return str(value)
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise ValueError(f"{NAME}: {name} is {value!r}, but must be {wanted.replace('|', 'or')}")
    return value


def _settings(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{NAME}: adapter {text!r} is not JSON ({error})") from error
    if not isinstance(options, dict):
        raise ValueError(f"{NAME}: adapter must be a JSON object, got {text!r}")
    return options
