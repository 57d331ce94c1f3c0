"""Files of strangers: pickles in every place where a checkpoint may stand run nothing."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from genattr import components
from genattr.dataset import photo
from genattr.errors import UserError
from genattr.store import archive
from genattr.training import checkpoint as training
from tests.contract.options import built, compose_config
from tests.faults.conftest import Tally


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def raw(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(mark)))


def saved(file: Path, mark: Path) -> None:
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": Payload(mark)}, file)


def legacy(file: Path, mark: Path) -> None:
    torch.save({"state_dict": Payload(mark)}, file, _use_new_zipfile_serialization=False)


def tar(file: Path, mark: Path) -> None:
    content = pickle.dumps(Payload(mark))
    with tarfile.open(file, "w") as opened:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))


def archived(file: Path, mark: Path) -> None:
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("archive/data.pkl", pickle.dumps(Payload(mark)))
        opened.writestr("archive/version", "3\n")


WRITERS = (raw, saved, legacy, tar, archived)
CHECKPOINTS = {
    "timm": ["classifier=timm", "classifier.name=test_resnet", "classifier.checkpoint={}"],
    "torchvision": [
        "classifier=torchvision",
        "classifier.name=resnet18",
        "classifier.checkpoint={}",
    ],
    "places365": ["classifier=resnet50_places365", "classifier.checkpoint={}"],
    "deepfill_v2": ["filler=deepfill_v2", "filler.checkpoint={}"],
    "lightfill": ["filler=lightfill", "filler.checkpoint={}"],
    "lama": ["filler=lama", "filler.checkpoint={}"],
    "torchscript": ["filler=torchscript", "filler.path={}"],
    "torchscript classifier": ["classifier=torchscript", "classifier.path={}"],
}
ENDINGS = (".pth", ".pth.tar", ".ckpt", ".pt", ".bin", ".safetensors")


def opened(chosen: list[str], file: Path) -> Any:
    words = [word.format(file) for word in chosen]
    group = words[0].partition("=")[0]
    return components.identity(built(OmegaConf.select(compose_config(*words), group), group))


@pytest.mark.parametrize("option", CHECKPOINTS)
@pytest.mark.parametrize("write", WRITERS)
def test_a_pickle_in_a_checkpoint_is_not_run(
    tmp_path: Path, option: str, write: Callable[[Path, Path], None], tally: Tally
) -> None:
    for ending in ENDINGS:
        file, mark = tmp_path / f"net{ending}", tmp_path / "mark"
        write(file, mark)
        with pytest.raises(UserError) as caught:
            opened(CHECKPOINTS[option], file)
        assert "\n" not in str(caught.value)
        assert not mark.exists()
        tally("malicious pickles as checkpoints")


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_a_pickle_in_an_array_is_not_run(tmp_path: Path, ending: str, tally: Tally) -> None:
    file, mark = tmp_path / f"a{ending}", tmp_path / "mark"
    content = np.array([Payload(mark)], dtype=object)
    if ending == ".npy":
        np.save(file, content, allow_pickle=True)
    else:
        np.savez(file, values=content, image_ids=content)
    for read in (photo.read_labels, archive.read):
        with pytest.raises(Exception):  # noqa: B017, whatever it is, nothing has run
            list(read(file))
        assert not mark.exists()
        tally("malicious pickles as arrays")


def test_a_pickle_as_the_state_of_a_training_is_not_run(tmp_path: Path, tally: Tally) -> None:
    for write in WRITERS:
        file, mark = tmp_path / "state.pt", tmp_path / "mark"
        write(file, mark)
        with pytest.raises(Exception):  # noqa: B017, whatever it is, nothing has run
            torch.load(file, map_location="cpu", weights_only=True)
        assert not mark.exists()
        tally("malicious pickles as states of a training")
    assert "weights_only=True" in Path(training.__file__).read_text()
