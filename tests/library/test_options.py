"""Options of conf/ and of the user's folders, beside whatever Hydra the user has started."""

from __future__ import annotations

from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import genattr
from genattr.filler.mirror import Mirror
from genattr.method.lime import Lime
from genattr.segmentation.grid import Grid
from tests.conftest import REPO
from tests.contract.options import COMPONENTS, options


def test_a_component_has_its_yamls_defaults() -> None:
    stated = OmegaConf.load(REPO / "conf" / "filler" / "mirror.yaml")
    assert genattr.component("filler/mirror") == Mirror(sigma=stated.sigma)
    assert genattr.component("filler/mirror", sigma=6) == Mirror(sigma=6)


def test_components_inside_are_given_by_name_or_made() -> None:
    by_name = genattr.component("method/lime", segmentation="grid")
    made = genattr.component("method/lime", segmentation=genattr.component("segmentation/grid"))
    assert isinstance(by_name, Lime)
    assert by_name == made
    assert by_name.segmentation == Grid()
    gray = genattr.component("metric/insertion", filler=genattr.component("filler/gray"))
    assert gray.filler.option == "gray"
    assert genattr.component("metric/insertion").filler.option == "blur"


@pytest.mark.parametrize("group", COMPONENTS)
def test_every_option_is_found(group: str) -> None:
    with pytest.raises(genattr.UserError) as caught:
        genattr.component(f"{group}/nothing")
    assert all(name in str(caught.value) for name in options(group))


def test_a_hydra_of_the_users_own_stays_and_is_searched(tmp_path: Path) -> None:
    (tmp_path / "filler").mkdir()
    (tmp_path / "filler" / "mine.yaml").write_text(
        "_target_: genattr.filler.gray.Gray\ncolor: [0, 0, 0]\n"
    )
    OmegaConf.register_new_resolver("repo", lambda: "mine", replace=True)
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        before = GlobalHydra.instance().hydra
        assert list(genattr.component("filler/mine").color) == [0, 0, 0]
        assert GlobalHydra.instance().hydra is before
    assert OmegaConf.create({"place": "${repo:}"}).place == "mine"
    OmegaConf.clear_resolver("repo")
    with pytest.raises(genattr.UserError, match="no such filler"):
        genattr.component("filler/mine")
