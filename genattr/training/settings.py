"""The keys of a training and what they may be. Light to import."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from genattr.config import check_known
from genattr.errors import require

FOLDER = Path(__file__).resolve().parent / "conf"
SHIPPED = "shipped"  # value of init: the weights that come with genattr
COARSEST = 32  # pixels that the discriminator's coarsest cell spans: crops are multiples
FREE = (  # may change where a training goes on
    *("root", "folder", "device", "threads", "tracking"),
    *("log_every", "save_every", "sample_every"),
)


@dataclass
class Stage:
    """Crop sizes in turn until a share of the steps; conf/train.yaml says what each key means."""

    until: float = MISSING
    sizes: list[int] = MISSING


@dataclass
class HoleMixture:
    """How often each kind of hole is drawn, relative to the others."""

    square: float = MISSING
    superpixels: float = MISSING
    cells: float = MISSING
    object: float = MISSING
    boxes: float = MISSING
    strokes: float = MISSING


@dataclass
class Settings:
    """All keys; conf/train.yaml gives values and says what they mean."""

    root: str = MISSING
    name: str = MISSING
    folder: str = MISSING
    init: str | None = MISSING
    init_discriminator: str | None = MISSING
    steps: int = MISSING
    stages: list[Stage] = MISSING
    batch: int = MISSING
    gray: float = MISSING
    holes: HoleMixture = field(default_factory=HoleMixture)
    lr: float = MISSING
    warmup: int = MISSING
    weight_decay: float = MISSING
    adversarial: float = MISSING
    feature_matching: float = MISSING
    gan_from: float = MISSING
    gan_full: float = MISSING
    ema: float = MISSING
    seed: int = MISSING
    device: str = MISSING
    precision: str = MISSING
    threads: int | None = MISSING
    held_out: int = MISSING
    log_every: int = MISSING
    save_every: int = MISSING
    sample_every: int = MISSING
    tracking: Any = MISSING

    @property
    def largest(self) -> int:
        """The largest crop, in pixels."""
        return max(size for stage in self.stages for size in stage.sizes)

    def lasting(self) -> dict[str, Any]:
        """Return what must stay as it is where a training goes on."""
        return {key: value for key, value in asdict(self).items() if key not in FREE}


AT_LEAST = {
    **dict.fromkeys(("steps", "batch", "log_every", "save_every", "sample_every"), 1),
    **dict.fromkeys(("warmup", "held_out", "weight_decay", "seed"), 0),
    **dict.fromkeys(("adversarial", "feature_matching"), 0),
}
SHARES = ("gray", "gan_from", "gan_full")


def register() -> None:
    """Make the schema known to Hydra."""
    ConfigStore.instance().store(name="training_schema", node=Settings)


def read(cfg: DictConfig) -> Settings:
    """Check keys and values; UserError names the first that is wrong."""
    check_known(cfg, Settings, "")
    check_known(cfg.holes, HoleMixture, "holes.")
    require(not OmegaConf.is_missing(cfg, "root"), "root is missing: give root=/folder/of/photos")
    settings = OmegaConf.to_object(cfg)
    assert isinstance(settings, Settings)
    _check_numbers(settings)
    _check_stages(settings.stages)
    return settings


def _check_numbers(settings: Settings) -> None:
    for key, least in AT_LEAST.items():
        value = getattr(settings, key)
        require(value >= least, f"{key}={value}: must be at least {least}")
    for key in SHARES:
        value = getattr(settings, key)
        require(0 <= value <= 1, f"{key}={value}: must be a share, 0 to 1")
    threads = settings.threads
    require(threads is None or threads >= 1, f"threads={threads}: must be at least 1")
    require(settings.lr > 0, f"lr={settings.lr}: must be more than 0")
    require(0 <= settings.ema < 1, f"ema={settings.ema}: must be 0 or more and less than 1")
    ordered = settings.gan_from <= settings.gan_full
    require(ordered, f"gan_full={settings.gan_full}: must be at least gan_from={settings.gan_from}")
    valid = settings.precision in ("auto", "fp32", "bf16")
    require(valid, f"precision={settings.precision}: must be auto, fp32 or bf16")
    shares = [getattr(settings.holes, entry.name) for entry in fields(HoleMixture)]
    good = min(shares) >= 0 and sum(shares) > 0
    require(good, "holes: no share may be negative, and one must be more than 0")


def _check_stages(stages: list[Stage]) -> None:
    ends = [stage.until for stage in stages]
    rising = ends == sorted(set(ends)) and ends[-1:] == [1] and ends[0] > 0
    require(rising, f"stages: until must rise from more than 0 to 1, and is {ends}")
    for stage in stages:
        good = bool(stage.sizes) and all(
            size >= 2 * COARSEST and size % COARSEST == 0 for size in stage.sizes
        )
        require(good, f"stages: sizes={stage.sizes} must be multiples of {COARSEST} from 64 on")
