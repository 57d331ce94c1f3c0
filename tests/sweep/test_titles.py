"""Names of a sweep's members: what varies stands in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genattr.results.summary import Part, Summary, heads
from genattr.sweep.member import NUMBER, OPTION, extras_for, title, values_of

TITLES = {"method": "SP", "filler": "gray", "classifier": "efficientnet_lite0"}


@pytest.mark.parametrize(
    ("overrides", "titles", "expected"),
    [
        (["method.patch_size=5"], {}, "SP · patch_size 5"),
        (["method=sp-g", "method.patch_size=5"], {"method": "SP-G"}, "SP-G · patch_size 5"),
        (["method=sp"], {}, "SP · gray"),
        (["filler=mirror"], {"filler": "mirror"}, "SP · mirror"),
        (["seed=1", "filler=mirror"], {"filler": "mirror"}, "SP · mirror · seed 1"),
        (["++seed=1"], {}, "SP · seed 1"),
        (["filler@metric.deletion.filler=mirror"], {}, "SP · deletion.filler mirror"),
        (["metric.deletion.steps=8"], {}, "SP · deletion.steps 8"),
        (["classifier=efficientnet_lite0"], {}, "SP · efficientnet_lite0"),
        (["classifier.name=net"], {"classifier": "net"}, "SP · net"),
        (["classifier.checkpoint=a.pt"], {}, "SP · classifier.checkpoint a.pt"),
        (["row=sam_lime_50"], {"method": "LIME"}, "LIME · sam_lime_50"),
        (["selection.shard.index=3"], {}, "SP · shard.index 3"),
        (["protocol=corrected"], {}, "SP · protocol corrected"),
        (["protocol.stride=6"], {}, "SP · stride 6"),
        (
            ["protocol.stride=6", "method.stride=5"],
            {},
            "SP · protocol.stride 6 · method.stride 5",
        ),
        (["dataset.root='/a b'"], {}, "SP · dataset.root /a b"),
        (["metric=[deletion]"], {}, "SP · metric [deletion]"),
    ],
)
def test_a_member_is_named_by_its_method_and_what_varies(
    overrides: list[str], titles: dict[str, str], expected: str
) -> None:
    keys = [override.partition("=")[0] for override in overrides]
    values = values_of(["target=predicted", *overrides], keys)
    assert title(TITLES | titles, values, (), 0) == expected


def test_what_makes_names_differ_is_added_where_they_would_not() -> None:
    same = {"classifier": "resnet50"}
    members = [(TITLES | same, {"classifier": name}) for name in ("timm", "torchvision")]
    assert extras_for(members) == (OPTION,)
    assert title(*members[0], (OPTION,), 0) == "SP · resnet50 · timm"
    assert extras_for([(TITLES, {"seed": "0"}), (TITLES, {"seed": "1"})]) == ()
    assert extras_for([(TITLES, {"seed": "0"})] * 2) == (NUMBER,)
    assert title(TITLES, {"seed": "0"}, (NUMBER,), 12) == "SP · seed 0 · #12"


def member(in_sweep: str, **changes: object) -> Summary:
    parts = {key: Part(name.lower(), name) for key, name in TITLES.items()}
    summary = Summary(" · ".join(TITLES.values()), "patch_size 5 · stride 3", {}, {}, {}, 1)
    return replace(summary, parts=parts, in_sweep=in_sweep, **changes)


def test_what_does_not_vary_stands_under_the_name() -> None:
    members = [member("SP · patch_size 5"), member("SP · seed 1")]
    assert heads(members) == [
        ("SP · patch_size 5", "gray · efficientnet_lite0 · stride 3"),
        ("SP · seed 1", "gray · efficientnet_lite0 · patch_size 5 · stride 3"),
    ]
    assert heads([member("")]) == [("SP · gray · efficientnet_lite0", "patch_size 5 · stride 3")]


def test_runs_of_an_older_version_and_of_several_sweeps_are_told_apart_by_their_titles() -> None:
    older = member("", choices="seed 1")
    expected = ("SP · gray", "patch_size 5 · stride 3 · seed 1")
    assert heads([member("SP · seed 0", choices="seed 0"), older])[1] == expected
    assert heads([member("SP · seed 1", choices="seed 1")] * 2) == [expected] * 2
