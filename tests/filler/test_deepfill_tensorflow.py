"""DeepFill in TensorFlow: as the authors' graph, and as the PyTorch network on anything else."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genattr.errors import UserError
from genattr.filler._deepfill import tensorflow
from genattr.filler._deepfill.tensor_bundle import read_index, tensors
from genattr.filler.deepfill import DeepFill
from tests.contract.options import built, compose_config
from tests.filler import seeded_deepfill as seeded
from tests.filler.seeded_deepfill import golden, nhwc

ATOL = 5e-5
pytestmark = pytest.mark.slow
with_tensorflow = pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs tensorflow")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded.write(tmp_path_factory.mktemp("checkpoint"))


def build(checkpoint: Path, *overrides: str) -> DeepFill:
    given = ["filler.weights=null", f"filler.checkpoint={checkpoint}", *overrides]
    return built(compose_config("filler=deepfill", *given).filler, "filler")


def run(prefix: Path, image: Tensor, hole: Tensor) -> Tensor:
    given = (part.permute(0, 2, 3, 1).contiguous().numpy() for part in (image, hole))
    return torch.from_numpy(tensorflow.load(prefix)(*given)).permute(0, 3, 1, 2)


@with_tensorflow
@pytest.mark.parametrize("case", ["s", "chelsea"])
def test_it_is_the_authors_graph(checkpoint: Path, case: str) -> None:
    found = run(checkpoint / "snap-0", *seeded.given(case))
    assert np.allclose(nhwc(found), golden()[f"{case}_complete"], rtol=0, atol=ATOL)


def scene(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return two smooth photos, a rectangular hole in one, the other removed whole."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(2, 3, 5, 5, generator=generator) * 2 - 1
    holes = torch.ones(2, 1, *size)
    holes[0] = 0
    holes[0, 0, size[0] // 4 : size[0] // 2, size[1] // 3 : size[1] // 2] = 1
    return nn.functional.interpolate(coarse, size, mode="bicubic").clamp(-1, 1), holes


@with_tensorflow
@pytest.mark.parametrize("size", [(64, 96), (8, 8), (40, 168), (256, 256)])
def test_parity_with_pytorch(checkpoint: Path, size: tuple[int, int]) -> None:
    images, holes = scene(size)
    with torch.no_grad():
        expected = seeded.network()(images, holes)
    found = run(checkpoint / "snap-0", images, holes)
    assert torch.allclose(found, expected, rtol=0, atol=ATOL)


def write_as_a_trainer_would(folder: Path, sharpness: float) -> Path:
    """Save with TensorFlow: other variables too, another name, so other offsets."""
    import tensorflow as tf

    values = {**seeded.variables(), "discriminator/conv1/kernel": np.ones((5, 5, 3, 8), "f4")}
    for name in values:
        if "/pmconv6/" in name:
            values[name] = values[name] * np.float32(sharpness)
    values |= {f"{name}/Adam": value * 0 for name, value in list(values.items())}
    values["a_step"] = np.array(900, dtype=np.int64)
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "snap-900"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(values[name]) for name in names],
    )
    return folder


@with_tensorflow
@pytest.mark.parametrize("sharpness", [0.1, 10.0])
def test_parity_on_a_checkpoint_of_a_trainer_with_soft_or_sharp_attention(
    tmp_path: Path, sharpness: float
) -> None:
    folder = write_as_a_trainer_would(tmp_path, sharpness)
    images, holes = ((scene((40, 64))[0] + 1) / 2, scene((40, 64))[1] > 0)
    fills = [
        build(folder, "filler.size=null", f"filler.backend={backend}").fill(images, holes, [0, 0])
        for backend in ("pytorch", "tensorflow")
    ]
    assert torch.allclose(*fills, rtol=0, atol=ATOL)
    with torch.no_grad():
        complete = seeded.network(sharpness)(images.flip(1) * 2 - 1, holes.float())
    assert torch.allclose(fills[0], (complete.flip(1) + 1) / 2, rtol=0, atol=ATOL)


@with_tensorflow
def test_tensorflow_reads_what_we_read(checkpoint: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    own = write_as_a_trainer_would(tmp_path, 1.0) / "snap-900"
    for prefix in (checkpoint / "snap-0", own):
        reader = tf.train.load_checkpoint(str(prefix))
        names = set(reader.get_variable_to_shape_map()) - {"a_step"}
        entries = read_index(prefix.with_name(prefix.name + ".index"))
        assert names == entries.keys()
        found = tensors(prefix.with_name(prefix.name + ".data-00000-of-00001"), entries)
        assert all(np.array_equal(found[name], reader.get_tensor(name)) for name in names)


@with_tensorflow
def test_a_damaged_checkpoint_is_refused_before_tensorflow_sees_it(tmp_path: Path) -> None:
    data = seeded.write(tmp_path) / "snap-0.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    images, holes = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16, dtype=torch.bool)
    with pytest.raises(UserError, match="inpaint_net/xconv9_atrous/kernel is damaged"):
        build(tmp_path, "filler.backend=tensorflow", "filler.size=null").fill(images, holes, [0])


def test_without_tensorflow_one_line_says_how_to_get_it(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    filler = build(checkpoint, "filler.backend=tensorflow", "filler.size=null")
    told = re.escape("filler.backend=tensorflow needs pip install 'genattr[tensorflow]'")
    with pytest.raises(UserError, match=f"^{told}$"):
        filler.fill(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16, dtype=torch.bool), [0])
