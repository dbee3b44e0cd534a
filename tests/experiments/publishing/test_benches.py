"""What benches share: devices, the clock, and files that say where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from crossframe.experiments.publishing.benches import (
    milliseconds,
    require_device,
    result_of,
    write_result,
)

CPU = torch.device("cpu")


def test_a_device_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError, match="needs an NVIDIA GPU, and torch sees none here: run `make"
    ):
        require_device("cuda")
    with pytest.raises(ValueError, match=r"device must be one of \('cpu', 'cuda'\), got 'tpu'"):
        require_device("tpu")
    assert require_device("cpu") == CPU


def test_a_run_is_run_once_and_without_gradients() -> None:
    ran: list[bool] = []
    assert milliseconds(lambda: ran.append(torch.is_grad_enabled()), CPU) >= 0
    assert ran == [False]


def test_a_result_says_where_it_was_measured_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lack = {"variant": "full", "reason": "needs too much"}
    dtypes = [torch.float32, torch.bfloat16, torch.float32]
    result = result_of([{"ms": 1.0}], CPU, dtypes, {"repeats": 2}, [lack])
    write_result(result, "name", tmp_path / "new")
    told = json.loads((tmp_path / "new" / "name.json").read_text("utf-8"))
    assert json.loads(capsys.readouterr().out) == told
    assert told["rows"] == [{"ms": 1.0}]
    assert told["left_out"] == [lack]
    assert told["repeats"] == 2
    assert told["environment"]["dtype"] == "float32 and bfloat16"
    assert told["environment"]["torch"] == torch.__version__
    assert told["environment"]["load"] >= 0
    write_result(result, "name", None)
    assert not Path("name.json").exists()
