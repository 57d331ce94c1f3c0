"""A DeepFill-v1 whose weights are drawn from a seed, as those behind the golden tensors were."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genattr.filler._deepfill.network import DeepFillNetwork, variable_names
from tests.conftest import REPO

CARRIED = REPO / "tests" / "data" / "deepfill"
SEED = 20180115
SHA256 = "9e6511d4"
GAINS = {"conv17": 0.8, "allconv17": 0.4, "pmconv6": 0.1, "pmconv9": 15.0}
Array = NDArray[Any]


@cache
def shapes() -> dict[str, tuple[int, ...]]:
    """Return the variables' shapes by name, in ascending order of the names."""
    network = DeepFillNetwork()
    found = {}
    for layer, variable in variable_names().items():
        kernel = network.get_parameter(f"{layer}.weight").permute(2, 3, 1, 0)
        found[f"{variable}/kernel"] = tuple(kernel.shape)
        found[f"{variable}/bias"] = (kernel.shape[-1],)
    return dict(sorted(found.items()))


@cache
def variables() -> dict[str, Array]:
    """Draw all variables from one stream; the hash says that they are the right ones."""
    stream, digest, drawn = np.random.default_rng(SEED), hashlib.sha256(), {}
    for name, shape in shapes().items():
        value = stream.standard_normal(shape) * _scale(name, shape)
        drawn[name] = value.astype(np.float32)
        digest.update(drawn[name].tobytes())
    assert digest.hexdigest().startswith(SHA256)
    return drawn


def _scale(name: str, shape: tuple[int, ...]) -> float:
    layer = name.split("/")[1]
    if name.endswith("bias"):
        return 0.01 if layer == "pmconv6" else 0.1
    return GAINS.get(layer, 1.3) / math.sqrt(math.prod(shape[:3]))


def write(folder: Path, prefix: str = "snap-0") -> Path:
    """Write the checkpoint: the index that TensorFlow wrote for it, and the drawn variables."""
    (folder / f"{prefix}.index").write_bytes((CARRIED / "snap-0.index").read_bytes())
    data = b"".join(value.tobytes() for value in variables().values())
    (folder / f"{prefix}.data-00000-of-00001").write_bytes(data)
    return folder


def network(sharpness: float = 1.0) -> DeepFillNetwork:
    """Return the network; what attention compares is scaled by the sharpness."""
    built = DeepFillNetwork().eval().requires_grad_(False)
    for layer, variable in variable_names().items():
        scale = sharpness if layer.endswith("pmconv6") else 1.0
        kernel = torch.from_numpy(variables()[f"{variable}/kernel"]).permute(3, 2, 0, 1)
        built.get_parameter(f"{layer}.weight").copy_(kernel * scale)
        bias = torch.from_numpy(variables()[f"{variable}/bias"])
        built.get_parameter(f"{layer}.bias").copy_(bias * scale)
    return built


@cache
def golden() -> dict[str, Array]:
    """Return the tensors that the authors' graph gave for those weights."""
    with np.load(CARRIED / "golden.npz") as file:
        return dict(file)


def nchw(values: Array) -> Tensor:
    """Turn (H, W, C) or (B, H, W, C) into (B, C, H, W)."""
    batch = values if values.ndim == 4 else values[None]
    return torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()


def nhwc(values: Tensor) -> Array:
    """Turn the only row of (1, C, H, W) into (H, W, C)."""
    assert len(values) == 1
    return values[0].permute(1, 2, 0).numpy()


def given(case: str) -> tuple[Tensor, Tensor]:
    """Return a golden case's photo, BGR in [-1, 1], and its hole."""
    image = nchw(golden()[f"{case}_image_bgr_u8"].astype(np.float32)) / 127.5 - 1
    hole = nchw(golden()[f"{case}_mask_u8"][..., None] > 127).float()
    return image, hole
