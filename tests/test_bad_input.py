"""Each foreseen mistake is told in one line, before any work, with an exit code that is not 0."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import Mock

import pytest
import timm
import torch
from hydra.core.global_hydra import GlobalHydra
from mlflow import MlflowClient

from genattr.__main__ import main
from genattr.method.center import Center
from tests.conftest import photo_file

CHEAP = [
    "classifier=timm",
    "classifier.name=test_resnet",
    "classifier.pretrained=false",
    "method=center",
    "metric=[deletion]",
    "threads=1",
]


@dataclass(frozen=True)
class Mistake:
    """What a user types, and a part of the line that answers; ``{here}`` is the test's folder."""

    typed: list[str]
    told: str
    files: dict[str, str] = field(default_factory=dict)


FOLDER = ["dataset=folder", "dataset.root={here}/photos"]
LABELED = [*FOLDER, "dataset.labels={here}/labels.csv", "target=label"]
NETWORK = [
    "classifier=callable",
    "classifier.input_size=16",
    "classifier.mean=[0]",
    "classifier.std=[1]",
]
ONE_LINE = {
    "an unknown key of a method": Mistake(
        ["+method.foo=1"], "method.foo: no such option; there is none"
    ),
    "an unknown key at the top": Mistake(["+foo=1"], "foo: no such key; there is protocol, "),
    "an unknown key of the selection": Mistake(
        ["+selection.foo=1"], "selection.foo: no such key; there is names, limit, sample, seed"
    ),
    "a value of another type": Mistake(
        ["method=sp", "method.patch_size=abc"],
        "method.patch_size=abc: it should be a valid integer",
    ),
    "results in a home that nobody has": Mistake(
        ["store='~nobody-at-all/x'"], "~nobody-at-all is no home: write the whole path"
    ),
    "names from what never ends": Mistake(
        ["selection.names=/dev/zero"], "selection.names=/dev/zero: it is no file, but a pipe, a"
    ),
    "a text for a truth": Mistake(
        ["classifier.pretrained=no"], "classifier.pretrained=no: must be true or false"
    ),
    "a truth for a number": Mistake(
        ["method=sp", "method.patch_size=true"], "method.patch_size=True: must be a whole number"
    ),
    "a patch larger than the image": Mistake(
        ["method=sp", "method.patch_size=300"],
        "method.patch_size=300: the classifier's images have 160 pixels",
    ),
    "a stride of 0": Mistake(["method=sp", "method.stride=0"], "method.stride=0: must be at least"),
    "negative samples": Mistake(
        ["method=lime", "method.n_samples=-5"], "method.n_samples=-5: must be at least 2"
    ),
    "negative held-out photos": Mistake(
        ["selection.held_out=-1"], "selection.held_out=-1: must not be negative"
    ),
    "no device": Mistake(["devices=0"], "devices=0: must be a whole number from 1 on, or all"),
    "devices of another type": Mistake(
        ["devices=both"], "devices=both: must be a whole number from 1 on, or all"
    ),
    "several devices for a shard": Mistake(
        ["devices=2", "device=cpu", "selection.shard.count=2"],
        "devices=2: selection.shard.count=2 spreads the photos already; leave out one of them",
    ),
    "a G method with a filler that does not inpaint": Mistake(
        ["method=sp-g", "filler=gray"],
        "method SP-G needs a filler that inpaints, and gray does not: try filler=lightfill",
    ),
    "a mask method with a classifier that has no gradient": Mistake(
        ["classifier._target_=tests.toys.WithoutGradient", "method=mp2", "filler=blur"],
        "method MP2 needs the classifier's gradient, and classifier test_resnet has none: try "
        "method=sp or lime, or a PyTorch network",
    ),
    "the same with an inpainter and fewer bits": Mistake(
        ["classifier._target_=tests.toys.WithoutGradient", "method=mp2-g", "precision=bf16"],
        "method MP2-G needs the classifier's gradient, and classifier test_resnet bf16 has none: "
        "try method=sp-g or lime-g, or a PyTorch network",
    ),
    "a mask finer than the image": Mistake(
        ["method=mp2", "method.mask_size=400"],
        "method.mask_size=400: the classifier's images have",
    ),
    "a mask gradient where the filler leaves the photo": Mistake(
        ["method=mp2", "filler=mirror"],
        "method.rank_by=mask_gradient has nothing to rank by: mirror gives the photo back outside "
        "the hole; try filler@method.rank_filler=blur",
    ),
    "an objective that does not exist": Mistake(
        ["method=fido-ca", "method.objective=both"],
        "method.objective=both: must be deletion or preservation",
    ),
    "a class that does not exist": Mistake(
        ["method._target_=genattr.method.sp.Slide"], "method._target_=genattr.method.sp.Slide: no"
    ),
    "a root that does not exist": Mistake(
        ["dataset=folder", "dataset.root={here}/nowhere"], "{here}/nowhere: no such file or folder"
    ),
    "a root without photos": Mistake(
        ["dataset=folder", "dataset.root={here}/empty"], "{here}/empty: no photo in it"
    ),
    "ImageNet without its files": Mistake(
        ["dataset=imagenet", "dataset.root={here}"], "dataset.root={here}: "
    ),
    "labels of a photo that is not there": Mistake(
        LABELED, "names 1 photos that are not in", {"labels.csv": "image,label\nb.png,3\n"}
    ),
    "boxes of a photo that is not there": Mistake(
        [*FOLDER, "dataset.boxes={here}/boxes.csv"],
        "names 1 photos that are not in",
        {"boxes.csv": "image,x0,y0,x1,y1\nb.png,0,0,5,5\n"},
    ),
    "a class index out of range": Mistake(
        LABELED,
        "a.png has label 1000, and classifier test_resnet knows the classes 0..999",
        {"labels.csv": "image,label\na.png,1000\n"},
    ),
    "labels of other classes than the classifier's": Mistake(
        [*LABELED, "dataset.classes={here}/classes.txt"],
        "dataset folder has labels of 3 classes, and classifier test_resnet knows 1000",
        {"labels.csv": "image,label\na.png,1\n", "classes.txt": "cat\ndog\nhorse\n"},
    ),
    "probabilities taken for logits": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:several"],
        "classifier.outputs=logits: those of several are",
    ),
    "logits taken for probabilities of a class each": Mistake(
        [
            *NETWORK,
            "classifier.path=tests.classifier.test_outputs:logits",
            "classifier.outputs=sigmoid_probabilities",
        ],
        "not in [0, 1]: try classifier.outputs=sigmoid_logits",
    ),
    "a softmax that is not told": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:shares"],
        "try classifier.outputs=probabilities",
    ),
    "a sigmoid taken for a softmax": Mistake(
        [
            *NETWORK,
            "classifier.path=tests.classifier.test_outputs:several",
            "classifier.outputs=probabilities",
        ],
        "not to 1; try classifier.outputs=sigmoid_probabilities",
    ),
    "several outputs": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:as_dict"],
        "classifier.output=None: no such output; there is features, scores",
    ),
    "a network of one channel": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:of_gray"],
        "a network of one channel needs classifier.channels=gray",
    ),
    "three means for one channel": Mistake(
        [
            *NETWORK,
            "classifier.path=tests.classifier.test_outputs:of_gray",
            "classifier.channels=gray",
            "classifier.mean=[0,0,0]",
        ],
        "classifier.mean: 3 numbers; a network of one channel takes one",
    ),
    "a network that raises": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:FAIL_KEY"],
        "FAIL_KEY fails on images of 16 x 16 pixels (classifier.input_size): KeyError: 'head'",
    ),
    "a network with dropout": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:dropping"],
        "classifier dropping answers the same image differently when it is asked twice",
    ),
    "a network of batch statistics": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:Statistics"],
        "classifier Statistics answers the same image differently beside other images",
    ),
    "another quantity": Mistake(
        ["explain=odds"], "explain=odds: must be probability, logit or log_odds"
    ),
    "logits of a network that gives none": Mistake(
        [
            *NETWORK,
            "classifier.path=tests.classifier.test_outputs:shares",
            "classifier.outputs=probabilities",
            "explain=logit",
        ],
        "explain=logit: classifier shares gives probabilities and no logits: try explain=log_odds",
    ),
    "other colors": Mistake(["map_colors=gray"], "map_colors=gray: must be diverging or single"),
    "a class to explain that is not there": Mistake(
        ["target=[unicorn]"], "target=[unicorn]: no class is called unicorn; there is tench"
    ),
    "a class to explain of two meanings": Mistake(
        ["target=[crane]"], "target=[crane]: crane may be class 134 and 517"
    ),
    "a word that is no target": Mistake(
        ["target=unicorn"], "target=unicorn: must be label, predicted or top-k"
    ),
    "labels by name for a network without names": Mistake(
        [*LABELED, *NETWORK, "classifier.path=tests.classifier.test_outputs:logits"],
        "and classifier logits knows 3: it has no names for them: give classifier.labels",
        {"labels.csv": "image,label\na.png,tabby\n"},
    ),
    "labels that the classifier does not know": Mistake(
        LABELED,
        "knows 1000: it has no unicorn, but tench, goldfish",
        {"labels.csv": "image,label\na.png,unicorn\n"},
    ),
    "two labels of a photo under a softmax": Mistake(
        LABELED,
        "a.png has 2 labels, and by the softmax of classifier test_resnet a photo is of one class",
        {"labels.csv": "image,label\na.png,1\na.png,2\n"},
    ),
    "a number that is a name and an index": Mistake(
        [*LABELED, "dataset.classes={here}/classes.txt"],
        "numbers are names too, and others than the indices: say which they are by",
        {"labels.csv": "image,label\na.png,1\n", "classes.txt": "1\n2\n3\n"},
    ),
    "a comma in a label without quotes": Mistake(
        LABELED,
        "labels.csv, line 2: more cells than the header has",
        {"labels.csv": "image,label\na.png,dog, big\n"},
    ),
    "a name of two classes": Mistake(
        [*LABELED, "dataset.classes={here}/classes.txt"],
        "label crane: it may be class 0 and 2: give the index",
        {"labels.csv": "image,label\na.png,crane\n", "classes.txt": "crane\ndog\ncrane\n"},
    ),
    "a number that the classifier calls another class": Mistake(
        [
            *LABELED,
            *NETWORK,
            "classifier.path=tests.classifier.test_outputs:logits",
            "classifier.labels={here}/classes.txt",
        ],
        "label 1: classifier logits calls class 0 so: say what numbers are by dataset.labels_are",
        {"labels.csv": "image,label\na.png,1\n", "classes.txt": "1\n2\n3\n"},
    ),
    "boxes whose label is called otherwise": Mistake(
        [*FOLDER, "dataset.boxes={here}/boxes.csv"],
        "boxes.csv: its column class is not read: call it label, or leave it out",
        {"boxes.csv": "image,x0,y0,x1,y1,class\na.png,0,0,5,5,1\n"},
    ),
    "code that ends the program": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:leave"],
        "when it is called without arguments: it ends the program (sys.exit)",
    ),
    "numbers of classes in the place of scores": Mistake(
        [*NETWORK, "classifier.path=tests.classifier.test_outputs:class_numbers"],
        "class_numbers gives 1 numbers of torch.int64 for an image: one logit or probability",
    ),
    "a judge of other classes": Mistake(
        [
            *NETWORK,
            "classifier.path=tests.classifier.test_outputs:logits",
            "target=predicted",
            "metric=[judge]",
        ],
        "metric.judge.judge=efficientnet_lite2 knows 1000 classes, and classifier logits knows 3",
    ),
    "no labels where they are needed": Mistake(
        [*FOLDER, "target=label"], "target=label: 1 of 1 photos have no label, such as a.png"
    ),
    "correct_only without labels": Mistake(
        [*FOLDER, "selection.correct_only=true"], "selection.correct_only needs the label of every"
    ),
    "localization without boxes": Mistake(
        [*FOLDER, "metric=[localization,deletion]"],
        "metric localization needs boxes, and no photo of dataset folder has any: give them, or "
        "use metric=[deletion]",
    ),
    "nothing but metrics of boxes, without boxes": Mistake(
        [*FOLDER, "metric=[localization,drift]"],
        "metric localization needs boxes, and no photo of dataset folder has any: give them, or "
        "use metric=[deletion,insertion,saliency]",
    ),
    "names of classes that are too few": Mistake(
        ["classifier.labels=[cat,dog]"],
        "classifier.labels=[cat, dog]: 2 names, and the classifier has 1000 classes",
    ),
    "names of classes that are none": Mistake(
        ["classifier.labels=[[cat],dog]"],
        "classifier.labels=[['cat'], 'dog']: must be imagenet, places365, a text file with one",
    ),
    "a checkpoint of another architecture": Mistake(
        ["classifier.checkpoint={here}/other.pth"],
        "other.pth does not fit test_resnet: it lacks conv1.0.weight",
    ),
    "a checkpoint that is none": Mistake(
        ["classifier.checkpoint={here}/text.pth"], "text.pth is not a checkpoint", {"text.pth": "a"}
    ),
    "a checkpoint full of NaN": Mistake(
        ["classifier.checkpoint={here}/nan.pth"], "classifier test_resnet gives NaN or infinity"
    ),
    "a checkpoint of other classes": Mistake(
        ["classifier.checkpoint={here}/ten.pth"],
        "its fc.weight is 10 x 96, not 1000 x 96: try classifier.num_classes=10",
    ),
    "an entry that a checkpoint does not have": Mistake(
        [
            "classifier.checkpoint={here}/ten.pth",
            "classifier.num_classes=10",
            "classifier.checkpoint_entry=model_ema",
        ],
        "classifier.checkpoint_entry=model_ema: {here}/ten.pth has no such weights; it has model",
    ),
    "a whole network in a checkpoint": Mistake(
        ["classifier.checkpoint={here}/network.pth"],
        "network.pth is not a checkpoint of plain tensors: it is a whole network with its code, "
        "which is not run; save the weights alone, by torch.save(network.state_dict(), ",
    ),
    "a head that would be random": Mistake(
        ["classifier.name=resnet18", "classifier.pretrained=true", "classifier.num_classes=10"],
        "classifier.num_classes=10: the weights of resnet18 have 1000 classes, and another head "
        "would be random: give classifier.checkpoint=/path/to/file",
    ),
    "a tracking server that does not answer": Mistake(
        ["tracking.uri=http://127.0.0.1:9"], "tracking.uri=http://127.0.0.1:9 does not answer"
    ),
    "a database that does not answer": Mistake(
        ["tracking.uri=postgresql+psycopg2://u@127.0.0.1:9/db"], "127.0.0.1:9/db does not answer"
    ),
    "a GPU that is not there": Mistake(["device=cuda:31"], "device=cuda:31: this machine has none"),
    "an unknown device": Mistake(["device=tpu"], "device=tpu: must be auto, cpu, cuda"),
    "a model that timm does not know": Mistake(
        ["classifier.name=resnet51"], "no such model; did you mean resnet5"
    ),
    "only bad photos": Mistake(
        ["dataset=folder", "dataset.root={here}/bad", "selection.correct_only=false"],
        "none of 1 photos could be read",
        {"bad/x.jpg": "not a photo"},
    ),
    "a wrong member of a sweep": Mistake(
        ["-m", "method=center,sp-g", "filler=mirror,gray"],
        "member 3 of the sweep (",
    ),
    "an unknown option in a sweep": Mistake(["-m", "filler=gray,grey"], "member 1 of the sweep ("),
    "a value out of range in a sweep": Mistake(
        ["-m", "method=sp", "method.patch_size=5,0"], "method.patch_size=0: must be at least 1"
    ),
}
ONE_LINE |= {
    "a metric's filler by the wrong key": Mistake(
        ["metric.deletion.filler=gray"], "choose it by filler@metric.deletion.filler=gray"
    ),
    "a folder that looks like a number": Mistake(
        ["dataset=folder", "dataset.root=2024"], "string; quote it: \"dataset.root='2024'\""
    ),
    "a key taken away": Mistake(["~seed"], "seed: it is needed: leave out the ~seed"),
    "a callback that is a program": Mistake(
        ["+hydra.callbacks.x._target_=os.system"], "Hydra does not take this: Instantiation"
    ),
    "a pickled job": Mistake(
        ["--experimental-rerun=x"], "can run code of its own, and is not opened"
    ),
    "a sweeper that is none": Mistake(["-m", "hydra.sweeper=x"], "by a slash: hydra/sweeper=x"),
    "members outside of the sweep": Mistake(
        ["-m", "hydra.sweep.subdir=../x"], "hydra.sweep.subdir=../x: must be a folder in that of"
    ),
    "a billion members": Mistake(
        ["-m", "seed=range(0,1000000000)"],
        "a sweep of 100000 members or more, most of them by seed",
    ),
    "a sweep of no member": Mistake(["-m", "seed=glob(*)"], "seed=glob(*): there is no such value"),
    "a group without an option": Mistake(
        ["method=null"], "method=null: give the name of an option"
    ),
    "a value without a key": Mistake(["=1"], "=1: a key stands before the ="),
    "a group that is left out": Mistake(["~filler"], "filler is missing: give filler=<option>"),
    "no shards": Mistake(["selection.shard.count=0"], "selection.shard.count=0: must be at least"),
    "a shard without photos": Mistake(
        [*FOLDER, "selection.shard.index=1", "selection.shard.count=2"],
        "selection.shard.index=1: nothing is left for it of 1 photos in 2 shards",
    ),
    "a password in an address that does not answer": Mistake(
        ["tracking.uri=postgresql+psycopg2://u:secret@127.0.0.1:9/db"], "//u:***@127.0.0.1:9/db"
    ),
    "sensitivity over a key that the method does not have": Mistake(
        ["sensitivity=patch_size"],
        "sensitivity.over=patch_size: method center has no such key; it has seed",
    ),
    "a sensitivity over a count that the segmentation does not read": Mistake(
        ["method=lime", "segmentation@method.segmentation=quickshift", "sensitivity=n_segments"],
        "sensitivity.over=n_segments: this LIME does not use it; there is n_samples, seed",
    ),
    "a component left out that another needs": Mistake(
        ["method=lime", "~segmentation@method.segmentation"],
        "method.segmentation: it is missing, and Lime needs it",
    ),
    "label maps without a folder": Mistake(
        ["method=lime", "segmentation@method.segmentation=files"],
        "method.segmentation.root=None: must be a folder of label maps, one per photo",
    ),
    "a segmentation chosen as if it were a value": Mistake(
        ["method=lime", "method.segmentation=quickshift"],
        "method.segmentation=quickshift: choose it by segmentation@method.segmentation=quickshift",
    ),
    "mask sizes of a method without a mask": Mistake(
        ["method=lime", "sensitivity=mask_size"], "method LIME has no such key; it has n_segments, "
    ),
    "bits that no GPU has": Mistake(
        ["precision=fp8"], "precision=fp8: must be fp32, tf32, bf16 or fp16"
    ),
    "fewer bits for another runtime": Mistake(
        ["classifier._target_=tests.toys.Elsewhere", "precision=bf16"],
        "precision=bf16: test_resnet is computed outside PyTorch, where only precision=fp32 works",
    ),
    "a batch of a billion": Mistake(
        ["batch_size=1000000000"], "batch_size=1000000000: must be at most"
    ),
    "images of terabytes": Mistake(
        ["classifier.input_size=1000000000"],
        "classifier.input_size=1000000000: must be at most 4096",
    ),
    "samples for years": Mistake(
        ["method=lime", "method.n_samples=1000000000000"],
        "method.n_samples=1000000000000: must be at most 1000000",
    ),
    "a tab in a file of the configuration": Mistake(
        ["--config-dir={here}/own", "experiment=mine"],
        "/own/experiment/mine.yaml: line 2: found character",
        {"own/experiment/mine.yaml": "note:\n\t3\n"},
    ),
    "anchors that fill the memory": Mistake(
        ["--config-dir={here}/own", "experiment=mine"],
        "/own/experiment/mine.yaml: its anchors (&) repeat each other",
        {
            "own/experiment/mine.yaml": "a0: &a0 [x]\n"
            + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 20))
        },
    ),
    "a number in the place of a component": Mistake(
        ["--config-dir={here}/own", "experiment=mine"],
        "method=3: that is no component",
        {"own/experiment/mine.yaml": "# @package _global_\nmethod: 3\n"},
    ),
    "a note as long as a book": Mistake(
        [f"note={'a' * 20_000}"], "note: 20000 characters; write at most 10000"
    ),
    "a batch of nothing": Mistake(
        ["batch_size=0"], "batch_size=0: must be a whole number from 1 on, or auto"
    ),
    "no value to compare": Mistake(
        ["sensitivity.over=seed"], "sensitivity.values=[]: must be at least two different values"
    ),
    "a sweep outside its folder": Mistake(
        ["-m", "seed=0,1", "sweep_id=../../elsewhere"],
        "sweep_id=../../elsewhere: must be a name, of letters, digits, -, _ and .",
    ),
    "one value to compare": Mistake(
        ["sensitivity=seed", "sensitivity.values=[3]"],
        "sensitivity.values=[3]: must be at least two different values",
    ),
    "a seed that is none": Mistake(
        ["sensitivity=seed", "sensitivity.values=[3,many]"],
        "sensitivity.values: seed many must be a whole number",
    ),
    "a value that the method refuses": Mistake(
        ["method=sp", "sensitivity=patch_size", "sensitivity.values=[5,500]"],
        "method.patch_size=500: the classifier's images have 160 pixels",
    ),
    "a sweep whose members find no photos": Mistake(
        ["-m", "dataset=folder", "dataset.root={here}/nowhere", "seed=0,1"],
        "member 0 of the sweep (",
    ),
    "a sweep with a member that asks for too many photos": Mistake(
        ["-m", "selection.limit=2", "selection.held_out=0,100"],
        "selection.held_out=100: only 4 photos are left beside the evaluated ones",
    ),
    "the same where photos must be right": Mistake(
        ["-m", "selection.correct_only=true", "selection.limit=2", "selection.held_out=0,100"],
        "selection.held_out=100: only 4 photos are left beside the evaluated ones",
    ),
}
BOXES = [*FOLDER, "dataset.boxes={here}/boxes.csv"]
ONE_LINE |= {
    "a root whose photos are of kinds that cannot be read": Mistake(
        ["dataset=folder", "dataset.root={here}/empty"],
        ".webp); it has 1 .cr2, 1 without ending",
        {"empty/a.CR2": "", "empty/b": "", "empty/labels.csv": ""},
    ),
    "boxes as shares of the photo": Mistake(
        BOXES,
        "boxes.csv: all 1 boxes are smaller than a pixel or two, as shares of the photo are: "
        "dataset.box_units=relative?",
        {"boxes.csv": "image,x0,y0,x1,y1\na.png,0.1,0.1,0.5,0.5\n"},
    ),
    "boxes that are no shares of the photo": Mistake(
        [*BOXES, "dataset.box_units=relative"],
        "1 of 1 boxes are no shares of the photo, such as 1 1 9 9: dataset.box_units=pixels?",
        {"boxes.csv": "image,x0,y0,x1,y1\na.png,1,1,9,9\n"},
    ),
    "boxes as corner and size that are read as corners": Mistake(
        BOXES,
        "line 2: a box needs x0 < x1 and y0 < y1, unlike 20 5 9 9 as dataset.box_format=xyxy",
        {"boxes.csv": "image,x0,y0,x1,y1\na.png,20,5,9,9\n"},
    ),
    "boxes that are no numbers": Mistake(
        [*FOLDER, "dataset.boxes={here}/boxes.json"],
        "boxes.json: not COCO JSON (annotations[0]: bbox [1, 1, NaN, 9]",
        {
            "boxes.json": '{"images": [{"id": 1, "file_name": "a.png"}], '
            '"annotations": [{"image_id": 1, "bbox": [1, 1, NaN, 9]}]}'
        },
    ),
    "labels without commas": Mistake(
        LABELED,
        "labels.csv lacks the column image, label; commas separate its columns",
        {"labels.csv": "image;label\na.png;3\n"},
    ),
    "boxes without their columns": Mistake(
        BOXES,
        "boxes.csv lacks the columns of a box: x0,y0,x1,y1 or x,y,width,height or cx,cy,w,h",
        {"boxes.csv": "image,box\na.png,20 5 9 9\n"},
    ),
    "a format of boxes that does not exist": Mistake(
        [*BOXES, "dataset.box_format=yolo"],
        "dataset.box_format=yolo: must be xyxy, xywh or cxcywh, or null",
    ),
    "a folder of boxes that is not there": Mistake(
        [*FOLDER, "dataset.boxes={here}/nowhere"], "/nowhere: no such file or folder"
    ),
    "a folder without boxes": Mistake(
        [*FOLDER, "dataset.boxes={here}/empty"], "/empty: neither *.txt nor *.xml in it"
    ),
    "a folder whose files are of other photos": Mistake(
        [*FOLDER, "dataset.boxes={here}/empty"],
        "/empty names 1 photos that are not in",
        {"empty/b.txt": "3 0.5 0.5 1 1"},
    ),
    "boxes of another kind in a folder": Mistake(
        [*FOLDER, "dataset.boxes={here}/empty"],
        "a.txt: not the boxes of a photo (line 1: '3 0.5 0.5' is not like '0 0.5 0.5 0.2 0.2')",
        {"empty/a.txt": "3 0.5 0.5"},
    ),
    "a format that XML does not have": Mistake(
        [*FOLDER, "dataset.boxes={here}/empty", "dataset.box_format=xywh"],
        "dataset.box_format=xywh: XML has corners, as in {here}/empty; leave it at null",
        {"empty/a.xml": "<annotation/>"},
    ),
}
TYPED = {  # by which others end, as there are many
    "a group": (["methd=sp"], "methd: no such key; did you mean method=sp?"),
    "a group, which Hydra would append": (["+metod=sp"], "metod: no such key; there is protocol, "),
    "an option": (["method=spg"], "method=spg: no such option; did you mean sp-g or sp? There is"),
    "the case of an option": (["filler=LaMa"], "filler=LaMa: no such option; did you mean lama?"),
    "an experiment": (["experiment=tabel2"], "did you mean table2_localization?"),
    "an option in a list": (["metric=[deletoin]"], "metric=deletoin: no such option; did you mean"),
    "an option without a name": (["method="], "method=: no such option; there is boxes, captum, "),
    "a key of a method": (
        ["method=mp2", "method.steps=3"],
        "method.steps: no such key of method=mp2; did you mean method.max_steps=3",
    ),
    "a key that other methods have": (
        ["method=sp", "method.n_segments=3"],
        "method.n_segments=3: no such key of method=sp, but of method=captum, method=lime",
    ),
    "a key of a metric": (
        ["metric.deletion.stepz=1"],
        "did you mean metric.deletion.pixels_per_step=1? There is filler, pixels_per_step, ",
    ),
    "a key of the selection": (["selection.limt=2"], "did you mean selection.limit=2?"),
    "a key without its place": (["tie_seeds=2"], "did you mean metric.deletion.tie_seeds=2?"),
    "the first part of a key": (
        ["metrik.deletion.tie_seeds=2"],
        "mean metric.deletion.tie_seeds=2?",
    ),
    "a key of Hydra": (["hydra.run.dirr=x"], "did you mean hydra.run.dir=x?"),
    "a filler's place": (
        ["filler@metric.deletion.filer=gray"],
        "did you mean filler@metric.deletion.filler=gray?",
    ),
    "a group without its place": (
        ["method=lime", "segmentation=grid"],
        "did you mean segmentation@method.segmentation=grid?",
    ),
    "a group that nothing takes": (
        ["segmentation=grid"],
        "segmentation=grid: nothing that is chosen takes a segmentation",
    ),
    "a key to leave out": (["~metric.deletoin"], "did you mean ~metric.deletion?"),
    "a plus too many": (["+seed=1"], "seed: it is there already: leave out the +"),
    "a key without a value": (["seed=1", "method.stride"], "method.stride: give it a value, as "),
    "a number": (["threads=many"], "threads=many: must be a whole number"),
    "an empty number": (["seed="], "seed=: must be a whole number"),
    "a key of a number": (["seed.x=1"], "seed.x=1: seed is a whole number, without keys"),
    "a bracket": (["metric=[deletion"], "metric=[deletion: [ and ] do not match; a text"),
    "a quote": (["note=it's"], "note=it's: a quote is not closed; a text that holds one stands in"),
    "several values": (
        ["seed=1,2"],
        "seed=1,2: several values are a sweep: add -m; a list is",
    ),
    "an interpolation": (
        ["method=sp", "method.stride=${{protocl.stride}}"],
        "method.stride: ${{protocl.stride}} leads nowhere; did you mean ${{protocol.stride}}?",
    ),
    "an interpolation of a folder": (
        ["store=${{protocl.x}}"],
        "store: ${{protocl.x}} leads nowhere",
    ),
    "a flag": (["--mulitrun"], "--mulitrun: no such flag; did you mean --multirun?"),
    "two flags": (["-m", "--run"], "--run --multirun: only one of them at a time"),
    "a folder of options": (["--config-dir=nowhere"], "--config-dir nowhere: no such folder"),
    "an option in a sweep": (
        ["-m", "method=center,centre"],
        "method=centre: no such option; did you mean center?",
    ),
}
ONE_LINE |= {f"mistyped: {name}": Mistake(*mistake) for name, mistake in TYPED.items()}
LATE = ("only bad photos",)  # known once photos were opened


@dataclass
class Answer:
    """What the command said, and its exit code as a shell sees it."""

    text: str
    code: int


@pytest.fixture
def answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], Answer]:
    """Run the command in this process, which is what makes many cases affordable."""

    def run(typed: list[str]) -> Answer:
        places = [f"store={tmp_path}/heatmaps", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
        places += [f"hydra.run.dir={tmp_path}/run", f"hydra.sweep.dir={tmp_path}/sweep"]
        flags = [word for word in typed if word.startswith("-")]
        words = [word for word in typed if word not in flags]
        own = "classifier=callable" in words
        cheap = [word for word in CHEAP if not (own and word.startswith("classifier"))]
        monkeypatch.setattr(sys, "argv", ["run.py", *flags, *cheap, *places, *words])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as stopped:
            main()
        code = stopped.value.code
        told = capsys.readouterr().err
        return Answer(told + code, 1) if isinstance(code, str) else Answer(told, int(code))

    return run


def prepare(here: Path, mistake: Mistake) -> None:
    """Lay out what the mistakes speak of."""
    photo_file(here / "photos" / "a.png")
    for folder in ("bad", "empty"):
        (here / folder).mkdir()
    for name, content in mistake.files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(content)
    torch.save({"weight": torch.zeros(3)}, here / "other.pth")
    for word in mistake.typed:
        key, _, name = word.partition("={here}/")
        if key == "classifier.checkpoint" and name in CHECKPOINTS:
            torch.save(CHECKPOINTS[name](), here / name)


def nan_weights() -> dict[str, torch.Tensor]:
    network = timm.create_model("test_resnet")
    for weight in network.parameters():
        torch.nn.init.constant_(weight, torch.nan)
    return network.state_dict()


CHECKPOINTS: dict[str, Callable[[], object]] = {
    "nan.pth": nan_weights,
    "ten.pth": lambda: {"model": timm.create_model("test_resnet", num_classes=10).state_dict()},
    "network.pth": lambda: timm.create_model("test_resnet"),
}


def nothing_began(here: Path) -> bool:
    """Say whether there is no heatmap and no run but a failed one."""
    if (here / "heatmaps").exists():
        return False
    if not (here / "mlflow.db").exists():
        return True
    client = MlflowClient(f"sqlite:///{here}/mlflow.db")
    experiments = [one.experiment_id for one in client.search_experiments()]
    return {run.info.status for run in client.search_runs(experiments)} <= {"FAILED"}


@pytest.mark.parametrize("name", ONE_LINE)
def test_is_told_in_one_line(
    tmp_path: Path, name: str, answer: Callable[[list[str]], Answer]
) -> None:
    mistake = ONE_LINE[name]
    prepare(tmp_path, mistake)
    done = answer([word.format(here=tmp_path) for word in mistake.typed])
    assert done.code == 1
    line = done.text.strip().splitlines()[-1]
    assert line.startswith("genattr: ")
    assert mistake.told.format(here=tmp_path) in line
    assert "Traceback" not in done.text
    assert "secret" not in done.text
    assert "HYDRA_FULL_ERROR" not in done.text
    assert nothing_began(tmp_path)
    if name not in LATE:
        assert not {"run", "sweep", "mlflow.db"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["devices=3", "device=cuda"], "devices=3: this machine has 2 GPUs; or use all"),
        (["devices=2", "device=cuda:1"], "devices=2: device=cuda:1 is one GPU; use device=cuda"),
        (["-m", "device=cuda", "devices=3,all"], "devices=3: this machine has 2 GPUs; or use all"),
    ],
)
def test_gpus_that_are_not_there_are_told_before_anything_starts(
    tmp_path: Path,
    typed: list[str],
    told: str,
    answer: Callable[[list[str]], Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    done = answer(typed)
    assert told in done.text.strip().splitlines()[-1]
    assert "Traceback" not in done.text
    assert nothing_began(tmp_path)


def test_any_other_error_keeps_its_traceback(
    answer: Callable[[list[str]], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("nobody foresaw this")

    monkeypatch.setattr(Center, "explain", fail)
    done = answer([])
    assert done.code == 1
    assert "Traceback" in done.text
    assert "ArithmeticError: nobody foresaw this" in done.text


def test_an_error_that_nobody_foresaw_ends_a_run_before_it_begins(
    answer: Callable[[list[str]], Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Center, "check", Mock(side_effect=ArithmeticError("nobody foresaw this")))
    done = answer([])
    assert done.code == 1
    assert "ArithmeticError: nobody foresaw this" in done.text
    assert nothing_began(tmp_path)


@pytest.mark.parametrize(
    "words", ["Storage size calculation overflowed with sizes=[9]", "CUDA out of memory"]
)
def test_want_of_memory_before_a_run_begins_is_told_in_one_line(
    words: str, answer: Callable[[list[str]], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Center, "check", Mock(side_effect=RuntimeError(words)))
    assert words in answer([]).text.splitlines()[-1]
