"""What a question reads of the archive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from ..slots import Slots
from .storage import LayerArchive


class Reader(ABC):
    """A rule for what an answer attends to: a frozen dataclass of settings, without tensors.

    `framework.testing.check_reader` holds one to its laws.

    Attributes:
        needs_archive: False for a reader of nothing but what the memory carries.
        needs_queries: False for a reader that never looks at `queries`: only its questions may
            differ in length within a batch, as padding in front of shorter ones would be among
            them.
    """

    needs_archive: bool = True
    needs_queries: bool = True

    @abstractmethod
    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        """The slots that the question and its answer attend to, in one layer.

        Slots of `archive.slots` that are returned as they came, and are a run of the archive, are
        read without being unpacked as a whole: page by page where a plain archive lies on the
        layer's device, else in blocks. All others are held, unpacked, while the answer takes.

        Called once per layer and `ask`, with queries that have seen what earlier layers read, and
        reused while decoding. At least one slot must be left, in stream order; other `positions`
        and `valid` are read as those of a memory. Nothing given may be written into.

        Args:
            queries: [B, H, tokens, D], the question's query vectors in this layer, after RoPE.
            archive: the KV of all frames of this layer, unpacked only when asked for.
            carried: the slots the memory holds after the last frame.
        """

    def reach(self, carried: int | None, frame_tokens: int) -> int | None:
        """How far behind the question a slot it picks may stand, in positions.

        None: as far as the stream is long. A number lets questions be asked of streams that went
        on past the session's `max_tokens`.

        Args:
            carried: the memory's own reach.
            frame_tokens: tokens of the largest frame so far.
        """
        del carried, frame_tokens
        return None


@dataclass(frozen=True)
class ReadAll(Reader):
    """Read the whole archive, as in the StateKV paper.

    Rule: every archived token, at its position in the stream.

    Cost per question: attention over all tokens of the stream; no copy if the archive is plain, of
    other archives all is unpacked, once up to `Archive.kept_bytes`, beyond them for every token of
    the answer.
    Bytes read: the whole archive; of other archives two blocks are unpacked at a time.
    """

    needs_queries = False

    def read(self, queries: Tensor, archive: LayerArchive, carried: Slots) -> Slots:
        del queries, carried
        return archive.slots()
