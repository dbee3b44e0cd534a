"""Law 8 at the seam to transformers: nothing stays or is patched; and what `ask` passes on."""

import inspect
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, TextStreamer

from crossframe.framework import FullMemory, VideoSession
from crossframe.methods import RecencyMemory, StateKVMemory
from crossframe.models import DecoderModel, Eagle2_5, InternVL3
from crossframe.models.cache_layers import cache_argument
from crossframe.models.hf import HFDecoder
from crossframe.models.tiny import tiny_internvl, tiny_qwen2, tiny_tokenizer

from ..every import FAMILIES, Family
from .stock import processed
from .streams import token_ids, video

QUESTION = [7, 8, 9]
Fingerprint = Callable[[HFDecoder], dict[str, Any]]


def stock_logits(model: HFDecoder) -> Tensor:
    with torch.no_grad():
        if isinstance(model, DecoderModel):
            return model.hf_model(input_ids=token_ids(12, 5)).logits
        if isinstance(model, Eagle2_5):
            inputs: Any = model.processor(video(2), "?", timestamps=[0.0, 0.5])
        else:
            inputs = processed(model, video(2), "?", fps=2.0)
        return model.hf_model(**inputs).logits


@pytest.fixture(scope="module")
def qwen() -> DecoderModel:
    return DecoderModel(tiny_qwen2(), tiny_tokenizer())


@pytest.fixture(scope="module")
def internvl() -> InternVL3:
    return InternVL3(*tiny_internvl())


@pytest.fixture
def session(internvl: InternVL3) -> VideoSession:
    session = VideoSession(internvl, FullMemory())
    session.push(video(2))
    return session


# Nothing stays


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["decoder", *FAMILIES])
def test_nothing_is_left_on_the_model(name, implementation, fingerprint: Fingerprint):
    model: Any = DecoderModel(tiny_qwen2())
    if name != "decoder":
        model = FAMILIES[name].shipped(*FAMILIES[name].tiny()).for_stream(4)
    model.hf_model.set_attn_implementation(implementation)
    logits = stock_logits(model)  # the first stock forward installs hooks of transformers' own
    before = fingerprint(model)

    def untouched() -> bool:
        return fingerprint(model) == before and torch.equal(stock_logits(model), logits)

    session = VideoSession(model, StateKVMemory(6))
    assert untouched()
    for number in range(4):  # no frame waits in the end
        if isinstance(model, DecoderModel):
            session.push(model.frame(token_ids(5, number), session.cursor))
        else:
            session.push(video(1, seed=number))
        assert untouched()
        session.ask(QUESTION, max_new_tokens=3)
        assert untouched()
        session.question_logits(QUESTION)
        assert untouched()
    session.fork().push(session.model.prologue(session.cursor) or model_frame(session))
    assert untouched()
    with pytest.raises(ValueError, match="not used by the model"):
        session.ask(QUESTION, max_new_tokens=3, nonsense=True)
    assert untouched()


def model_frame(session: VideoSession) -> Any:
    assert isinstance(session.model, DecoderModel)
    return session.model.frame(token_ids(4, 9), session.cursor)


def test_the_fingerprint_sees_what_could_be_left(fingerprint: Fingerprint):
    model = DecoderModel(tiny_qwen2(rope_factor=2.0))
    seen = [fingerprint(model)]

    def note() -> None:
        seen.append(fingerprint(model))
        assert seen[-1] not in seen[:-1]

    model.decoder.set_attn_implementation("eager")
    note()
    model.decoder.rotary_emb.rope_type = "default"
    note()
    model.decoder.rotary_emb.inv_freq = model.decoder.rotary_emb.inv_freq * 2
    note()
    model.hf_model.lm_head.register_forward_hook(lambda *_: None)
    note()
    model.decoder.layers[0].note = 1
    note()
    with torch.no_grad():
        model.hf_model.lm_head.weight[0, 0] += 1
    note()
    model.hf_model.generation_config.do_sample = True
    note()


# What is said


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_stream_and_a_question_warn_of_nothing(family: Family, capfd: pytest.CaptureFixture[str]):
    session = VideoSession(family.model(torch.float32), StateKVMemory(6))
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # transformers' and torch's own too, which pytest ignores
        session.push(video(2))
        session.ask("What moves?", max_new_tokens=3)
    assert [str(warning.message) for warning in caught] == []
    assert capfd.readouterr().err == ""  # where transformers logs


def test_the_cache_goes_by_a_name_that_forwards_take():
    stock = tiny_qwen2()
    for forward in (type(stock).forward, type(stock.base_model).forward):
        assert cache_argument() in inspect.signature(forward).parameters


def test_importing_patches_nothing():
    program = """
import inspect, transformers
from transformers.models.internvl import modeling_internvl
from transformers.models.qwen2 import modeling_qwen2

def state():
    places = [transformers.generation.GenerationMixin, transformers.PreTrainedModel]
    for module in (modeling_internvl, modeling_qwen2):
        places += [thing for _, thing in inspect.getmembers(module, inspect.isclass)]
    found = [(place, dict(vars(place))) for place in places]
    modules = (modeling_internvl, modeling_qwen2, transformers.masking_utils,
               transformers.cache_utils, transformers.modeling_rope_utils)
    found += [dict(vars(module)) for module in modules]
    return found, set(transformers.AttentionInterface().valid_keys()), set(
        transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS.items())

import transformers.masking_utils
before = state()
import crossframe.models, crossframe.models.hf, crossframe.models.tiny
assert state() == before
model = crossframe.models.DecoderModel(crossframe.models.tiny.tiny_qwen2())
after = state()
assert after[1] - before[1] == {"crossframe"}, after[1] - before[1]
print("unchanged")
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.stdout == "unchanged\n", run.stderr


def test_two_interleaved_sessions_equal_two_separate_ones(internvl: InternVL3):
    def run(*memories: Any) -> list[list[Tensor]]:
        sessions = [VideoSession(internvl, memory) for memory in memories]
        answers: list[list[Tensor]] = [[] for _ in sessions]
        for number in range(3):
            for session, answer in zip(sessions, answers, strict=True):
                session.push(video(2, seed=number))
                got = session.ask("What?", max_new_tokens=4)
                answer += [got.token_ids, got.first_logits, session.slots(1).keys]
        return answers

    together = run(StateKVMemory(7), RecencyMemory(9))
    apart = run(StateKVMemory(7)) + run(RecencyMemory(9))
    for mine, theirs in zip(together, apart, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


# What `ask` passes on


def test_streaming_prints_the_answer_and_nothing_else(session, internvl, capsys):
    tokenizer = internvl.processor.tokenizer
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    answer = session.ask("What?", max_new_tokens=12, min_new_tokens=12, streamer=streamer)
    printed = capsys.readouterr().out
    assert answer.text
    assert printed == answer.text + "\n"


def test_sampling_follows_the_seed(session):
    def sample(seed: int) -> list[int]:
        torch.manual_seed(seed)
        options = {"do_sample": True, "temperature": 3.0, "max_new_tokens": 12}
        return session.ask("What?", **options).token_ids.tolist()

    assert sample(1) == sample(1)
    assert len({tuple(sample(seed)) for seed in range(5)}) > 1
    greedy = session.ask("What?", max_new_tokens=12)
    assert greedy.token_ids.tolist() == session.ask("What?", max_new_tokens=12).token_ids.tolist()


def test_a_generation_config_is_obeyed(session):
    def ask(seed: int) -> list[int]:
        torch.manual_seed(seed)
        config = GenerationConfig(do_sample=True, temperature=3.0)
        return session.ask("What?", max_new_tokens=9, generation_config=config).token_ids.tolist()

    assert len({tuple(ask(seed)) for seed in range(5)}) > 1


def test_an_answer_stops_at_the_end_of_turn_and_at_stop_strings(session, internvl):
    whole = session.ask("What?", max_new_tokens=12, min_new_tokens=12)
    ids = whole.token_ids.tolist()
    place = next(n for n in range(2, 12) if ids[n] not in ids[:n])
    ended = session.ask("What?", max_new_tokens=12, eos_token_id=ids[place])
    assert ended.token_ids.tolist() == ids[: place + 1]
    tokenizer = internvl.processor.tokenizer
    word = tokenizer.decode([ids[place]])
    stopped = session.ask("What?", max_new_tokens=12, stop_strings=[word], tokenizer=tokenizer)
    assert stopped.token_ids.tolist() == ids[: len(stopped.token_ids)]
    assert len(stopped.token_ids) <= place + 1
    assert word in stopped.text


def test_stopping_criteria_see_the_question_and_the_new_tokens(session, internvl):
    lengths: list[int] = []

    class Watch(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            lengths.append(input_ids.shape[1])
            return torch.tensor([len(lengths) == 3])

    answer = session.ask("What?", max_new_tokens=12, stopping_criteria=[Watch()])
    assert len(answer.token_ids) == 3
    asked = internvl.question_ids("What?").shape[1]
    assert lengths == [asked + 1, asked + 2, asked + 3]


@pytest.mark.parametrize("extra", [{}, {"output_scores": True}, {"output_logits": True}])
def test_generate_may_return_more_than_tokens(session, extra):
    plain = session.ask("What?", max_new_tokens=5)
    rich = session.ask("What?", max_new_tokens=5, return_dict_in_generate=True, **extra)
    assert torch.equal(plain.token_ids, rich.token_ids)
    assert torch.equal(plain.first_logits, rich.first_logits)


@pytest.mark.parametrize(
    "generation",
    [
        {"num_beams": 2},
        {"num_return_sequences": 2, "do_sample": True},
        {"generation_config": GenerationConfig(num_beams=3)},
        {"prompt_lookup_num_tokens": 2},
        {"guidance_scale": 2.0},
    ],
    ids=lambda generation: next(iter(generation)),
)
def test_what_needs_several_sequences_or_passes_is_refused(session, generation):
    before = session.ask("What?", max_new_tokens=4).first_logits
    with pytest.raises(ValueError, match=r"one sequence, token by token, got \w+=.*leave it out"):
        session.ask("What?", max_new_tokens=4, **generation)
    assert torch.equal(session.ask("What?", max_new_tokens=4).first_logits, before)


@pytest.mark.parametrize("generation", [{"custom_generate": "x/y"}, {"trust_remote_code": True}])
def test_code_of_a_folder_is_never_run_to_generate(session, generation):
    with pytest.raises(ValueError, match=rf"option {next(iter(generation))}=.*: leave it out"):
        session.ask("?", **generation)


def test_beams_set_in_the_checkpoint_do_not_reach_the_answer():
    model = InternVL3(*tiny_internvl())
    model.hf_model.generation_config.num_beams = 4
    session = VideoSession(model, FullMemory())
    session.push(video(1))
    assert len(session.ask("What?", max_new_tokens=4, min_new_tokens=4).token_ids) == 4


def test_a_decoder_without_a_tokenizer_is_asked_by_ids():
    model = DecoderModel(tiny_qwen2())
    session = VideoSession(model, FullMemory())
    session.push(model.frame(token_ids(5)))
    with pytest.raises(ValueError, match="no tokenizer: ask with token ids instead of 'What"):
        session.ask("What?")
    answer = session.ask(QUESTION, max_new_tokens=2)
    assert answer.text == ""
    with pytest.raises(ValueError, match="no vision side: push FrameTokens"):
        session.push(video(1))


def test_a_decoder_with_a_tokenizer_takes_and_gives_text(qwen: DecoderModel):
    session = VideoSession(qwen, FullMemory())
    session.push(qwen.frame(token_ids(5)))
    by_text = session.ask("What?", max_new_tokens=5)
    by_ids = session.ask(qwen.question_ids("What?"), max_new_tokens=5)
    assert torch.equal(by_text.token_ids, by_ids.token_ids)
    assert by_text.text == tiny_tokenizer().decode(by_text.token_ids, skip_special_tokens=True)
