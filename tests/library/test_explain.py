"""The library makes the same numbers as the command, and leaves everything as it was."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest
import torch

import genattr
from genattr.run import experiment
from tests.contract.options import compose_config
from tests.toys import ToyNetwork

SIZE = 48
MODEL = {"input_size": SIZE, "threads": 1}
SMALL = {
    "sp": {"patch_size": 16, "stride": 16},
    "lime": {"n_samples": 24, "n_segments": 8},
    "mp": {"mask_size": 8, "steps": 3},
}


@pytest.mark.parametrize("method", SMALL)
def test_the_numbers_are_those_of_the_command(
    method: str, photo: Path, tmp_path: Path, elsewhere: Path
) -> None:
    keys = SMALL[method]
    cfg = compose_config(
        "dataset=folder", f"dataset.root={photo}", f"method={method}", "metric=[deletion,saliency]",
        "classifier=callable", "classifier.path=tests.toys:load_network",
        f"classifier.input_size={SIZE}", "tracking=none", f"store={tmp_path / 'store'}",
        "threads=1", *[f"method.{key}={value}" for key, value in keys.items()],
    )  # fmt: skip
    experiment.run(cfg, tmp_path / "run")
    (expected,) = genattr.load(tmp_path / "run")
    row = pd.read_parquet(tmp_path / "run" / "per_image.parquet").iloc[0]
    heatmap = genattr.explain(photo, ToyNetwork(), method=method, **MODEL, **keys)
    assert torch.equal(heatmap.values, expected.values)
    assert (heatmap.score, heatmap.target) == (expected.score, expected.target)
    scores = genattr.score(heatmap, ["deletion", "saliency"])
    assert scores["deletion/auc"] == row["deletion/auc"]
    assert scores["deletion/curve"] == row["deletion/curve"].tolist()
    assert scores["saliency/score"] == row["saliency/score"].tolist()
    assert list(elsewhere.iterdir()) == []


def red(images: torch.Tensor) -> torch.Tensor:
    """Two classes; the logit of class 1 is the sum of the red pixels, class 0 has logit 0."""
    total = images[:, 0].sum(dim=(1, 2))
    return torch.stack([torch.zeros_like(total), total], dim=1)


RED = {"mean": [0], "std": [1], "input_size": 4, "threads": 1, "engine": "dense"}


def test_a_map_of_a_linear_logit_is_its_pixels() -> None:
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    black = genattr.component("filler/gray", color=[0, 0, 0])
    keys = {"patch_size": 2, "stride": 2, "explain": "logit"}
    heatmap = genattr.explain(image, red, 1, "sp", black, **keys, **RED)
    expected = image[0].view(2, 2, 2, 2).sum(dim=(1, 3))
    assert torch.allclose(heatmap.values, expected, atol=1e-5)
    assert heatmap.label == "class 1"


def test_several_images_are_explained_as_each_alone() -> None:
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    keys = {"method": "lime", **SMALL["lime"], **MODEL}
    model = ToyNetwork()
    together = genattr.explain(images, model, [None, 3, "class 4"], **keys)
    alone = [genattr.explain(image, model, **keys) for image in images[:1]]
    assert [heatmap.target for heatmap in together] == [alone[0].target, 3, 4]
    assert torch.equal(together[0].values, alone[0].values)
    (only,) = genattr.explain(images[:1], model, **keys)
    assert torch.equal(only.values, alone[0].values)


def test_a_store_keeps_heatmaps(photo: Path, tmp_path: Path, elsewhere: Path) -> None:
    model = ToyNetwork()
    keys = {"method": "center", "store": tmp_path / "kept", **MODEL}
    first = genattr.explain(photo, model, **keys)
    assert len(list((tmp_path / "kept").rglob("*.npz"))) == 1
    assert torch.equal(genattr.explain(photo, model, **keys).values, first.values)
    with torch.no_grad():
        model.layers[0].weight.mul_(2)
    genattr.explain(photo, model, **keys)
    assert len(list((tmp_path / "kept").rglob("*.npz"))) == 2
    assert list(elsewhere.iterdir()) == []


def test_a_heatmap_shows_itself(photo: Path, tmp_path: Path) -> None:
    names = [f"<{index}>" for index in range(10)]
    heatmap = genattr.explain(photo, ToyNetwork(), method="center", labels=names, **MODEL)
    assert repr(heatmap).startswith(f"Heatmap(noise.png: {heatmap.label}, p = ")
    assert heatmap.label == names[heatmap.target]
    assert heatmap.photo.size == heatmap.overlay().size == (SIZE, SIZE)
    assert len([axes for axes in heatmap.plot().axes if axes.images]) == 3
    assert heatmap._repr_png_().startswith(b"\x89PNG")
    assert "&lt;" in heatmap._repr_html_()
    assert "mean 0.485, 0.456, 0.406" in heatmap.reading
    heatmap.save(tmp_path / "map.png")
    heatmap.save(tmp_path / "map.npz")
    (loaded,) = genattr.load(tmp_path / "map.npz")
    assert torch.equal(loaded.values, heatmap.values)
    copied = pickle.loads(pickle.dumps(heatmap))
    assert copied.study is None
    assert copied.photo.tobytes() == heatmap.photo.tobytes()
    with pytest.raises(genattr.UserError, match=r"must end in \.npz, or in"):
        heatmap.save(tmp_path / "map.doc")
