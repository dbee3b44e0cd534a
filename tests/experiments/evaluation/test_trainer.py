"""The Trainer that a config file describes, what it keeps off the screen, and shares of passes."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import RichProgressBar, Timer
from lightning.pytorch.loggers import CSVLogger

from crossframe.experiments.evaluation.rows import Work
from crossframe.experiments.evaluation.trainer import (
    CHATTY,
    Evaluation,
    PassData,
    make_trainer,
    quiet,
)
from crossframe.experiments.streaming.plan import Pass


def made(folder: Path, interactive: bool = False, **settings: Any) -> lightning.Trainer:
    with quiet():
        chosen = {"accelerator": "cpu", **settings}
        return make_trainer(chosen, folder, lightning.Callback(), interactive=interactive)


def test_by_default_a_csv_log_goes_into_the_folder(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    (logger,) = trainer.loggers
    assert isinstance(logger, CSVLogger)
    assert Path(logger.log_dir) == tmp_path / "log" / "version_0"
    assert trainer.default_root_dir == str(tmp_path)
    assert (trainer.progress_bar_callback, trainer.checkpoint_callback) == (None, None)


def test_loggers_callbacks_and_strategies_are_made_from_their_class_paths(tmp_path: Path) -> None:
    logger = {"class_path": "CSVLogger", "init_args": {"save_dir": str(tmp_path), "name": "own"}}
    timer = {"class_path": "lightning.pytorch.callbacks.Timer"}
    strategy = {"class_path": "DDPStrategy", "init_args": {"process_group_backend": "gloo"}}
    trainer = made(tmp_path, logger=logger, callbacks=[timer], strategy=strategy, devices=2)
    assert isinstance(trainer.logger, CSVLogger)
    assert trainer.logger.name == "own"
    kinds = [type(callback) for callback in vars(trainer)["callbacks"]]
    assert Timer in kinds
    assert lightning.Callback in kinds
    assert (trainer.world_size, trainer.global_rank) == (2, 0)
    assert not made(tmp_path, logger=False, callbacks=timer).loggers


def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    assert isinstance(made(tmp_path, interactive=True).progress_bar_callback, RichProgressBar)
    off = made(tmp_path, interactive=True, enable_progress_bar=False)
    assert off.progress_bar_callback is None


def test_a_number_of_batches_is_no_share_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = ArgumentParser.parse_object

    def floats_first(self: ArgumentParser, given: Any) -> Any:
        # As it happens where some other module wrote Optional[Union[float, int]] first.
        parsed = parse(self, given)
        parsed.trainer.limit_predict_batches = float(parsed.trainer.limit_predict_batches)
        return parsed

    monkeypatch.setattr(ArgumentParser, "parse_object", floats_first)
    limits = [made(tmp_path, limit_predict_batches=n).limit_predict_batches for n in (1, 0.5)]
    assert [(limit, type(limit)) for limit in limits] == [(1, int), (0.5, float)]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"device": 2}, "does not accept option 'device'"),
        ({"devices": 1.5}, "devices"),
        ({"accelerator": "abacus"}, "invalid accelerator name: `accelerator='abacus'`"),
        ({"strategy": "ddpp"}, "ddpp"),
        ({"logger": {"class_path": "NoLogger"}}, "NoLogger"),
        ({"precision": "bf16-mixed"}, "precision cannot be set here: set model.dtype"),
        ({"use_distributed_sampler": True}, "every process takes its share"),
    ],
)
def test_settings_that_cannot_be_are_told(
    settings: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        made(tmp_path, **settings)


def test_tensorboard_is_asked_for_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning.fabric.loggers.tensorboard.{name}", False)
    logger = {"class_path": "TensorBoardLogger", "init_args": {"save_dir": str(tmp_path)}}
    with pytest.raises(ValueError, match="Neither `tensorboard` nor `tensorboardX`"):
        made(tmp_path, logger=logger)


def test_only_empty_talk_is_silenced_and_only_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chatty, other = logging.getLogger(CHATTY[0]), logging.getLogger("lightning.pytorch.elsewhere")
    before = [logging.getLogger(name).level for name in CHATTY]
    with caplog.at_level(logging.INFO), quiet():
        chatty.info("an advertisement")
        chatty.warning("a warning")
        other.info("a fact")
        warnings.warn("The 'predict_dataloader' does not have many workers which", stacklevel=1)
        with pytest.warns(UserWarning, match="The dtype does not fit"):
            warnings.warn("The dtype does not fit", stacklevel=1)
    assert {record.message for record in caplog.records} == {"a warning", "a fact"}
    assert [logging.getLogger(name).level for name in CHATTY] == before


def work(count: int) -> list[Work]:
    return [
        Work(Pass(str(number), Path("a.mp4"), [0.0], []), frozenset({("full", str(number))}))
        for number in range(count)
    ]


@pytest.mark.parametrize("world", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_shares_make_up_the_whole(count: int, world: int) -> None:
    found: list[str] = []
    for rank in range(world):
        data: Any = PassData(lambda: work(count))
        assert data.allow_zero_length_dataloader_with_multiple_devices
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world)
        data.setup("predict")
        share = list(data.predict_dataloader())
        assert len(share) in (count // world, -(-count // world))
        found += [one.video.name for one in share]
    assert sorted(found) == sorted(one.video.name for one in work(count))


def test_what_is_left_is_found_in_setup_and_not_before() -> None:
    found: list[int] = []

    def find() -> list[Work]:
        found.append(1)
        return work(1)

    data = PassData(find)
    assert not found
    data.setup("predict")
    assert found == [1]
    assert data.work == work(1)


def test_plans_stay_where_they_are() -> None:
    (one,) = work(1)
    assert PassData(list).transfer_batch_to_device(one, "cuda", 0) is one


def test_the_model_is_made_once_on_the_strategys_device_and_rows_are_stamped() -> None:
    devices: list[str] = []

    class Runner:
        def rows(self, given: Work) -> list[dict[str, str]]:
            return [{"cell": cell, "question": question} for cell, question in given.owed]

    def make(device: str) -> Any:
        devices.append(device)
        return Runner()

    module: Any = Evaluation(make, {"full": {"config": "c0ffee"}})
    module._trainer = SimpleNamespace(strategy=SimpleNamespace(root_device="cuda:3"))
    assert not devices
    rows = [row for one in work(2) for row in module.predict_step(one)]
    assert devices == ["cuda:3"]
    assert rows[0] == {"config": "c0ffee", "cell": "full", "question": "0"}
    assert len(rows) == 2
