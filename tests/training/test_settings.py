"""Each foreseen mistake is told in one line, before any work, with an exit code that is not 0."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from genattr import config
from genattr.training import settings
from genattr.training.settings import Settings
from tests.test_startup import HEAVY, modules
from tests.training.conftest import start

MISTAKES = {
    "no root": ([], "root is missing: give root=/folder/of/photos"),
    "no such folder": (["root={here}/gone"], "root={here}/gone: no such folder"),
    "no photo": (["root={here}"], "root={here}: no photo in it (.apng"),
    "an unknown key": (["root={photos}", "+foo=1"], "foo: no such key; there is root, name"),
    "an unknown hole": (["root={photos}", "+holes.moon=1"], "holes.moon: no such key; there is"),
    "no steps": (["root={photos}", "steps=0"], "steps=0: must be at least 1"),
    "more than all": (["root={photos}", "gray=1.5"], "gray=1.5: must be a share, 0 to 1"),
    "a standing rate": (["root={photos}", "lr=0"], "lr=0.0: must be more than 0"),
    "a mean that forgets": (["root={photos}", "ema=1"], "ema=1.0: must be 0 or more and less"),
    "an odd size": (
        ["root={photos}", "stages=[{until:1,sizes:[100]}]"],
        "stages: sizes=[100] must be multiples of 32 from 64 on",
    ),
    "an end before the end": (
        ["root={photos}", "stages=[{until:0.5,sizes:[64]}]"],
        "stages: until must rise from more than 0 to 1, and is [0.5]",
    ),
    "no hole": (
        ["root={photos}", *(f"holes.{kind}=0" for kind in settings.HoleMixture.__annotations__)],
        "holes: no share may be negative, and one must be more than 0",
    ),
    "an unknown precision": (["root={photos}", "precision=int8"], "precision=int8: must be auto"),
    "an unknown device": (["root={photos}", "device=tpu"], "device=tpu: must be auto, cpu"),
    "no such weights": (["root={photos}", "init={here}/x.safetensors"], "x.safetensors: no such"),
    "weights that are none": (["root={photos}", "init={here}/text"], "init={here}/text: not a"),
    "no such discriminator": (
        ["root={photos}", "init_discriminator={here}/x"],
        "init_discriminator={here}/x: no such file",
    ),
    "a full while before its start": (
        ["root={photos}", "gan_from=0.5"],
        "gan_full=0.25: must be at least gan_from=0.5",
    ),
    "a folder that is a file": (["root={photos}", "folder={here}/text/in"], "folder={here}/text"),
}


def read(*overrides: str) -> Settings:
    """Compose the real configuration and check it."""
    config.register()
    settings.register()
    with initialize_config_dir(str(settings.FOLDER), version_base="1.3"):
        return settings.read(compose("train", ["root=photos", *overrides]))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(mistake: str, tmp_path: Path, photos: Path) -> None:
    typed, told = MISTAKES[mistake]
    (tmp_path / "text").write_text("not weights")
    places = {"{here}": str(tmp_path), "{photos}": str(photos)}
    line = " ".join(["folder={here}/out", *typed])
    for key, place in places.items():
        line, told = line.replace(key, place), told.replace(key, place)
    with pytest.raises(SystemExit) as caught:
        start(*line.split(" "))
    line = str(caught.value)
    assert line.startswith("genattr: ")
    assert told in line
    assert "\n" not in line
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_refused(tmp_path: Path, photos: Path) -> None:
    from safetensors.torch import save_file

    file = tmp_path / "other.safetensors"
    save_file({"e1.weight": torch.zeros(2)}, file, {"architecture": "other-1"})
    with pytest.raises(SystemExit, match=r"init=.*its architecture is other-1"):
        start(f"root={photos}", f"init={file}", f"folder={tmp_path / 'out'}")


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises(Exception, match="steps"):
        read("steps=many")


def test_help_is_light_and_leaves_the_main_programs_help_alone() -> None:
    script = "from genattr.training.__main__ import main; main()"
    loaded, printed = modules(script, "--help")
    assert "python -m genattr.training root=" in printed
    assert not loaded & HEAVY
    _, printed = modules("from run import main; main()", "--help")
    assert "training" not in printed
