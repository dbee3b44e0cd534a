"""One video in progress: frames are pushed, questions asked. The only loop over frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import verify
from .admission import admit_frames
from .answer import Answer
from .archive import Archive, PlainArchive
from .attention import implementation_for
from .checks import DeferredChecks
from .costs import StepCost, Timer
from .frame_tokens import Cursor, FrameTokens, as_frame_tokens
from .intake import encode_pending, queue_images
from .memory import CrossFrameMemory, require_count
from .model import VideoModel
from .probe import run_probe
from .ragged import unpack
from .reader import ReadAll, Reader
from .slots import Slots
from .state import StreamState, empty_slots
from .step import AskStep, PushStep, StepColumns
from .storage import ArchiveStorage, Mark


class VideoSession:
    """A stream through a frozen model, with a memory for later frames and an archive for answers.

    Args:
        model: an adapter.
        memory: what later frames may attend to.
        archive: how the KV of all frames is kept; as it is by default.
        reader: what a question reads; the whole archive by default.
        in_frame: "causal", or "bidirectional" inside each frame (not equal to the stock model).
        frames_per_step: temporal patches that pass the decoder together.
        max_tokens: planned length of the stream, questions and answers included; fixes the RoPE
            scaling for the whole session. None is the range the model was trained for.
        attention: "auto", "plain", "chunked" or "sdpa", see `attention.py`.

    Raises:
        ValueError: for settings that cannot work, naming the value.
    """

    def __init__(
        self,
        model: VideoModel,
        memory: CrossFrameMemory,
        *,
        archive: Archive | None = None,
        reader: Reader | None = None,
        in_frame: str = "causal",
        frames_per_step: int = 1,
        max_tokens: int | None = None,
        attention: str = "auto",
    ) -> None:
        verify.check_settings(in_frame, frames_per_step, max_tokens, archive, reader)
        self.model, self.memory, self.reader = model, memory, reader or ReadAll()
        self.in_frame, self.frames_per_step = in_frame, frames_per_step
        self.max_tokens = max_tokens or model.trained_tokens
        self.attention = implementation_for(attention, memory.needs_mass)
        self.costs: list[StepCost] = []
        self._state = StreamState()
        self._archive = ArchiveStorage(archive or PlainArchive(), model.spec.num_layers)
        self._checks = DeferredChecks()

    @property
    def cursor(self) -> Cursor:
        """Tokens, frames and positions seen so far."""
        return self._state.cursor

    @property
    def archive(self) -> ArchiveStorage:
        """The KV of all frames, kept for answering."""
        return self._archive

    @property
    def state_bytes(self) -> int:
        """Bytes held for later frames."""
        return self._state.bytes_held

    def slots(self, layer: int) -> Slots:
        """The carried slots of one layer; empty before the first push."""
        if not self._state.layers:
            return empty_slots(self.model, 1, range(self.model.spec.num_layers)[layer])
        return unpack(self._state.layers[layer])

    @torch.no_grad()
    def push(self, frames: object, timestamps: Sequence[float] | float | None = None) -> None:
        """Let frames pass the decoder; all of them, or on an error none.

        Args:
            frames: `FrameTokens` or a sequence of them; or images: uint8 [frames, height, width,
                3], PIL images, or a sequence of those. Images that do not fill a temporal patch
                wait for the next push.
            timestamps: seconds, one per image.

        Raises:
            ValueError: for bad input, naming the value; the session stays as it was.
        """
        with self._undone_on_error():
            tokens = as_frame_tokens(frames, timestamps, len(self._state.pending))
            if tokens is None:
                self._state = queue_images(self._state, frames, timestamps)
                self._pass_pending(self.model.frames_per_patch)
            else:
                for start in range(0, len(tokens), self.frames_per_step):
                    self._step(tokens[start : start + self.frames_per_step])

    def ask(
        self,
        question: str | Tensor | Sequence[int],
        *,
        max_new_tokens: int = 256,
        **generation: Any,
    ) -> Answer:
        """Answer a question about the video so far; the session stays as it was.

        Args:
            question: text, put into the model's prompt; or the ids of all tokens that follow the
                video, [tokens] or [1, tokens].
            max_new_tokens: most tokens of the answer.
            generation: passed on to transformers' `generate` (sampling, stopping, `streamer`, ...).

        Raises:
            ValueError: before the first push, for batches, past `max_tokens`.
        """
        require_count("ask", "max_new_tokens", max_new_tokens, least=1, unbounded=False)
        with torch.no_grad(), self._settled():
            is_text = isinstance(question, str)
            token_ids = (
                self.model.question_ids(question) if is_text else verify.as_token_ids(question)
            )
            verify.check_single(token_ids.shape[0], self._batch)
            reading, positions = self._read(token_ids, max_new_tokens)
            made = self.model.generate(
                token_ids.to(self.model.device),
                positions,
                reading,
                max_tokens=self.max_tokens,
                max_new_tokens=max_new_tokens,
                **generation,
            )
        return Answer(self.model.text(made.token_ids), made.token_ids, made.first_logits)

    @torch.no_grad()
    def question_logits(self, token_ids: Tensor | Sequence[int]) -> Tensor:
        """[B, tokens, vocab] logits over the text that follows the video; what `ask` decodes from.

        Args:
            token_ids: [tokens] or [B, tokens].
        """
        with self._settled():
            ids = verify.as_token_ids(token_ids, self._batch).to(self.model.device)
            reading, positions = self._read(ids, 0)
            text = FrameTokens(self.model.embed(ids), positions)
            return self.model.logits(self.model.step(text, reading, self.max_tokens))

    def fork(self, *, reader: Reader | None = None) -> VideoSession:
        """An independent session that has seen the same stream, with another reader if given;
        copies nothing until one of them appends."""
        twin = VideoSession.__new__(VideoSession)
        twin.__dict__.update(self.__dict__)
        twin.reader = reader or self.reader
        twin.costs = list(self.costs)
        twin._archive = self._archive.fork()
        twin._checks = self._checks.fork()
        return twin

    def save(self, path: str | Path) -> None:
        """Write the whole session into one safetensors file, see `saving.py`."""
        from .saving import save_session

        save_session(self, path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: VideoModel,
        memory: CrossFrameMemory | None = None,
        reader: Reader | None = None,
        archive: Archive | None = None,
    ) -> VideoSession:
        """Continue a saved session on the same model; `costs` start anew.

        Args:
            memory, reader, archive: instead of the saved ones, whose classes are imported by name.
        """
        from .saving import load_session

        return load_session(path, model, memory, reader, archive)

    @property
    def state(self) -> StreamState:
        """Everything that changes, apart from the archive; read it, do not write into it."""
        return self._state

    def check(self) -> None:
        """Raise what accelerators found wrong and could not say without waiting."""
        self._checks.raise_failed()

    def resume(self, state: StreamState, archive: ArchiveStorage) -> None:
        """Continue from another point: how `load` fills a new session."""
        self._state = state
        self._archive = archive

    @property
    def _batch(self) -> int:
        return self._state.batch or 1

    def _pass_pending(self, least: int) -> None:
        """Let waiting images pass while at least `least` of them are left."""
        if self.cursor.tokens == 0:
            prompt = self.model.prologue(self.cursor)
            if prompt is not None:
                self._step([prompt])
        while len(self._state.pending) >= least:
            timer = Timer(self.model.device)
            self._state, frames = encode_pending(
                self.model, self._state, least=least, most=self.frames_per_step
            )
            self._step(frames, encode=timer.stop())

    def _step(self, frames: Sequence[FrameTokens], encode: Timer | None = None) -> None:
        """The one decoder step: some frames through all layers, then the memory's update."""
        timer = Timer(self.model.device)
        batch = self._state.batch or frames[0].batch
        verify.check_frames(frames, self.cursor, batch, self.model, self._checks)
        self._state, entering = admit_frames(frames, self.memory, self._state)
        joined = entering.tokens
        verify.check_stream(self.memory, self._state, self.max_tokens)
        step = PushStep(
            self.model,
            self._state.carried(self.model, joined.batch),
            StepColumns.of(joined, entering.index, entering.frame, self.model.device),
            self._archive,
            needs_mass=self.memory.needs_mass,
            bidirectional=self.in_frame == "bidirectional",
            implementation=self.attention,
            max_tokens=self.max_tokens,
        )
        passed = step.run(joined)
        probed = run_probe(self.memory, self.model, passed, self._state, self.max_tokens)
        layers = self.memory.update_layers(passed)
        verify.check_layers(
            self.memory, layers, len(passed), self._state, self._checks, self.max_tokens
        )
        self._state = self._state.carry(layers)
        held, archived = self._state.bytes_held, self._archive.bytes_held
        flops = step.flops + probed
        self.costs.append(StepCost(joined.num_tokens, flops, held, archived, timer.stop(), encode))

    def _read(self, token_ids: Tensor, max_new_tokens: int) -> tuple[AskStep, Tensor]:
        batch, count = token_ids.shape
        room = count + max_new_tokens
        verify.check_question(self.memory, self.reader, self._state, room, self.max_tokens)
        positions = self.model.text_positions(self.cursor, batch, count)
        options = {"asked_at": positions, "room": room, "max_tokens": self.max_tokens}
        carried = self._state.carried(self.model, batch)
        return AskStep(self.model, carried, self._archive, self.reader, **options), positions

    @contextmanager
    def _undone_on_error(self) -> Iterator[None]:
        back = self._checkpoint()
        try:
            yield
        except BaseException:
            self._restore(*back)
            raise

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Pending frames treated as if the video ended here, and undone afterwards."""
        if self.cursor.tokens == 0 and not self._state.pending:
            raise ValueError("nothing has been pushed yet: push at least one frame before asking")
        self.check()
        back = self._checkpoint()
        try:
            self._pass_pending(1)
            self.check()
            yield
        finally:
            self._restore(*back)

    def _checkpoint(self) -> tuple[StreamState, Mark, int, int]:
        return self._state, self._archive.mark(), len(self.costs), len(self._checks)

    def _restore(self, state: StreamState, archived: Mark, costs: int, checks: int) -> None:
        self._state = state
        self._archive.restore(archived)
        del self.costs[costs:]
        self._checks.truncate(checks)
