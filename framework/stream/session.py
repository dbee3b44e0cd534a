"""One video in progress: frames are pushed, questions asked. The only loop over frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Self, overload

import torch
from torch import Tensor

from ..archives.codec import Archive, PlainArchive
from ..archives.reader import ReadAll, Reader
from ..archives.storage import ArchiveStorage
from ..attention.attend import choose
from ..attention.reductions import require_reductions
from ..counts import require_count
from ..frame_tokens import FrameTokens
from ..memory import CrossFrameMemory
from ..model import Answer, VideoModel
from ..token_ids import are_several, as_token_ids
from . import verify
from .admission import admit_frames
from .asking import answer_each, answer_one, opened
from .chat import Chat
from .checks import DeferredChecks
from .costs import StepCost, StepCosts, Timer
from .encoding import Encoded, check_waiting, encode_frames, in_steps, take_in
from .gradients import with_gradients_if_asked
from .kinds import require_kinds, updated
from .origin import planned_length
from .probe import run_probe
from .progress import Progress
from .rebase import settle_origin
from .saving import load_session, save_session
from .session_view import SessionView
from .state import StreamState
from .step import PushStep, place_of
from .turns import Turns, in_turn

Question = str | Tensor | Sequence[int]
# A list may hold what its type says only.
Questions = list[str] | list[Tensor] | list[list[int]] | list[Question]


class VideoSession(SessionView):
    """A stream through a frozen model, with a memory for later frames and an archive for answers.

    One call at a time: a push or a question while another is going on, in another thread or inside
    a streamer, raises RuntimeError and changes neither. A copy, deep or not, is a fork, which does
    not copy the frozen model; pickling is refused, as it would write the model's weights.

    Args:
        model: an adapter.
        memory: what later frames may attend to.
        archive: how the KV of all frames is kept; as it is by default.
        reader: what a question reads; the whole archive by default.
        in_frame: "causal", or "bidirectional" inside each frame (not equal to the stock model).
        frames_per_step: temporal patches that pass the decoder together.
        max_tokens: planned length of the stream, questions and answers included, at most 2**22;
            fixes the RoPE scaling for the whole session. None: the range the model was trained for.
        attention: "auto", "plain", "chunked", "sdpa" or "flex", see `attention.attend.choose`; for
            frames, questions and the memory's probe alike.
        cost_history: newest steps whose costs are kept one by one; None: all of an ending stream.
        gradients: let autograd follow `push` and `question_logits` where torch has it enabled, to
            train a memory: through embeddings, carried slots, mass and reductions, but for
            "output_change". What is archived is a copy without gradients, so read what is carried
            (`ReadCarried`). Not saved.

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
        cost_history: int | None = 10_000,
        gradients: bool = False,
    ) -> None:
        require_kinds(model, memory, archive, reader)
        verify.check_settings(in_frame, frames_per_step, max_tokens, cost_history, archive, reader)
        require_reductions(type(memory).__name__, memory.reductions)
        self.model, self.memory, self.reader = model, memory, reader or ReadAll()
        self.in_frame, self.frames_per_step = in_frame, frames_per_step
        self.max_tokens = planned_length(max_tokens, model.trained_tokens)
        choose(attention, memory.needs_mass, memory.reductions, place=place_of(model))
        self.attention, self.gradients = attention, gradients
        storage = ArchiveStorage(archive or PlainArchive(), model.spec.num_layers)
        self._turns = Turns("this session")
        self._now = Progress(StreamState(), storage, StepCosts(cost_history), DeferredChecks())

    @in_turn
    @with_gradients_if_asked
    def push(
        self,
        frames: object,
        timestamps: Sequence[float] | float | None = None,
        *,
        return_hidden: bool = False,
    ) -> Tensor | None:
        """Let frames pass the decoder; all of them, or on an error none.

        Args:
            frames: `FrameTokens` or a sequence of them; or images: uint8 [frames, height, width,
                3], PIL images, or a sequence of those; of several videos side by side, see
                `stack_videos`, [videos, frames, height, width, 3]. Images that do not fill a
                temporal patch wait for the next push. Or, to a text decoder, `TextFrames` or some
                of its frames. Or what `encode_frames` gave, whose time counts as if encoded here.
            timestamps: seconds, one per image, never smaller than one before; videos share them.
            return_hidden: give what the decoder made of the tokens, from which `model.logits`
                predicts those behind them.

        Returns:
            None, or [B, tokens, hidden] of the last layer for the tokens that entered the decoder
            during this push, in order; None also where frames only wait.

        Raises:
            ValueError: for bad input, naming the value; the session stays as it was.
            RuntimeError: while another call is going on.
        """
        self._now.checks.raise_many()
        now = self._now.draft(keep_hidden=return_hidden)
        state, encoded = take_in(self.model, now.state, frames, timestamps)
        now = self._pass(now.at(state), encoded)
        check_waiting(self.model, now.state)
        self._now = replace(now, hidden=None)
        return torch.cat(now.hidden, 1) if now.hidden else None

    @overload
    def ask(
        self, question: Question, *, max_new_tokens: int = 256, **generation: Any
    ) -> Answer: ...

    @overload
    def ask(
        self, question: Questions, *, max_new_tokens: int = 256, **generation: Any
    ) -> list[Answer]: ...

    @in_turn
    @torch.no_grad()
    def ask(
        self,
        question: Question | Questions,
        *,
        max_new_tokens: int = 256,
        **generation: Any,
    ) -> Answer | list[Answer]:
        """Answer a question about the video so far; the session stays as it was.

        Args:
            question: text, put into the model's prompt; or the ids of all tokens that follow the
                video, [tokens] or [1, tokens]. Of a batch a list, a question for each video.
            max_new_tokens: most tokens of an answer.
            generation: passed on to transformers' `generate` (sampling, stopping, `streamer`, ...).

        Returns:
            The answer; of a list their list, decoded together: the greedy ones are those that each
            video would have got in a session of its own.

        Raises:
            ValueError: before the first push, past `max_tokens`; for one question about a batch, or
                questions of different lengths where their padding would be seen.
            RuntimeError: while another call is going on.
        """
        require_count("ask", "max_new_tokens", max_new_tokens, least=1, unbounded=False)
        now = self._settled()
        if are_several(question):
            return answer_each(self, now, question, max_new_tokens, generation)
        return answer_one(self, now, question, max_new_tokens, generation)

    def chat(self) -> Chat:
        """A new conversation about this session, however long it goes on, see `Chat`."""
        return Chat(self)

    @in_turn
    @with_gradients_if_asked
    def question_logits(self, token_ids: Tensor | Sequence[int]) -> Tensor:
        """[B, tokens, vocab] logits over the text, [tokens] or [B, tokens], that follows the video;
        what `ask` decodes from."""
        now = self._settled()
        ids = as_token_ids(token_ids, self.model.spec.vocab, now.state.batch or 1)
        ids = ids.to(self.model.device)
        reading, angles = opened(self, now, ids, 0)
        text = FrameTokens(self.model.embed(ids), angles)
        hidden = self.model.step(text, reading, self.max_tokens, reading.recurrent)
        return self.model.logits(hidden)

    def fork(self, *, reader: Reader | None = None) -> Self:
        """An independent session that has seen the same stream, with another reader if given;
        copies nothing until one of them appends. In the middle of a push, it is one before that.

        Raises:
            ValueError: for what is no reader, or one of an archive that keeps nothing.
        """
        require_kinds(self.model, self.memory, None, reader)
        verify.check_reader(self.archive.codec, reader or self.reader)
        twin = type(self).__new__(type(self))
        vars(twin).update(vars(self))
        twin.reader = reader or self.reader
        twin._turns, twin._now = Turns("this session"), self._now.fork()
        return twin

    def __copy__(self) -> Self:
        return self.fork()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self.fork()

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"a {name} cannot be pickled, as its model would be too: write it with .save(path) and "
            f"read it with {name}.load(path, model)"
        )

    def save(self, path: str | Path) -> None:
        """Write the whole session into one safetensors file, see `saving.py`."""
        save_session(self, path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: VideoModel,
        memory: CrossFrameMemory | None = None,
        reader: Reader | None = None,
        archive: Archive | None = None,
        *,
        trusted: Sequence[type] = (),
    ) -> VideoSession:
        """Continue a saved session on the same model; `costs` start anew. See `saving.py`.

        Args:
            memory, reader, archive: instead of the saved ones.
            trusted: your own classes that the file may name; of others only crossframe's load.
        """
        return load_session(VideoSession, path, model, memory, reader, archive, trusted)

    def _pass(self, now: Progress, encoded: Iterator[Encoded]) -> Progress:
        """Let prompt and temporal patches pass, so many at a time."""
        for parts in in_steps(encoded, self.frames_per_step):
            now = self._step(now, parts)
        return now

    def _step(self, now: Progress, parts: Sequence[Encoded]) -> Progress:
        """The one decoder step: some frames through all layers, then the memory's update."""
        timer, frames = Timer(self.model.device), [part.tokens for part in parts]
        images = sum(part.images for part in parts)
        state = replace(now.state, pending=now.state.pending[images:])
        batch = state.batch or frames[0].batch
        verify.check_frames(frames, state.cursor, batch, self.model, now.checks)
        state, entering = admit_frames(frames, self.memory, state)
        joined = entering.tokens
        state = settle_origin(state, joined, self.memory, self.max_tokens)
        bidirectional = self.in_frame == "bidirectional"
        options = {"memory": self.memory, "attention": self.attention}
        options |= {"bidirectional": bidirectional, "max_tokens": self.max_tokens}
        step = PushStep(self.model, state, entering, now.archive, **options)
        hidden = step.run()
        passed = step.joined
        # A probe reads what the frame left in layers without KV, too.
        behind = replace(state, recurrent=step.recurrent)
        probed = run_probe(self.memory, self.model, passed, behind, self.max_tokens, self.attention)
        layers = updated(self.memory, passed)
        verify.check_layers(self.memory, layers, len(passed), state, now.checks, self.max_tokens)
        state = state.carry(layers, step.finite, step.recurrent)
        cost = StepCost(
            joined.num_tokens,
            step.flops + probed,
            state.bytes_held,
            now.archive.bytes_held,
            timer.stop(),
            tuple(part.timer for part in parts if part.timer is not None),
            images,
            frames[0].timestamp,
            step.backend.name,
            state.archived_bytes,
        )
        return now.at(state).passed(cost, hidden)

    def _settled(self) -> Progress:
        """Where the session would stand if the video ended here, with pending frames passed."""
        now = self._now
        if now.state.cursor.tokens == 0 and not now.state.pending:
            raise ValueError("nothing has been pushed yet: push at least one frame before asking")
        now.checks.raise_failed()
        waiting = encode_frames(self.model, now.state.pending, now.state.cursor)
        now = self._pass(now.draft(), waiting)
        now.checks.raise_failed()
        return now
