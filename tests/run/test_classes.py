"""Labels are the classifier's classes: matched by name, several a photo, or given as targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from genattr.errors import UserError
from genattr.results.summary import Summary
from genattr.run import experiment
from tests.contract.options import small


def corners(x: Tensor) -> Tensor:
    """Score the red at the top left (0) and the blue at the bottom right (1)."""
    half = x.shape[-1] // 2
    red, blue = x[:, 0, :half, :half].mean((1, 2)), x[:, 2, half:, half:].mean((1, 2))
    return torch.stack([red, blue], dim=1) * 8 - 4


def four(x: Tensor) -> Tensor:
    """Score both, and their absence, as a multi-label network does."""
    return torch.cat([corners(x), -corners(x)], dim=1)


COLORS = {"red.png": ((8, 40), (230, 20, 20)), "blue.png": ((56, 88), (20, 20, 230))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name, ((start, stop), color) in COLORS.items():
        pixels = np.full((96, 96, 3), 60, np.uint8)
        pixels[start:stop, start:stop] = color
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    return tmp_path


def rows(folder: Path, *overrides: str, network: str = "corners") -> pd.DataFrame:
    run(folder, *overrides, network=network)
    return pd.read_parquet(folder / "run" / "per_image.parquet").set_index("image_id")


def run(folder: Path, *overrides: str, network: str = "corners") -> Summary:
    cfg = small(
        folder, "dataset=folder", f"dataset.root={folder / 'photos'}", "classifier=callable",
        f"classifier.path=tests.run.test_classes:{network}", "classifier.input_size=32",
        "classifier.mean=[0]", "classifier.std=[1]", "method=center", "metric=[deletion]",
        "selection.limit=null", *overrides,
    )  # fmt: skip
    return experiment.run(cfg, folder / "run")


def written(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


def labeled(folder: Path, *lines: str) -> list[str]:
    file = written(folder, "labels.csv", "image,label", *lines)
    return [f"dataset.labels={file}", "target=label"]


@pytest.mark.parametrize("order", [("red", "blue"), ("blue", "red"), ("Blue", "green", "RED")])
def test_names_decide_whatever_their_order(folder: Path, order: tuple[str, ...]) -> None:
    found = rows(
        folder,
        *labeled(folder, f"red.png,{order[-1] if order[-1] == 'RED' else 'red'}",
                 f"blue.png,{'Blue' if 'Blue' in order else 'blue'}"),
        f"classifier.labels={written(folder, 'network.txt', 'red', 'blue')}",
        f"dataset.classes={written(folder, 'classes.txt', *order)}",
    )  # fmt: skip
    assert found["target"].to_dict() == {"red.png": 0, "blue.png": 1}
    assert found["label"].to_dict() == {"red.png": 0, "blue.png": 1}
    assert (found["score"] > 0.9).all()


def test_names_without_a_list_are_the_classifiers(folder: Path) -> None:
    network = f"classifier.labels={written(folder, 'network.txt', 'red', 'blue')}"
    found = rows(folder, *labeled(folder, "red.png,red", "blue.png,blue"), network)
    assert found["target"].to_dict() == {"red.png": 0, "blue.png": 1}
    with pytest.raises(UserError, match=r"it has no azure, but red, blue: give classifier\.labels"):
        run(folder, *labeled(folder, "red.png,red", "blue.png,azure"), network)
    with pytest.raises(UserError, match=r"knows 2: it has no names for them: give classifier\.lab"):
        run(folder, *labeled(folder, "red.png,red", "blue.png,blue"))


def test_positions_count_where_the_classifier_has_no_names(folder: Path) -> None:
    classes = f"dataset.classes={written(folder, 'classes.txt', 'red', 'blue')}"
    found = rows(folder, *labeled(folder, "red.png,red", "blue.png,1"), classes)
    assert found["target"].to_dict() == {"red.png": 0, "blue.png": 1}


def test_imagenets_names_need_imagenets_classes(folder: Path) -> None:
    with pytest.raises(UserError, match=r"labels of 1000 classes, and .* knows 2: it has no names"):
        run(folder, *labeled(folder, "red.png,tabby", "blue.png,tench"))


def assert_both_readings(folder: Path, chosen: list[str]) -> None:
    """Say what the numbers 1 and 2 are: the names of classes 0 and 1, or indices."""
    for kind, first in (("names", 0), ("indices", 1)):
        found = rows(folder, *chosen, f"dataset.labels_are={kind}", network="four")
        assert found["target"].to_dict() == {"red.png": first, "blue.png": first + 1}


def test_numbers_that_are_names_too_are_refused_or_told(folder: Path) -> None:
    chosen = [
        *labeled(folder, "red.png,1", "blue.png,2"),
        f"dataset.classes={written(folder, 'classes.txt', '1', '2', '3', '4')}",
    ]
    with pytest.raises(UserError, match=r"label 1: in .*, numbers are names too, .*labels_are="):
        run(folder, *chosen, network="four")
    assert_both_readings(folder, chosen)


def test_a_photo_of_several_labels_counts_once(folder: Path) -> None:
    chosen = labeled(folder, "red.png,0", "red.png,3", "blue.png,1")
    kind = "classifier.outputs=sigmoid_logits"
    summary = run(folder, *chosen, kind, network="four")
    table = pd.read_parquet(folder / "run" / "per_image.parquet")
    assert table[["image_id", "target", "label"]].values.tolist() == [
        ["blue.png", 1, 1], ["red.png", 0, 0], ["red.png", 3, 3],
    ]  # fmt: skip
    estimate = summary.scores["deletion/auc"]
    mean = table.groupby("image_id")["deletion/auc"].mean().mean()
    assert (summary.photos, estimate.n) == (2, 2)
    assert estimate.mean == pytest.approx(mean)
    assert summary.reading == "sigmoid of each of 4 logits"
    with pytest.raises(
        UserError, match=r"^red\.png has 2 labels, and by the softmax of classifier"
    ):
        run(folder, *chosen, network="four")


def test_boxes_follow_the_label_that_is_explained(folder: Path) -> None:
    boxes = written(folder, "boxes.csv", "image,x0,y0,x1,y1,label", "red.png,8,8,40,40,0",
                    "red.png,0,0,96,96,3")  # fmt: skip
    chosen = [*labeled(folder, "red.png,0", "red.png,3", "blue.png,1"), f"dataset.boxes={boxes}"]
    run(
        folder, *chosen, "classifier.outputs=sigmoid_logits", "method=boxes",
        "metric=[localization]", network="four",
    )  # fmt: skip
    table = pd.read_parquet(folder / "run" / "per_image.parquet")
    assert table["target"].tolist() == [0, 3]
    assert all(iou[1] == pytest.approx(1, abs=0.15) for iou in table["localization/iou"])


def test_classes_may_be_named_as_targets(folder: Path) -> None:
    network = f"classifier.labels={written(folder, 'network.txt', 'red', 'blue', 'no', 'none')}"
    found = rows(folder, "target=[blue,0]", network, network="four")
    assert found["target"].tolist() == [1, 0, 1, 0]
    assert rows(folder, "target=[none]", network, network="four")["target"].tolist() == [3, 3]
    with pytest.raises(UserError, match=r"^target=\[pink\]: no class is called pink"):
        run(folder, "target=[pink]", network, network="four")


def test_the_first_lines_say_how_outputs_become_probabilities(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, network="four")
    assert "Classifier:    four: softmax over 4 logits" in capsys.readouterr().out


def test_numbers_that_are_names_of_the_classifier_are_refused_too(folder: Path) -> None:
    network = f"classifier.labels={written(folder, 'network.txt', '1', '2', '3', '4')}"
    chosen = [*labeled(folder, "red.png,1", "blue.png,2"), network]
    with pytest.raises(UserError, match=r"^label 1: classifier four calls class 0 so: say"):
        run(folder, *chosen, network="four")
    assert_both_readings(folder, chosen)


def test_a_name_of_two_classes_is_refused(folder: Path) -> None:
    classes = f"dataset.classes={written(folder, 'classes.txt', 'red', 'blue', 'red', 'no')}"
    with pytest.raises(UserError, match=r"label red: it may be class 0 and 2: give the index"):
        run(folder, *labeled(folder, "red.png,red", "blue.png,blue"), classes, network="four")


def test_a_comma_without_quotes_is_told(folder: Path) -> None:
    with pytest.raises(UserError, match=r"line 2: more cells than the header has"):
        run(folder, *labeled(folder, "red.png,dog, big"))


def test_names_of_a_list_may_be_written_otherwise(folder: Path) -> None:
    classes = f"dataset.classes={written(folder, 'classes.txt', 'Dark_Red', 'blue')}"
    found = rows(folder, *labeled(folder, "red.png,dark red", "blue.png,BLUE"), classes)
    assert found["target"].to_dict() == {"red.png": 0, "blue.png": 1}
