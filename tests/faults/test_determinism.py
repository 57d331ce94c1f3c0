"""Each method gives the same heatmap again: which cell of docs/determinism.md a test here shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet
from omegaconf import DictConfig

import genattr
from genattr.run import experiment
from genattr.types import Heatmap
from tests.contract.options import runnable, small
from tests.faults.conftest import Tally

SIZE = 64
NETWORK = [
    "classifier=callable",
    "classifier.path=tests.toys:load_network_of_imagenet",
    f"classifier.input_size={SIZE}",
    "target=predicted",
    "metric=[saliency]",
    "device=cpu",
]
STRIDE = 7  # of SP: 36 windows
TWO = ["selection.limit=2"]
DRAWN = [f"{method} filler=noise" for method in ("sp", "lime", "rise", "mp", "mp2")]
CASES: list[ParameterSet | str] = [*runnable("method"), *DRAWN]
NO_NETWORK = {"boxes", "center", "full", "masks", "random"}  # their maps read no classifier
# In batches of batch_size; others have sizes of their own.
IN_BATCHES = {"sp", "lime", "rise", "captum", "gradcam"}
PHOTOS_TOGETHER = ["mp", "mp-g", "mp2", "mp2-g", "fido-ca"]
ROUNDING = 1e-5
Maps = dict[str, Heatmap]
Once = Callable[[str], Maps]

every_method = pytest.mark.parametrize("case", CASES)


def heatmaps(folder: Path, case: str, *words: str, **changes: int) -> Maps:
    """Run a method, with further words after its name, and return the heatmaps by photo."""
    folder.mkdir(exist_ok=True)
    cfg = small(folder, *NETWORK, *f"method={case}".split(), *words)
    if "stride" in cfg.method:
        cfg.method.stride = STRIDE
    cfg.method.update(changes)
    if case == "masks":
        shutil.copy(folder / "masks" / "coffee.png", folder / "masks" / "camera.png")
    return explained(folder, cfg)


def explained(folder: Path, cfg: DictConfig) -> Maps:
    """Run what is configured and return the heatmaps by photo."""
    experiment.run(cfg, folder / "run")
    return {heatmap.image_id: heatmap for heatmap in genattr.load(folder / "run")}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Explain two photos with a method, once for all tests."""
    return cache(lambda case: heatmaps(tmp_path_factory.mktemp("once"), case, *TWO))


@pytest.fixture
def as_many_threads() -> Iterator[None]:
    """Give the process its number of threads back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def plain_name(case: str) -> str:
    """Return the name of a case's method, without its filler and the G of an inpainter."""
    return case.split()[0].removesuffix("-g")


def assert_equal(found: Maps, expected: Maps, tally: Tally, what: str) -> None:
    """Assert that photos of both have the same heatmaps to the last bit."""
    shared = found.keys() & expected.keys()
    assert shared
    for name in shared:
        assert torch.equal(found[name].values, expected[name].values), name
    tally(f"heatmaps made again, bit-equal: {what}", len(shared))


def largest_difference(found: Maps, expected: Maps) -> float:
    """Return how far apart any two values of the same photo are."""
    assert found.keys() == expected.keys()
    pairs = [(found[name].values, expected[name].values) for name in found]
    return max(float((one - other).abs().max()) for one, other in pairs)


def assert_close(found: Maps, expected: Maps, tally: Tally, what: str) -> None:
    """Assert that heatmaps differ by rounding alone."""
    assert largest_difference(found, expected) < ROUNDING
    tally(f"heatmaps made again, within 1e-5: {what}", len(found))


@every_method
def test_the_same_command_twice(tmp_path: Path, once: Once, case: str, tally: Tally) -> None:
    found = heatmaps(tmp_path / "a", case, *TWO)
    assert found.keys() == once(case).keys()
    assert_equal(found, once(case), tally, "same command")


@every_method
def test_another_order_of_photos(tmp_path: Path, once: Once, case: str, tally: Tally) -> None:
    found = heatmaps(tmp_path / "a", case, "selection.limit=null", "selection.sample=6")
    assert [name for name in found if name in once(case)] != list(once(case))
    assert_equal(found, once(case), tally, "other order")


@every_method
def test_two_shards(tmp_path: Path, once: Once, case: str, tally: Tally) -> None:
    found: Maps = {}
    for index in range(2):
        shard = ["selection.shard.count=2", f"selection.shard.index={index}"]
        found |= heatmaps(tmp_path / f"{index}", case, *TWO, *shard)
    assert found.keys() == once(case).keys()
    assert_equal(found, once(case), tally, "shards")


@every_method
def test_a_photo_that_was_explained_before(
    tmp_path: Path, once: Once, case: str, tally: Tally
) -> None:
    before = heatmaps(tmp_path / "a", case, "selection.limit=1")
    store = f"store={tmp_path / 'a' / 'heatmaps'}"
    found = heatmaps(tmp_path / "b", case, *TWO, store)
    assert [found[name].seconds for name in before] == [one.seconds for one in before.values()]
    assert found.keys() == once(case).keys()
    assert_equal(found, once(case), tally, "resumed")


@every_method
def test_two_processes(tmp_path: Path, once: Once, case: str, tally: Tally) -> None:
    found = heatmaps(tmp_path / "a", case, *TWO, "devices=2")
    assert found.keys() == once(case).keys()
    assert_equal(found, once(case), tally, "two processes")


@every_method
@pytest.mark.parametrize("size", [1, 64])
def test_another_batch_size(tmp_path: Path, once: Once, case: str, size: int, tally: Tally) -> None:
    found = heatmaps(tmp_path / "a", case, *TWO, f"batch_size={size}")
    check = assert_close if plain_name(case) in IN_BATCHES else assert_equal
    check(found, once(case), tally, "other batch size")


@every_method
@pytest.mark.usefixtures("as_many_threads")
def test_two_threads(tmp_path: Path, once: Once, case: str, tally: Tally) -> None:
    found = heatmaps(tmp_path / "a", case, *TWO, "threads=2")
    check = assert_equal if case in NO_NETWORK else assert_close
    check(found, once(case), tally, "two threads")


@pytest.mark.parametrize("method", PHOTOS_TOGETHER)
def test_photos_alone_and_together(tmp_path: Path, method: str, tally: Tally) -> None:
    alone, together = (
        heatmaps(tmp_path / f"{count}", method, *TWO, together=count) for count in (1, 2)
    )
    assert_close(alone, together, tally, "photos alone and together, 3 steps")


@pytest.mark.parametrize("method", ["sp", "sp-g"])
def test_windows_incrementally_and_whole(tmp_path: Path, method: str, tally: Tally) -> None:
    words = ["classifier=efficientnet_lite0", f"method={method}", "metric=[deletion]"]
    quick, whole = (
        explained(tmp_path / engine, small(tmp_path / engine, *words, f"engine={engine}"))
        for engine in ("incremental", "dense")
    )
    assert_close(quick, whole, tally, "dense engine")
