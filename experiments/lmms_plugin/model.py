"""The class that lmms-eval makes and calls; importing it needs lmms-eval."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from lmms_eval.api.instance import (  # pyright: ignore[reportMissingImports]
    GenerationResult,
    Instance,
    TokenCounts,
)
from lmms_eval.api.model import lmms  # pyright: ignore[reportMissingImports]

from .answering import Answerer
from .harness import Harness
from .options import PluginOptions


class CrossframeModel(lmms):
    """Streams the frames of a request's video through a memory and asks the request's text.

    Requests about the same frames share one pass. Under `accelerate launch` or torchrun each
    process takes a device and its share of the requests.

    Args:
        batch_size, max_batch_size: 1; a session is one stream.
        device: of a single process; several take one each.
        settings: the fields of `PluginOptions`.

    Raises:
        ValueError: for settings that cannot work.
    """

    is_simple = True

    def __init__(
        self,
        batch_size: int | str | None = 1,
        max_batch_size: int | str | None = None,
        device: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if {str(batch_size), str(max_batch_size)} - {"1", "None"}:
            raise ValueError(
                f"crossframe asks one question at a time, got batch_size={batch_size!r}, "
                f"max_batch_size={max_batch_size!r}: leave them out"
            )
        options = PluginOptions.parsed(settings)
        self.accelerator = Accelerator()
        self._rank = self.accelerator.process_index
        self._world_size = self.accelerator.num_processes
        alone = self._world_size == 1
        self.device = torch.device(device if alone and device else self.accelerator.device)
        self._answerer: Answerer | None = Answerer(options.load(str(self.device)), options)

    @property
    def harness(self) -> Harness:
        """What answers requests.

        Raises:
            ValueError: after `clean`.
        """
        if self._answerer is None:
            raise ValueError("lmms-eval has cleaned this model away; make a new one")
        return Harness(self._answerer, self.task_dict, progress=self.rank == 0)

    def clean(self) -> None:
        """Give the memory back: lmms-eval may start a judge on the same device."""
        self._answerer = None
        super().clean()

    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        replies = self.harness.generate_until([request.args for request in requests])
        return [
            GenerationResult(reply.text, TokenCounts(reply.input_tokens, reply.output_tokens))
            for reply in replies
        ]

    def generate_until_multi_round(self, requests: list[Instance]) -> list[list[str]]:
        return self.harness.generate_until_multi_round([request.args for request in requests])

    def loglikelihood(self, requests: list[Instance]) -> list[GenerationResult]:
        # lmms-eval 0.7.3 makes a bare pair into text, which its own scoring cannot read, and leaves
        # what is in a GenerationResult alone.
        pairs = self.harness.loglikelihood([request.args for request in requests])
        return [GenerationResult(pair) for pair in pairs]
