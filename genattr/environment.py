"""The machine: memory allocator, threads, device, and what is installed on it."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from genattr.errors import require
from genattr.memory import Room
from genattr.ops.foreign import telling
from genattr.protocols import Classifier

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
USUAL_BATCH, LARGEST_BATCH = 32, 512
PACKAGES = (
    "genattr", "torch", "torchvision", "timm", "numpy", "scikit-image", "opencv-python-headless",
    "lime", "scikit-learn", "hydra-core", "mlflow",
)  # fmt: skip


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep freed blocks instead of unmapping them.

    Large activations are otherwise mapped and faulted in again at every operation. The setting
    holds for the whole process.

    Returns
    -------
    Whether the allocator took the setting; False where there is no glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def resolve_device(name: str) -> torch.device:
    """Return the device of ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; check it exists."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    is_supported = device.type in ("cpu", "cuda", "mps")
    require(is_supported, f"device={name}: must be auto, cpu, cuda, cuda:<index> or mps")
    there = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    require(there[device.type], f"device={name}: this machine has none; device=cpu works anywhere")
    return device


def resolve_devices(devices: int | str, device: torch.device) -> list[torch.device]:
    """Return the devices that share one run, a process each.

    Parameters
    ----------
    devices
        How many, or ``all`` that this machine has.
    device
        The run's device. A GPU without an index stands for all GPUs, and a CPU may have any number
        of processes.

    Raises
    ------
    UserError
        If there are not so many.
    """
    if devices == 1:
        return [device]
    require(
        device.type != "cuda" or device.index is None,
        f"devices={devices}: device={device} is one GPU; use device=cuda for several",
    )
    if device.type != "cuda" and devices == "all":
        return [device]
    if device.type == "cuda":
        there = torch.cuda.device_count()
        wanted = there if devices == "all" else int(devices)
        require(wanted <= there, f"devices={devices}: this machine has {there} GPUs; or use all")
        return [torch.device("cuda", index) for index in range(wanted)]
    require(device.type == "cpu", f"devices={devices}: there is one {device}; leave devices out")
    return [device] * int(devices)


def prepare(device: str, threads: int | None, tune_allocator: bool) -> torch.device:
    """Set threads, allocator and full float32 for this process and return the device."""
    resolved = resolve_device(device)
    allow_tf32(False)  # its 10 bits change heatmaps
    if threads is not None:
        torch.set_num_threads(threads)
    if tune_allocator and resolved.type == "cpu":
        keep_freed_memory()
    return resolved


def allow_tf32(allowed: bool) -> None:
    """Let GPUs that have TF32 compute products of float32 with it, or not, in the whole process."""
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


@contextmanager
def tf32() -> Iterator[None]:
    """Allow TF32 for a while, and full float32 afterwards."""
    allow_tf32(True)
    try:
        yield
    finally:
        allow_tf32(False)


def has_tf32(device: torch.device) -> bool:
    """Whether a device can compute with TF32."""
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return torch.cuda.is_tf32_supported()


def fitting_batch(classifier: Classifier, device: torch.device) -> int:
    """Return the batch size: as many images as fit a GPU's memory, or 32 on other devices.

    Gradients keep activations that a plain pass frees, so a plain pass may use a quarter of the
    memory. So the same card always takes the same batch, unless other processes leave too little:
    then a third of what is free counts, and the log says so.
    """
    if device.type != "cuda":
        return USUAL_BATCH
    size = classifier.input_size
    images = torch.zeros(USUAL_BATCH, 3, size, size, device=device)

    @torch.no_grad()
    def measured(rows: int) -> float:
        classifier(images[:1])
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        classifier(images[:rows])
        return (torch.cuda.max_memory_allocated(device) - before) / rows

    with telling(f"classifier {classifier.title} fails on black images of {size} px"):
        an_image = Room("batch_size", USUAL_BATCH).fit(measured)
    free, total = torch.cuda.mem_get_info(device)
    usual, most = (power_of_two(int(memory / max(an_image, 1))) for memory in (total / 4, free / 3))
    if most < usual:
        log.warning(
            "batch_size=auto: %d images instead of %d, as other processes use the memory of %s; "
            "that moves scores by less than 1e-5", most, usual, device,
        )  # fmt: skip
    return min(usual, most)


def power_of_two(limit: int) -> int:
    """Return the largest power of two up to a limit, and at most 512."""
    return int(2 ** (min(max(limit, 1), LARGEST_BATCH).bit_length() - 1))


def describe(device: torch.device) -> dict[str, str]:
    """Return versions, revision and device, for reproducing the numbers."""
    facts = {"python": sys.version.split()[0], "platform": platform.platform()}
    facts |= {"device": str(device), "threads": str(torch.get_num_threads())}
    facts["cpu"] = torch.backends.cpu.get_cpu_capability()  # rounding follows it
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts | _versions() | {"git_revision": git_revision()}


def host() -> str:
    """Return this machine's name."""
    return platform.node()


def process() -> str:
    """Return a unique name of this process over all machines: host, number, start time."""
    import psutil

    return f"{platform.node()} {os.getpid()} {psutil.Process().create_time():.1f}"


def has_ended(name: str) -> bool:
    """Whether a process of this machine, named as by ``process``, has ended."""
    import psutil

    host, _, rest = name.rpartition(" ")[0].rpartition(" ")
    if not host or host != platform.node():
        return False
    try:
        started = psutil.Process(int(rest)).create_time()
    except psutil.NoSuchProcess:
        return True
    return bool(abs(started - float(name.rpartition(" ")[2])) > 1)


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


def git_revision() -> str:
    """Return the checkout's commit, with ``+changes`` if the tree differs; empty outside git."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    revision = _git(root, "rev-parse", "HEAD")
    return revision + ("+changes" if _git(root, "status", "--porcelain") else "")


def _git(root: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(  # noqa: S603, of fixed words
            ["git", "-C", str(root), *arguments],  # noqa: S607, the user's own git
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip()
