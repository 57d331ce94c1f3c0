"""Trainings of seconds: the loss falls, a kill changes nothing, two processes agree."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from genattr.filler._lightfill import weights
from genattr.filler._lightfill.network import ARCHITECTURE, LightFill
from genattr.tracking.base import NoTracking, Run
from genattr.training import checkpoint, reading
from genattr.training.discriminator import Discriminator
from genattr.training.gradients import Gradients
from genattr.training.processes import Processes
from genattr.training.run import Training
from genattr.training.schedule import Plan
from genattr.training.trainer import Trainer
from tests.contract.options import built, compose_config
from tests.training.conftest import launch, start
from tests.training.test_settings import read

CPU, ALONE = torch.device("cpu"), Processes(0, 1)
TOLD = ("l1", "gradient", "hinge", "judged_real", "judged_fake", "fooling", "feature_matching")


def losses(folder: Path) -> list[dict[str, float]]:
    with (folder / "losses.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    return [{key: float(value or "nan") for key, value in row.items()} for row in rows]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of 30 steps, in L1 alone but for its end, recorded in MLflow."""
    folder = tmp_path_factory.mktemp("trained")
    start(
        *(f"root={photos}", f"folder={folder}", "steps=30", "warmup=5", "lr=2e-3"),
        *("gan_from=0.9", "gan_full=1", "ema=0.8", "sample_every=15", "tracking=mlflow"),
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
    )
    return folder


def test_the_loss_falls(trained: Path) -> None:
    l1 = [row["l1"] for row in losses(trained)]
    assert len(l1) == 30
    assert np.mean(l1[-10:]) < 0.85 * np.mean(l1[:10])


def test_losses_and_sample_sheets_are_recorded(trained: Path) -> None:
    client = MlflowClient(f"sqlite:///{trained}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'training'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["steps"] == "30"
    for name in TOLD:
        recorded = client.get_metric_history(run.info.run_id, name)
        assert recorded[-1].step == 30
        assert recorded[-1].value == pytest.approx(losses(trained)[-1][name], rel=1e-4)
    assert {"held_out_l1_square", "held_out_psnr_strokes"} <= run.data.metrics.keys()
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"lightfill.safetensors", "losses.csv", "images"} <= names
    sheet = Image.open(trained / "samples/step_000030.png")
    assert sheet.size == (64 * 13, 64 * 2)


def test_the_filler_takes_what_was_written(trained: Path) -> None:
    file = trained / checkpoint.WEIGHTS
    with safe_open(file, "pt") as opened:
        told = opened.metadata()
    assert (told["architecture"], told["steps"]) == (ARCHITECTURE, "30")
    cfg = compose_config("filler=lightfill", f"filler.checkpoint={file}")
    filler = built(cfg.filler, "filler")
    images, hole = batch()
    network = LightFill().eval()
    network.load_state_dict(floats(load_file(file)))
    expected = network(images, 1 - hole).clamp(-1, 1) * 0.5 + 0.5
    filled = filler.fill(images * 0.5 + 0.5, hole.bool(), [0, 0])
    where = hole.bool().expand_as(images)
    assert torch.allclose(filled[where], expected[where], atol=1e-5)


def floats(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in state.items()}


def test_a_training_goes_on_from_given_weights(trained: Path) -> None:
    network = checkpoint.first_network(str(trained / "lightfill.safetensors"))
    assert same(network.state_dict(), floats(load_file(trained / "lightfill.safetensors")))
    file = trained / "discriminator.safetensors"
    assert same(checkpoint.first_discriminator(str(file)).state_dict(), load_file(file))
    assert same(checkpoint.first_network("shipped").state_dict(), weights.load(None).state_dict())


def test_the_license_of_weights_that_a_training_went_on_from_stays(tmp_path: Path) -> None:
    assert checkpoint.license_of(None) == checkpoint.OWN
    assert checkpoint.license_of("shipped") == weights.LICENSE
    weights.write(LightFill(), tmp_path / "x.safetensors", {"license": "MIT"})
    assert checkpoint.license_of(str(tmp_path / "x.safetensors")) == "MIT"


def test_a_killed_training_ends_as_one_that_was_not(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = [f"root={photos}", "steps=8", "save_every=2", "gan_from=0.1", "sample_every=5"]
    process = launch(*options, f"folder={killed}")
    wait_for(killed / checkpoint.FILE)
    process.kill()
    process.communicate()
    before = torch.load(killed / checkpoint.FILE, weights_only=True)
    assert 0 < before["step"] < 8
    start(*options, f"folder={killed}")
    start(*options, f"folder={whole}")
    for name in (checkpoint.WEIGHTS, checkpoint.DISCRIMINATOR):
        assert same(load_file(whole / name), load_file(killed / name))
    assert (whole / "losses.csv").read_text() == (killed / "losses.csv").read_text()
    capsys.readouterr()
    start(*options, f"folder={killed}")
    assert "finished before" in capsys.readouterr().out


class Records(NoTracking):
    """A tracking store that knows the tags of its runs."""

    def __init__(self) -> None:
        self.known: list[dict[str, str]] = []
        self.reopened: list[str] = []

    def start(self, name: str, params: dict[str, str], tags: dict[str, str]) -> Run:
        self.known.append(tags)
        return Run()

    def find(self, tags: dict[str, str]) -> list[str]:
        return [str(place) for place, known in enumerate(self.known) if known == tags]

    def reopen(self, run_id: str) -> Run:
        self.reopened.append(run_id)
        return Run()


def test_a_training_goes_on_in_its_record_where_that_is_still_there(
    photos: Path, tmp_path: Path
) -> None:
    reading.prepare(reading.find(photos, tmp_path), photos, tmp_path, 64, list)
    settings = read("steps=1", "stages=[{until:1,sizes:[64]}]")
    training, other = (Training(trainer(), settings, tmp_path, CPU, ALONE) for _ in range(2))
    here, there = Records(), Records()
    for one, place in ((training, here), (other, here), (training, here), (training, there)):
        one._open(place)
    assert (len(here.known), here.reopened) == (2, ["0"])
    assert (len(there.known), there.reopened) == (1, [])


def wait_for(file: Path) -> None:
    until = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_folder_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"step": 3}, read("steps=14", "lr=0.1"))
    found = checkpoint.read(tmp_path, read("steps=14", "lr=0.1", "log_every=7", "threads=1"))
    assert found is not None
    assert found["step"] == 3
    with pytest.raises(Exception, match=r"holds a training with steps=14, lr=0.1: start it as"):
        checkpoint.read(tmp_path, read("steps=15", "lr=0.2"))
    (tmp_path / checkpoint.FILE).write_bytes(b"half a file")
    with pytest.raises(Exception, match="is no checkpoint of a training"):
        checkpoint.read(tmp_path, read("steps=14"))


def test_two_processes_train_one_network(photos: Path, tmp_path: Path) -> None:
    options = [f"root={photos}", "steps=2", "gan_from=0", "gan_full=0"]
    process = launch(*options, f"folder={tmp_path}", processes=2)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert printed.count("finished 2 steps") == 1
    assert len(losses(tmp_path)) == 2
    weights.load(str(tmp_path / checkpoint.WEIGHTS))


def test_gradients_of_two_processes_are_averaged(tmp_path: Path) -> None:
    meet = str(tmp_path / "meet")
    torch.multiprocessing.start_processes(_averaging, (meet,), nprocs=2, start_method="spawn")


def _averaging(rank: int, meet: str) -> None:
    """In one of two processes: a gradient of 1 and one of 3 are 2 to both."""
    torch.distributed.init_process_group("gloo", f"file://{meet}", rank=rank, world_size=2)
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    gradients = Gradients([weight])
    (weight.sum() * (1 + 2 * rank)).backward()
    length = gradients.finish(100, Processes(rank, 2))
    assert weight.grad is not None
    assert weight.grad.eq(2).all()
    assert length == 4
    torch.distributed.destroy_process_group()


def test_a_gradient_is_shortened_and_cleared_where_it_lies() -> None:
    weight = torch.nn.Parameter(torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last))
    bias = torch.nn.Parameter(torch.zeros(5))
    gradients = Gradients([weight, bias])
    values = torch.arange(24.0).view(2, 3, 2, 2)
    ((weight * values).sum() + bias.sum()).backward()
    assert weight.grad is not None
    assert bias.grad is not None
    assert weight.grad.equal(values)
    assert weight.grad.stride() == weight.stride()
    length = gradients.finish(1.0, ALONE)
    assert length.item() == pytest.approx((values.square().sum() + 5).sqrt().item())
    assert bias.grad[0].item() == pytest.approx(1 / length.item(), rel=1e-5)
    gradients.clear()
    assert weight.grad.eq(0).all()


def trainer(*overrides: str) -> Trainer:
    torch.manual_seed(0)
    return Trainer(LightFill(), Discriminator(), read(*overrides), CPU, ALONE)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, 3, 64, 64, generator=generator) * 2 - 1
    hole = torch.zeros(2, 1, 64, 64)
    hole[..., 16:48, 16:40] = 1
    return images, hole


def test_the_adversarial_gradient_is_as_long_as_asked() -> None:
    made = trainer("adversarial=1.2")
    pull, push = torch.full((4,), 3.0), torch.full((4,), 0.5)
    assert made._scale(pull, push, 1.2).item() == pytest.approx(1.2 * 6)
    sudden = made._scale(pull, push * 100, 1.2)  # bounded by twice the ratio of this step
    assert sudden.item() == pytest.approx(1.2 * 2 * 3 / 50)


def test_a_gradient_that_is_no_number_changes_no_weight_but_by_decay() -> None:
    made = trainer("weight_decay=0")
    before = {name: one.clone() for name, one in made.network.state_dict().items()}
    images, hole = batch()
    images[0, 0, 0, 0] = torch.nan
    made.step(images, hole, Plan(64, 2, 1e-3, False, 0.0), 0.5)
    assert same(made.network.state_dict(), before)


def test_bf16_steps_are_near_those_of_fp32() -> None:
    plan = Plan(64, 2, 1e-3, True, 1.0)
    full, low = (trainer(f"precision={bits}") for bits in ("fp32", "bf16"))
    told, reduced = (made.step(*batch(), plan, 0.5) for made in (full, low))
    assert reduced["l1"].item() == pytest.approx(told["l1"].item(), rel=0.02)
    assert reduced["gradient"].item() == pytest.approx(told["gradient"].item(), rel=0.1)


def test_the_running_mean_is_between_before_and_after() -> None:
    made = trainer()
    before = made.network.out.weight.detach().clone()
    made.step(*batch(), Plan(64, 2, 1e-2, False, 0.0), 0.75)
    expected = 0.75 * before + 0.25 * made.network.out.weight
    assert torch.allclose(made.ema.out.weight, expected, atol=1e-7)
