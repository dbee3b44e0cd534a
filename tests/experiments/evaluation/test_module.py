"""Every process takes its share of the passes, and none is taken twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossframe.experiments.evaluation.module import Evaluation, PassData
from crossframe.experiments.evaluation.rows import Work
from crossframe.experiments.streaming.plan import Pass


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
