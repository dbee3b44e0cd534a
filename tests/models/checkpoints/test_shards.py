"""An index cannot send a reader to a pickle, or out of the checkpoint's folder."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from crossframe.experiments.publishing.tiny_checkpoints import save_tiny_checkpoint
from crossframe.models import load_model
from crossframe.models.checkpoints.shards import INDEX


class Touch:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("native"), layers=1)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a family whose weights crossframe reads itself."""
    return save_tiny_checkpoint(tmp_path_factory.mktemp("own"), "eagle2_5")


@pytest.fixture(params=["native", "own"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint with an index, to break."""
    folder = Path(shutil.copytree(request.getfixturevalue(request.param), tmp_path / "model"))
    single = folder / "model.safetensors"
    if single.is_file():
        names = list(load_file(single))
        single.rename(folder / "model-00001-of-00001.safetensors")
        shard = dict.fromkeys(names, "model-00001-of-00001.safetensors")
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": shard}))
    return folder


def relist(folder: Path, file: object) -> None:
    """Let the index find its last weight in another file."""
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"][max(index["weight_map"])] = file
    (folder / INDEX).write_text(json.dumps(index))


def test_a_sharded_checkpoint_loads(folder: Path) -> None:
    assert load_model(folder, device="cpu").spec.num_layers > 0


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pt", "x.pkl", "x"])
def test_a_pickle_in_the_index_is_refused_by_name(name: str, folder: Path, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    (folder / name).write_bytes(pickle.dumps(Touch(proof)))
    relist(folder, name)
    with pytest.raises(ValueError, match=rf"lists '{name}', and only safetensors .*: convert the"):
        load_model(folder, device="cpu")
    assert not proof.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../x.safetensors", "/x.safetensors", "a/../../x.safetensors", "a\\x.safetensors"),
        *("a/x.safetensors", ".."),
    ],
)
def test_a_shard_outside_the_folder_is_refused_by_name(name: object, folder: Path) -> None:
    for file in folder.glob("*.safetensors"):  # there would be one to read
        shutil.copy(file, folder.parent / "x.safetensors")
    relist(folder, name)
    with pytest.raises(ValueError, match=r"lists the shard .*: only files of the checkpoint's own"):
        load_model(folder, device="cpu")


@pytest.mark.parametrize("name", ["", 3, None])
def test_an_entry_of_the_index_that_names_no_file_is_refused(name: object, folder: Path) -> None:
    relist(folder, name)
    with pytest.raises(ValueError, match=r"weight_map\[.*\]=.*, which is no file's name; download"):
        load_model(folder, device="cpu")
