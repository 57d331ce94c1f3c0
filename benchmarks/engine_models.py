"""Which models run incrementally? Builds each with random weights and lets the engine decide.

    python -m benchmarks.engine_models > engine_models.txt
    python -m benchmarks.engine_models torchvision:resnet18 timm:dla34

Prints one model a line: its name, the share of its multiply-adds before the first operation that
is not local, and the engine; the last line is JSON, the names that run incrementally.
"""

from __future__ import annotations

import json
import sys

from benchmarks.components import component, prepare
from genattr.engine.choose import Engine

TIMM = (
    "tf_efficientnet_lite*", "efficientnet_lite*", "mobilenetv1_*", "mobilenetv2_*", "resnet18*",
    "resnet26*", "resnet34*", "resnet50", "resnet50d", "resnet101", "resnext50_32x4d", "dla34",
    "dla60", "repvgg_a0", "repvgg_b0", "darknet53", "regnetx_002", "regnetx_016", "fbnetc_100",
    "spnasnet_100", "mnasnet_100", "mixnet_s", "selecsls42", "xception41", "legacy_xception",
    "inception_v3", "inception_v4", "tf_mobilenetv3_small_minimal_100", "efficientnet_b0",
    "mobilenetv3_small_100", "resnetv2_50", "res2net50_26w_4s", "convnext_atto",
    "vit_tiny_patch16_224", "ghostnet_100", "hrnet_w18_small", "densenet121", "vgg11",
    "vgg16_bn", "seresnet50",
)  # fmt: skip
TORCHVISION = (
    "alexnet", "convnext_tiny", "densenet121", "densenet169", "efficientnet_b0", "googlenet",
    "inception_v3", "mnasnet0_5", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_x_400mf", "regnet_x_1_6gf", "regnet_y_400mf", "resnet18", "resnet34", "resnet50",
    "resnet101", "resnet152", "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_0",
    "squeezenet1_1", "vgg11", "vgg13", "vgg16", "vgg16_bn", "vgg19", "vit_b_16", "wide_resnet50_2",
)  # fmt: skip


def main() -> None:
    prepare(threads=1)
    names = sys.argv[1:] or [*(f"torchvision:{name}" for name in TORCHVISION), *timm_names()]
    incremental = []
    for name in names:
        engine = decide(name)
        if engine.is_incremental:
            incremental.append(name)
        share = f"{engine.graph.local_share:.3f}" if "graph" in engine.__dict__ else "  -  "
        told = "incremental" if engine.is_incremental else engine.obstacle
        print(f"{name:45} {share} {told}", flush=True)
    print(json.dumps(incremental))


def timm_names() -> list[str]:
    import timm

    found = [name for pattern in TIMM for name in timm.list_models(pattern)]
    return [f"timm:{name}" for name in dict.fromkeys(found)]


def decide(name: str) -> Engine:
    """Build a model as a run does, with random weights, and let the engine decide."""
    library, _, model = name.partition(":")
    weights = (
        "classifier.weights=null" if library == "torchvision" else "classifier.pretrained=false"
    )
    chosen = [f"classifier={library}", f"classifier.name={model}", weights]
    if model == "inception_v3" and library == "torchvision":
        chosen += ["classifier.input_size=299"]
    return Engine("auto", component("classifier", *chosen), 32)


if __name__ == "__main__":
    main()
