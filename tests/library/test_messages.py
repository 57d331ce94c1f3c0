"""Messages speak of arguments, never of the configuration's keys or a command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import genattr
from genattr.library.messages import of_arguments
from tests.toys import ToyNetwork, color, load_nonsense, shares

IMAGE = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(0))
GROUPS = "classifier|dataset|filler|method|metric|segmentation|tracking|selection"
SYNTAX = re.compile(
    rf"\b(?:{GROUPS})\.\w|\b(?:{GROUPS})=[a-z]|\w@\w|\bnull\b|_target_|python -m|\n|\b\w+=\[[a-z]"
)


def explain(**keys: Any) -> Any:
    given = {"model": ToyNetwork(), "method": "sp", "patch_size": 16, "stride": 16, "threads": 1}
    return genattr.explain(**({"image": IMAGE} | given | keys))


def fill(**keys: Any) -> Any:
    given = {"image": IMAGE, "mask": np.eye(48), "filler": "gray", "threads": 1}
    return genattr.fill(**(given | keys))


def score(**keys: Any) -> Any:
    given = {"image": IMAGE, "model": ToyNetwork(), "threads": 1}
    return genattr.score(np.eye(8), **(given | keys))


def component(name: str, **keys: Any) -> Any:
    return genattr.component(name, **keys)


def broken(images: torch.Tensor) -> torch.Tensor:
    raise ValueError("mine")


def other(option: str, **keys: Any) -> dict[str, Any]:
    """Explain by a method of no parameters."""
    return {"method": option, "patch_size": None, "stride": None} | keys


MISTAKES: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (
        explain,
        {"patch_sise": 3},
        "patch_sise=3: method sp has no such argument; did you mean pat",
    ),
    (explain, {"patch_size": 0}, "patch_size=0: must be at least 1"),
    (explain, {"patch_size": 99}, "patch_size=99: the classifier's images have 48 pixels"),
    (explain, {"patch_size": "x"}, 'patch_size="x": it should be a valid integer'),
    (explain, {"search": "best"}, 'search="best": must be full or adaptive'),
    (explain, {"sigma": 6, "filler": "mirror"}, 'genattr.component("filler/mirror", sigma=6)'),
    (explain, {"method": "spg"}, 'method="spg": no such method; did you mean sp-g or sp? There is'),
    (
        explain,
        {"method": 3},
        "method=3: must be the name of an option, such as boxes, or genattr.c",
    ),
    (
        explain,
        {"filler": "grey"},
        'filler="grey": no such filler; did you mean gray? There is b',
    ),
    (explain, {"method": "sp-g", "filler": "gray"}, 'try filler="lightfill"'),
    (explain, {"model": "resnet"}, 'model="resnet": no such classifier'),
    (explain, {"model": "callable"}, "needs path="),
    (explain, {"model": "torchscript"}, "needs path="),
    (explain, {"model": 3}, "model=3: must be the name of an option, such as callable, or genattr"),
    (explain, {"model": load_nonsense}, "called without arguments, it gives int"),
    (explain, {"model": broken}, "mine"),
    (explain, {"model": shares}, 'try outputs="probabilities"'),
    (explain, {"model": color, "labels": ["a", "b"]}, "2 names, and the classifier has 3 classes"),
    (explain, {"labels": "nowhere.txt"}, 'labels="nowhere.txt": no such file'),
    (explain, {"mean": [1, 2]}, "mean=[1, 2]: must be 1 or 3 numbers"),
    (explain, {"outputs": "odds"}, 'outputs="odds": must be logits, probabilities, sigmoid_logits'),
    (explain, {"weights": "x"}, "weights='x': method sp has no such argument"),
    (explain, {"input_size": 0}, "input_size=0: must be positive"),
    (explain, {"channels": "gray"}, "mean: 3 numbers; a network of one channel takes one"),
    (explain, {"target": 10}, "target=10: the classes are 0..9"),
    (explain, {"target": -1}, "target=-1: the classes are 0..9"),
    (explain, {"target": "zebra"}, "no class is called zebra"),
    (explain, {"target": 1.5}, "target=1.5: must be None, an index or a class name"),
    (explain, {"target": [1, 2]}, "2 classes for 1 images"),
    (explain, {"seed": "x"}, "seed='x': Value 'x' of type 'str' could not be converted to Integer"),
    (explain, {"precision": "fp8"}, 'precision="fp8": must be fp32, tf32, bf16 or fp16'),
    (explain, {"explain": "logits"}, 'explain="logits": must be probability, logit or log_odds'),
    (explain, {"batch_size": 0}, "batch_size=0: must be a whole number from 1 on, or auto"),
    (explain, {"engine": "fast"}, 'engine="fast": must be auto, incremental, dense or plain'),
    (explain, {"device": "gpu"}, 'device="gpu": must be auto, cpu'),
    (explain, {"devices": 2}, "devices=2: one device makes a heatmap"),
    (explain, {"classifier": "timm"}, "classifier='timm': the argument is called model"),
    (explain, {"crop": 10, "resize": 5}, "crop=10: must be at most resize=5"),
    (explain, {"resize": 20}, "resize=20 is less than the classifier's 48 pixels"),
    (explain, {"protocol": "new"}, 'protocol="new": no such protocol'),
    (explain, {"boxes": [1, 2]}, "boxes=[1, 2]: must be [x0, y0, x1, y1]"),
    (explain, {"method": genattr.component("method/sp")}, 'genattr.component("method/sp", pat'),
    (fill, {"sigma": 3}, "sigma=3: filler gray has no such argument; it has color"),
    (fill, {"color": [2, 0, 0]}, "color=[2, 0, 0]: must be three numbers in [0, 1]"),
    (fill, {"filler": "miror"}, "did you mean mirror?"),
    (fill, {"mask": np.eye(7)}, "mask: (7, 7) is not the image's (H, W) = (48, 48)"),
    (fill, {"mask": np.eye(48) * 2}, "mask: must be True or 1 where the image is removed"),
    (fill, {"mask": "mask.png"}, "mask: str: must be an (H, W) array or tensor"),
    (score, {"metric": "delete"}, 'metric="delete": no such metric; did you mean deletion?'),
    (score, {"metric": "localization"}, "needs boxes, and the image has none: give boxes="),
    (score, {"metric": "deletion", "steps": 3}, "has no such argument"),
    (score, {"metric": "deletion", "tie_seeds": 0}, "tie_seeds=0: must be at least 1"),
    (score, {"metric": "deletion", "filler": "grey"}, 'filler="grey": no such filler'),
    (score, {"model": None}, "model: give the model"),
    (component, {"name": "mirror"}, "component mirror: no such group; did you mean filler/mirror"),
    (component, {"name": "filer/mirror"}, "did you mean filler/mirror"),
    (component, {"name": "filler/mirror", "sigma": -1}, "sigma=-1: must be above 0"),
    (component, {"name": "method/lime", "segmentation": "voronoi"}, "no such segmentation"),
    (component, {"name": "method/lime", "segmentation": 3}, "segmentation=3"),
    (component, {"name": "classifier/onnx"}, "classifier/onnx needs path="),
    (component, {"name": "filler/torchscript", "path": "no.pt"}, 'path="no.pt": no such file'),
]


@pytest.mark.parametrize(
    ("function", "keys", "problem"), MISTAKES, ids=[problem for _, _, problem in MISTAKES]
)
def test_a_mistake_is_told_of_the_argument(
    function: Callable[..., Any], keys: dict[str, Any], problem: str
) -> None:
    with pytest.raises(genattr.UserError) as caught:
        function(**keys)
    assert problem in str(caught.value)
    assert not SYNTAX.search(str(caught.value))
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("metric.deletion.filler.color=[0]: x", "color=[0]: x"),
        ("try filler@method.rank_filler=blur, or method.rank_by=image_gradient",
         'try rank_filler="blur", or rank_by="image_gradient"'),
        ("classifier=huggingface needs classifier.path=/path/to/folder",
         'classifier/huggingface needs path="/path/to/folder"'),
        ("classifier.path=/a/method.old/x y.pt: no such file",
         'path="/a/method.old/x y.pt": no such file'),
        ("use dataset.resize=null to cut", "use resize=None to cut"),
        ("give them, or use metric=[deletion,saliency]",
         'give them, or use metric=["deletion", "saliency"]'),
        ("fails (filler.arguments, filler.multiple): x", "fails (arguments, multiple): x"),
    ],
)  # fmt: skip
def test_a_commands_message_becomes_one_about_arguments(typed: str, written: str) -> None:
    assert of_arguments(typed) == written
