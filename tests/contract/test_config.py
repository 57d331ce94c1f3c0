"""YAML and code agree, for every option of every group."""

from __future__ import annotations

import inspect

import pytest
from hydra.errors import ConfigCompositionException
from hydra.utils import get_class
from omegaconf import OmegaConf

from genattr import config
from genattr.errors import UserError
from tests.conftest import REPO
from tests.contract.options import COMPONENTS, built, compose_config, options

ALL = [(group, option) for group in COMPONENTS for option in options(group)]


def node_of(group: str, option: str) -> dict[str, object]:
    if group == "segmentation":
        cfg = compose_config("method=lime", f"segmentation@method.segmentation={option}")
        return OmegaConf.to_container(cfg.method.segmentation, resolve=True)
    override = f"metric=[{option}]" if group == "metric" else f"{group}={option}"
    cfg = compose_config(override)
    node = cfg.metric[option] if group == "metric" else cfg[group]
    return OmegaConf.to_container(node, resolve=True)


@pytest.mark.parametrize(("group", "option"), ALL)
def test_yaml_keys_are_the_constructors_parameters(group: str, option: str) -> None:
    check_keys(node_of(group, option))


def check_keys(node: dict[str, object]) -> None:
    parameters = inspect.signature(get_class(node["_target_"])).parameters
    assert node.keys() - {"_target_"} == parameters.keys()
    for value in node.values():
        if isinstance(value, dict) and "_target_" in value:
            check_keys(value)


@pytest.mark.parametrize(("group", "option"), ALL)
def test_components_are_frozen_dataclasses(group: str, option: str) -> None:
    target = get_class(node_of(group, option)["_target_"])
    assert target.__dataclass_params__.frozen


@pytest.mark.parametrize(
    ("method", "filler"), [("sp", "gray"), ("lime", "gray"), ("mp", "blur"), ("mp2", "blur")]
)
def test_g_presets_take_an_inpainter_and_the_command_line_wins(method: str, filler: str) -> None:
    assert "lightfill" in compose_config(f"method={method}-g").filler._target_
    assert "telea" in compose_config(f"method={method}-g", "filler=telea").filler._target_
    assert filler in compose_config(f"method={method}").filler._target_


def test_mp2_takes_a_filler_to_rank_by() -> None:
    assert compose_config("method=mp2").method.rank_filler is None
    chosen = compose_config("method=mp2", "filler@method.rank_filler=telea")
    assert "telea" in chosen.method.rank_filler._target_
    assert "blur" in compose_config("method=mp2-g").method.rank_filler._target_
    without = compose_config("method=mp2-g", "~filler@method.rank_filler")
    assert without.method.rank_filler is None


QUICKSHIFT = "segmentation@method.segmentation=quickshift"


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (["method=lime"], (50, 30, 3, "slic")),
        (["method=lime", "method.n_segments=150", "method.sigma=1"], (150, 30, 1, "slic")),
        (["method=lime", "method.n_segments=150", "filler.n_segments=7"], (7, 30, 3, "slic")),
        (["method=lime", "method.compactness=5", QUICKSHIFT], (50, 5, 3, "quickshift")),
        (["method=lime", "segmentation@filler.segmentation=grid"], (50, 30, 3, "grid")),
        (["method=sp"], (50, 30, 3, None)),
        (["method=sp", "+method.n_segments=9"], (50, 30, 3, None)),
        (["method=sp", "segmentation@filler.segmentation=grid"], (50, 30, 3, "grid")),
    ],
)
def test_the_mean_segment_follows_the_method(
    overrides: list[str], same: tuple[int, int, int, str | None]
) -> None:
    for key in ("filler", "metric.deletion.filler"):
        chosen = [override.replace("filler.", f"{key}.") for override in overrides]
        where = "filler" if key == "filler" else f"filler@{key}"
        cfg = compose_config("metric=[deletion]", f"{where}=mean_segment", *chosen)
        filler = built(OmegaConf.select(cfg, key), "filler")
        option = None if filler.segmentation is None else filler.segmentation.option
        assert (filler.n_segments, filler.compactness, filler.sigma, option) == same


def test_a_metrics_filler_is_its_own() -> None:
    cfg = compose_config("filler=mirror", "filler@metric.deletion.filler=blur")
    assert "mirror" in cfg.filler._target_
    assert "blur" in cfg.metric.deletion.filler._target_


def test_protocols_set_knobs_and_typed_keys_win() -> None:
    assert compose_config("protocol=corrected").method.upsample == "centered"
    typed = compose_config("protocol=corrected", "method.upsample=stretch")
    assert typed.method.upsample == "stretch"


ALL_PHOTOS = {
    "names": None,
    "limit": None,
    "sample": None,
    "seed": 0,
    "correct_only": False,
    "held_out": 0,
    "held_out_names": None,
    "shard": {"index": 0, "count": 1},
}
PAPER = ALL_PHOTOS | {"sample": 2000, "correct_only": True, "held_out": 1000}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [([], ALL_PHOTOS), (["selection=all"], ALL_PHOTOS), (["selection=paper"], PAPER)],
)
def test_selections(overrides: list[str], expected: dict[str, object]) -> None:
    cfg = compose_config(*overrides)
    assert OmegaConf.to_object(cfg.selection) == config.Selection(
        **(expected | {"shard": config.Shard(**expected["shard"])})
    )
    config.check(cfg)


@pytest.mark.parametrize("override", ["limit=5", "held_out=3", "correct_only=false", "seed=9"])
def test_a_typed_key_wins_over_the_chosen_selection(override: str) -> None:
    key, _, value = override.partition("=")
    typed = f"selection.{override}"
    for order in (("selection=paper", typed), (typed, "selection=paper")):
        assert str(compose_config(*order).selection[key]).lower() == value


@pytest.mark.parametrize("option", options("selection"))
@pytest.mark.parametrize("override", ["limit=abc", "correct_only=perhaps", "shard.index=x"])
def test_the_schema_still_checks_the_types_of_a_selection(option: str, override: str) -> None:
    with pytest.raises(ConfigCompositionException, match=override.partition("=")[0]):
        compose_config(f"selection={option}", f"selection.{override}")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["+method.foo=1"], r"method\.foo: no such option; there is patch_size"),
        (["method.patch_size=abc"], r"method\.patch_size=abc: it should be a valid integer"),
        (["method.stride=0"], r"method\.stride=0: must be at least 1"),
        (
            ["method=lime", "method.segmentation=quickshift"],
            r"method\.segmentation=quickshift: choose it by segmentation@method\.",
        ),
        (
            ["method=mp2", "method.rank_filler=blur"],
            r"method\.rank_filler=blur: choose it by filler@method\.rank_filler=blur",
        ),
    ],
)
def test_wrong_components_are_told_in_one_line(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        built(compose_config(*overrides).method, "method")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["metric.deletion.filler.color=[2,0,0]"],
         r"^metric\.deletion\.filler\.color=\[2, 0, 0\]: must be three numbers in \[0, 1\]$"),
        (["method=mp2-g", "filler@method.rank_filler=mirror", "method.rank_filler.sigma=0"],
         r"^method\.rank_filler\.sigma=0: must be above 0$"),
        (["metric=[judge]", "metric.judge.judge.outputs=logit"],
         r"^metric\.judge\.judge\.outputs=logit: must be logits, probabilities, "
         "sigmoid_logits or sigmoid_probabilities$"),
        (["metric.deletion.tie_seeds=0"], r"^metric\.deletion\.tie_seeds=0: must be at least 1$"),
        (["metric=[deletion]", "filler@metric.deletion.filler=torchscript"],
         "^filler=torchscript needs filler.path="),
        (["dataset.crop=9", "dataset.resize=8"], r"^dataset\.crop=9: must be at most dataset\."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_under_the_key_that_was_typed(
    overrides: list[str], told: str
) -> None:
    cfg = compose_config(*overrides)

    def build_all() -> None:
        for key in ("dataset", "method", *(f"metric.{name}" for name in cfg.metric)):
            built(OmegaConf.select(cfg, key), key)

    with pytest.raises(UserError, match=told):
        build_all()


def test_parameters_of_what_is_not_chosen_are_told_in_one_line() -> None:
    cfg = compose_config("experiment=filler_matrix", "metric=[deletion]")
    with pytest.raises(UserError, match=r"^metric\.insertion: filler is set, but nothing is"):
        built(cfg.metric.insertion, "metric.insertion")
    without = compose_config("experiment=filler_matrix", "metric=[deletion]", "~metric.insertion")
    assert list(without.metric) == ["deletion"]


@pytest.mark.parametrize("filler", ["gray", "blur", "mirror"])
def test_one_filler_judges_deletion_and_insertion_of_the_matrix(filler: str) -> None:
    chosen = f"filler@metric.deletion.filler={filler}"
    cfg = compose_config("experiment=filler_matrix", "filler=noise", chosen)
    judges = [built(cfg.metric[name], name).filler for name in ("deletion", "insertion")]
    assert judges[0] == judges[1] == built(compose_config(f"filler={filler}").filler, "")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("batch_size=0", "batch_size=0"),
        ("threads=0", "threads=0"),
        ("target=best", "label, predicted or top-k"),
        ("selection.limit=0", r"selection\.limit=0"),
        ("selection.held_out=-1", r"selection\.held_out=-1"),
        ("selection.shard.index=3", r"selection\.shard\.index=3: must be in 0\.\.0"),
    ],
)
def test_wrong_top_level_values_are_told_in_one_line(override: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        config.check(compose_config(override))


PAPERS_SWEEPS = {
    "sam_sp": {"method": "sp,sp-g", "method.patch_size": "5,17,29,41,53"},
    "sam_lime": {"method": "lime,lime-g", "method.n_segments": "50,150", "seed": "0,1,2,3,4"},
    "sam_lime_segments": {"method": "lime,lime-g", "method.n_segments": "50,150"},
    "sam_mp2": {"method": "mp2,mp2-g", "method.mask_size": "28,56,112"},
}


@pytest.mark.parametrize("name", PAPERS_SWEEPS)
def test_the_papers_sweeps_vary_what_the_paper_varies(name: str) -> None:
    cfg = compose_config(f"experiment={name}")
    raw = OmegaConf.load(REPO / "conf" / "experiment" / f"{name}.yaml")
    assert raw.hydra.mode == "MULTIRUN"
    assert raw.hydra.sweeper.params == PAPERS_SWEEPS[name]
    assert cfg.protocol.n_samples == (500 if "lime" in name else 1000)
    known = {"method.patch_size", "method.n_segments", "method.mask_size", "seed"}
    varied = known & PAPERS_SWEEPS[name].keys()
    assert cfg.sensitivity.over == ("seed" if len(varied) > 1 else None)


BUDGET = [option for option in options("row") if option.startswith("budget_")]


@pytest.mark.parametrize("option", BUDGET)
def test_rows_of_equal_budget_score_about_as_many_images(option: str) -> None:
    method = built(compose_config(f"row={option}").method, "method")
    assert 390 <= method.calls(224) <= 510


def test_each_method_has_its_row_of_equal_budget() -> None:
    assert len(BUDGET) == 8
    for option in BUDGET:
        assert (
            compose_config(f"row={option}").method
            == compose_config(
                f"method={option.removeprefix('budget_')}",
                *(f"method.{key}={value}" for key, value in _own(option).items()),
            ).method
        )


def _own(option: str) -> dict[str, object]:
    node = OmegaConf.load(REPO / "conf" / "row" / f"{option}.yaml")
    return dict(node.get("method", {}))
