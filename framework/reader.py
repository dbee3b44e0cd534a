"""What a question reads of the archive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from .slots import Slots
from .storage import LayerArchive


class Reader(ABC):
    """A rule for what an answer attends to: a frozen dataclass of settings, without tensors."""

    @abstractmethod
    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        """The slots that the question and its answer attend to, in one layer.

        Called once per layer and `ask`, and reused while decoding.

        Args:
            queries: [B, H, tokens, D], the question's query vectors in this layer.
            archive: the KV of all frames of this layer, unpacked only when asked for.
            carried: the slots the memory holds after the last frame.
        """


@dataclass(frozen=True)
class ReadAll(Reader):
    """The whole archive, as in the StateKV paper; without a copy if the archive is plain."""

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        del queries, carried
        return archive.slots()
