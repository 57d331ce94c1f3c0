"""LIME on superpixels, against the ``lime`` package.

    python -m benchmarks.lime
    python -m benchmarks.lime --short

Both explain the same photos with the same superpixels and the same random samples, each in a
process of its own, in turn, on one thread; CPU seconds count, without imports and weights. The
package runs as people run it: batches of 10, the network as its library builds it, the default
allocator. Fails if the weights of the superpixels differ. The last line is JSON.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import turns
from benchmarks.components import component, prepare, started
from genattr import config
from genattr.filler.base import IMAGENET_MEAN
from genattr.method.lime import sample_bits
from genattr.ops.superpixels import superpixels
from genattr.probe import Probe
from genattr.types import Sample

MODULE = "benchmarks.lime"
LARGEST_DIFFERENCE = 1e-4  # of a superpixel's weight


def main() -> None:
    parser = turns.parser(str(__doc__))
    parser.add_argument("--samples", type=int, default=1000, help="320 where --short")
    parser.add_argument("--photos", type=int, default=2, help="1 where --short")
    options = parser.parse_args()
    if options.short:
        options.rounds, options.samples, options.photos = 1, 320, 1
    if turns.worked(options, lambda way: work(way, options.samples, options.photos)):
        return
    sizes = ("--samples", str(options.samples), "--photos", str(options.photos))
    found = turns.in_turn(MODULE, ("genattr", "lime"), options.rounds, *sizes)
    cpu = turns.cpu_seconds(found, "LIME")
    difference = float((found["genattr"][0]["weights"] - found["lime"][0]["weights"]).abs().max())
    assert difference < LARGEST_DIFFERENCE, f"weights differ by {difference}"
    report = {"vs_lime": round(cpu["lime"] / cpu["genattr"], 2), "cpu_s": cpu}
    report |= {"largest_difference": difference, "samples": options.samples}
    report |= {"photos": options.photos, "rounds": options.rounds, "threads": 1}
    print(json.dumps(report))


def work(way: str, samples: int, photos: int) -> turns.Result:
    """Explain the embedded photos; return the superpixels' weights as maps."""
    config.register()
    dataset = component("dataset")
    method = component("method", "method=lime", f"method.n_samples={samples}")
    chosen = [dataset.load(index, 224) for index in range(photos)]
    return ours(method, chosen) if way == "genattr" else theirs(method, chosen)


def ours(method: Any, photos: list[Sample]) -> turns.Result:
    prepare(threads=1)
    classifier, filler = started(), component("filler", "filler=gray")
    start = time.process_time()
    maps = [
        method.explain(Probe(photo, int(photo.label or 0), classifier, filler)).values
        for photo in photos
    ]
    return {"cpu_s": time.process_time() - start, "weights": torch.stack(maps)}


def theirs(method: Any, photos: list[Sample]) -> turns.Result:
    score = as_people_write_it()
    start = time.process_time()
    maps = [explain(method, photo, score) for photo in photos]
    return {"cpu_s": time.process_time() - start, "weights": torch.stack(maps)}


def as_people_write_it() -> Any:
    """Return the function that the package asks for: images (n, H, W, 3) to probabilities."""
    classifier = component("classifier")
    network = classifier.build().eval()
    mean, std = (torch.tensor(list(x)).view(1, -1, 1, 1) for x in (classifier.mean, classifier.std))

    def score(pixels: NDArray[np.float64]) -> NDArray[np.float32]:
        images = torch.from_numpy(np.asarray(pixels)).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            return network((images - mean) / std).softmax(1).numpy()  # type: ignore[no-any-return]

    return score


def explain(method: Any, photo: Sample, score: Any) -> Tensor:
    """Run the package on one photo."""
    from lime.lime_image import LimeImageExplainer

    segments = superpixels(photo.image, method.n_segments, method.compactness, method.sigma)
    label, count = int(photo.label or 0), int(segments.max()) + 1
    probe = Probe(photo, label, component("classifier"), component("filler"))
    bits = sample_bits(method.n_samples, count, probe.generator("lime"))
    explanation = LimeImageExplainer(random_state=Drawn(bits)).explain_instance(
        photo.image.permute(1, 2, 0).double().numpy(),
        score,
        labels=(label,),
        top_labels=None,
        hide_color=IMAGENET_MEAN,
        num_samples=method.n_samples,
        batch_size=10,
        segmentation_fn=lambda _: segments.numpy(),
    )
    weights = torch.zeros(count)
    for segment, weight in explanation.local_exp[label]:
        weights[segment] = weight
    return weights[segments]


class Drawn(np.random.RandomState):
    """Draws the bits that are given."""

    def __init__(self, bits: Tensor) -> None:
        super().__init__(0)
        self.bits = bits.long().numpy()

    def randint(self, *_: Any, **__: Any) -> Any:
        return self.bits.flatten()


if __name__ == "__main__":
    main()
