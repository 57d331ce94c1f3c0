"""How often is a classifier's first choice the label? Top-1 on a dataset, by the project's loader.

    python -m benchmarks.accuracy classifier=efficientnet_lite0,efficientnet_lite2 dataset=samples

Takes the overrides of run.py; several classifiers are measured in turn. Photos count that have a
label. The last line is JSON.
"""

from __future__ import annotations

import json
import sys

import torch
from rich.progress import track

from benchmarks.components import component, prepare
from genattr.analysis.statistics import estimate
from genattr.protocols import Classifier, Dataset

BATCH = 32


@torch.no_grad()
def hits(classifier: Classifier, dataset: Dataset, name: str) -> list[float]:
    """Say for each labeled photo whether the first choice is its label, 1 or 0."""
    found = []
    for start in track(range(0, len(dataset), BATCH), description=name):
        rows = range(start, min(start + BATCH, len(dataset)))
        samples = [dataset.load(row, classifier.input_size) for row in rows]
        samples = [sample for sample in samples if sample.label is not None]
        choices = classifier(torch.stack([sample.image for sample in samples])).argmax(dim=1)
        labels = torch.tensor([sample.label for sample in samples])
        found += (choices == labels).float().tolist()
    return found


def main() -> None:
    prepare()
    classifiers = [word for word in sys.argv[1:] if word.startswith("classifier=")]
    names = classifiers[0].partition("=")[2].split(",") if classifiers else ["efficientnet_lite0"]
    rest = [word for word in sys.argv[1:] if word not in classifiers]
    report = {}
    for name in names:
        dataset = component("dataset", *rest)
        found = estimate(hits(component("classifier", f"classifier={name}", *rest), dataset, name))
        print(f"{name}: top-1 {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}], n = {found.n}")
        report[name] = round(found.mean, 4)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
