"""Eagle2.5's prompt and pixels for one video, as its released processor makes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen2Tokenizer

from ...framework.model import Message
from ..checkpoints.faults import explained
from ..checkpoints.shards import read_json
from ..prompt import refuse_pictures
from .checkpoint import read_config

SYSTEM = "You are a helpful assistant."
START, END, CONTEXT = "<img>", "</img>", "<IMG_CONTEXT>"
SPECIAL_TOKENS = (START, END, CONTEXT, "<|im_start|>", "<|im_end|>")
# How transformers names tokenizers of no family, before and since release 5.
PLAIN = ("PreTrainedTokenizerFast", "TokenizersBackend")
# What the released processor replaces by pictures, or would count as one.
PICTURES = re.compile(rf"{CONTEXT}|<(image|video)-\d+>")


class Eagle2_5Processor:
    """From frames and a question to the whole prompt; the adapter takes the pieces one by one.

    Args:
        tokenizer: Qwen2's with Eagle2.5's special tokens; their ids are looked up by string.
        image_size: side of the one tile a frame becomes, in pixels.
        tokens_per_frame: visual tokens of one frame.
        system: the system turn.

    Raises:
        ValueError: if the tokenizer lacks a special token, naming it.

    Example:
        inputs = processor(frames, "What happens?", timestamps=[0.0, 0.5], fps=2.0)
        model(**inputs).logits
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        image_size: int = 448,
        tokens_per_frame: int = 256,
        system: str = SYSTEM,
    ) -> None:
        self.tokenizer = tokenizer
        self.image_size, self.tokens_per_frame, self.system = image_size, tokens_per_frame, system
        for token in SPECIAL_TOKENS:
            if len(self.tokenize(token)) != 1:
                raise ValueError(
                    f"the tokenizer has no special token {token}: load the tokenizer of an "
                    "Eagle2.5 checkpoint"
                )
        self.image_token_id = self.tokenize(CONTEXT)[0]

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, system: str = SYSTEM) -> Eagle2_5Processor:
        """Of a checkpoint's folder, from its tokenizer files and config.json."""
        config = read_config(Path(folder))
        family = _tokenizer_class(Path(folder))
        with explained(f"the tokenizer of {family.__name__} in {folder}"):
            tokenizer = family.from_pretrained(folder)
        sizes = {"image_size": config.force_image_size, "tokens_per_frame": config.tokens_per_frame}
        return cls(tokenizer, system=system, **sizes)

    def with_system(self, system: str) -> Eagle2_5Processor:
        """The same processor with another system turn.

        Raises:
            ValueError: if it holds what stands for pictures.
        """
        _refuse_pictures(system, "system turn")
        twin = copy(self)
        twin.system = system
        return twin

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer files; the sizes stand in the model's config.json."""
        self.tokenizer.save_pretrained(folder)

    def __call__(
        self,
        frames: Tensor,
        question: str,
        *,
        timestamps: Sequence[float] | None = None,
        fps: float | None = None,
    ) -> dict[str, Tensor]:
        """The model's inputs for a whole video: input_ids [1, tokens] and pixel_values.

        Args:
            frames: [frames, height, width, 3] uint8 RGB.
            timestamps: seconds, one per frame.
        """
        text = self.prompt(question, timestamps or [None] * len(frames), fps)
        pixels = torch.cat([self.pixels(frame[None]) for frame in frames])
        return {"input_ids": torch.tensor([self.tokenize(text)]), "pixel_values": pixels}

    def pixels(self, frames: Tensor) -> Tensor:
        """[frames, 3, image_size, image_size] float32 in -1..1 of uint8 [frames, height, width, 3].

        Resized without regard to the aspect ratio. On the CPU, where uint8 bicubic with antialias
        rounds as the released processor does.
        """
        size = [self.image_size, self.image_size]
        video = frames.cpu().permute(0, 3, 1, 2)
        resized = resize(video, size, InterpolationMode.BICUBIC, antialias=True)
        return (resized / 255 - 0.5) / 0.5

    def prompt(self, question: str, timestamps: Sequence[float | None], fps: float | None) -> str:
        """The whole prompt around len(timestamps) frames, with every visual token spelled out."""
        picture = f"{START}{CONTEXT * self.tokens_per_frame}{END}"
        frames = [self.lead_in(n, time) + picture for n, time in enumerate(timestamps, 1)]
        return "".join([self.before_video(fps), *frames, self.after_video(question)])

    def before_video(self, fps: float | None) -> str:
        """System turn and header; without a known rate the header names none."""
        rate = "" if fps is None else f" sampled with {fps:.2f} fps"
        return (
            f"<|im_start|>system\n{self.system}<|im_end|>\n"
            f"<|im_start|>user\nThe first video{rate}: "
        )

    def lead_in(self, number: int, timestamp: float | None) -> str:
        """The text before frame `number`, counted from 1; without a timestamp it names none."""
        time = "" if timestamp is None else f" sample at {timestamp:.2f}s"
        return f"Frame {number}{time}: "

    def after_video(self, question: str) -> str:
        """The question, the end of its turn and the beginning of the answer's.

        Raises:
            ValueError: if the question holds what stands for pictures.
        """
        return self.conversation([{"role": "user", "content": question}])

    def conversation(self, messages: Sequence[Message]) -> str:
        """Question, answer, question, ... with the ends and beginnings of their turns.

        Raises:
            ValueError: if a turn holds what stands for pictures.
        """
        text = ""
        for message in messages:
            _refuse_pictures(message["content"], "question")
            following = "assistant" if message["role"] == "user" else "user"
            text += f"{message['content']}<|im_end|>\n<|im_start|>{following}\n"
        return text

    def tokenize(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)


def _tokenizer_class(folder: Path) -> type[PreTrainedTokenizerBase]:
    """Qwen2's, as released checkpoints have it, unless the folder says that its tokenizer.json is
    all there is to it."""
    path = folder / "tokenizer_config.json"
    named = read_json(path).get("tokenizer_class") if path.is_file() else None
    return PreTrainedTokenizerFast if named in PLAIN else Qwen2Tokenizer


def _refuse_pictures(text: str, what: str) -> None:
    refuse_pictures([match[0] for match in PICTURES.finditer(text)], what)
