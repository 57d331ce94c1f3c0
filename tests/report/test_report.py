"""The report of a small sweep: one page that refers to nothing outside, and its figures."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from mlflow import MlflowClient
from PIL import Image
from skimage.data import astronaut

import genattr
from genattr.analysis.statistics import estimate
from genattr.files import FreeNames
from genattr.metric.thresholds import ALPHAS
from genattr.report import build, extremes, figures, photos, slide
from genattr.report.__main__ import main
from genattr.report.page import Figure, Section, render
from genattr.results import find
from genattr.results.examples import photo_key
from genattr.results.finished import Member, finished
from genattr.store import archive
from tests.conftest import REPO
from tests.sweep.test_lifecycle import SMALL, places, runs

OWN = [
    "experiment=table2_localization",
    "metric=[localization,saliency]",
    'hydra.sweeper.params.method="sp,sp-g"',
    "protocol.stride=66",
    "selection.limit=3",
    "selection.held_out=2",
    "target=label",
]
PLACES = (0, 66, 131)  # of the windows, along an axis


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SP and SP-G on three photos, with two more for the threshold."""
    folder = tmp_path_factory.mktemp("reported")
    done = subprocess.run(
        [sys.executable, "run.py", *SMALL, *OWN, *places(folder)],
        cwd=REPO, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def reported(swept: Path) -> Path:
    """The report in the sweep's folder."""
    main([str(swept / "sweep")])
    return swept / "sweep" / "report"


class References(HTMLParser):
    """Collects whatever a browser would fetch or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [str(v) for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]


def references(page: str) -> References:
    parser = References()
    parser.feed(page)
    return parser


def test_the_page_refers_to_nothing_outside(reported: Path) -> None:
    page = (reported / "report.html").read_text()
    parsed = references(page)
    assert parsed.found
    assert all(re.match(r"data:image/(png|webp);base64,|#s\d+$", one) for one in parsed.found)
    assert not parsed.tags & {"script", "link", "iframe", "object", "embed", "base"}
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_a_picture_on_the_page_is_what_its_file_shows(tmp_path: Path) -> None:
    shown = {"photo": astronaut(), "plain": np.zeros((8, 8, 3), np.uint8)}
    shown["too wide for WebP"] = np.zeros((1, 20_000, 3), np.uint8)
    kinds = {}
    for name, pixels in shown.items():
        file = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(file)
        uri = Figure(name, file).data
        kinds[name], content = re.fullmatch("data:image/(.*);base64,(.*)", uri).groups()
        drawn = Image.open(BytesIO(base64.b64decode(content))).convert("RGB")
        assert np.abs(np.asarray(drawn, int) - pixels).mean() < 3
    assert kinds["photo"] == "webp"
    assert kinds["too wide for WebP"] == "png"


def test_it_holds_the_table_the_scores_and_every_figure(reported: Path, swept: Path) -> None:
    page = (reported / "report.html").read_text()
    assert "Table 2. Localization error" in page
    assert "0.419" in page  # the paper's SP
    for member in finished(swept / "sweep"):
        assert member.summary.name in page
        for score in member.summary.scores.values():
            assert f"{score.mean:.3f} [" in page
    pictures = sorted((reported / "figures").glob("*.png"))
    assert len(re.findall("data:image/(?:png|webp);", page)) == len(pictures)
    curves = ("Localization-error-over", "Saliency-metric-natural-log-over")
    for kind in ("Photos-and-heatmaps", "A-patch-slides-over", *curves):
        assert any(kind in picture.name for picture in pictures)
    for picture in pictures:
        Image.open(picture).verify()
        assert picture.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_it_is_recorded_on_the_sweeps_run(reported: Path, swept: Path) -> None:
    (parent,) = [run for run in runs(swept) if run.data.tags["kind"] == "sweep"]
    client = MlflowClient(f"sqlite:///{swept}/mlflow.db")
    kept = {file.path for file in client.list_artifacts(parent.info.run_id, "report")}
    assert "report/report.html" in kept


@pytest.mark.parametrize("by", ["sweep's id", "parent's run id", "member's run id"])
def test_it_can_be_made_of_what_the_store_kept(swept: Path, tmp_path: Path, by: str) -> None:
    found = runs(swept)
    kinds = {run.data.tags["kind"]: run.info.run_id for run in found}
    names = {"sweep's id": "sweep", "parent's run id": kinds["sweep"]}
    name = names.get(by, kinds["member"])
    uri = f"sqlite:///{swept}/mlflow.db"
    one = find.find(name, uri, find.WITH_EXAMPLES, tmp_path / "fetched")
    assert len(one.members) == (1 if by == "member's run id" else 2)
    assert one.record.run_id == kinds["member" if by == "member's run id" else "sweep"]
    page = build.make([one], tmp_path / "report").read_text()
    assert "SP-G · lightfill" in page or by == "member's run id"


def test_sweeps_that_are_joined_make_one_table(swept: Path, tmp_path: Path) -> None:
    plain, ours = (
        find.find(str(swept / "sweep" / number), None, find.WITH_EXAMPLES, tmp_path)
        for number in ("0", "1")
    )
    assert len(plain.members) == len(ours.members) == 1
    joined = find.together([ours, plain])
    assert joined.name == "1 + 0"
    assert joined.record is ours.record
    (table,) = (made for made in build._tables(joined) if "Table 2" in made[0])
    assert table[1][1]["first − second"].tolist() == ["SP-G − SP"]


def test_what_is_not_there_is_told_in_one_line(swept: Path) -> None:
    with pytest.raises(SystemExit, match=r"^genattr: never: no such folder, and sqlite"):
        main(["never", "--uri", f"sqlite:///{swept}/mlflow.db"])


def contrast(folder: Path, score: str) -> extremes.Contrast:
    (found,) = [one for one in extremes.contrasts(finished(folder)) if one.score == score]
    return found


def test_gains_are_what_ours_is_better_by(swept: Path) -> None:
    one = contrast(swept / "sweep", "saliency/score")
    assert one.name == "SP-G against SP by saliency"
    tables = [pd.read_parquet(swept / "sweep" / str(i) / "per_image.parquet") for i in (0, 1)]
    plain, ours = (t[t["split"] == "evaluation"].set_index("image_id") for t in tables)
    expected = (plain["saliency/score"] - ours["saliency/score"]).sort_values(ascending=False)
    assert {photo: gain for (photo, _), gain in one.gains().items()} == pytest.approx(
        expected.to_dict()
    )
    assert list(one.gains().values()) == sorted(one.gains().values(), reverse=True)


def test_localization_is_told_by_the_iou_at_the_runs_threshold(swept: Path) -> None:
    one = contrast(swept / "sweep", "localization/error")
    assert one.name == "SP-G against SP by IoU"
    table = pd.read_parquet(one.generative.folder / "per_image.parquet").set_index("image_id")
    index = ALPHAS.index(one.generative.summary.values["localization/alpha"])
    found = one.values(one.generative)
    assert {photo: table["localization/iou"][photo][index] for photo, _ in found} == {
        photo: value for (photo, _), value in found.items()
    }
    assert len(found) == 3


def test_curves_are_those_of_the_held_out_photos(swept: Path) -> None:
    (member, _) = finished(swept / "sweep")
    drawn = build.curve(member, "metric.localization")
    assert drawn is not None
    values = drawn.curve.means
    table = pd.read_parquet(member.folder / "per_image.parquet")
    iou = np.stack(table[table["split"] == "held_out"]["localization/iou"].to_list())
    assert (drawn.split, drawn.photos) == ("held-out photos", 2)
    assert values == pytest.approx((iou < 0.5).mean(axis=0))
    best = ALPHAS[int(np.argmin(values))]
    assert best == member.summary.values["localization/alpha"]


def test_a_slide_is_a_row_of_windows_and_what_each_costs(swept: Path) -> None:
    (group,) = slide.groups(finished(swept / "sweep"))
    assert [one.method for one in group] == ["SP", "SP-G"]
    photo, *_ = shown = slide.chosen(group)
    table = group[0].evaluated
    assert len(shown) == slide.MOST_PHOTOS
    assert shown[0].image_id.startswith(table.loc[table["score"].idxmax(), "image_id"])
    for member, one in zip(group, slide.slides(group, photo), strict=True):
        (heatmap,) = [
            map_ for map_ in genattr.load(member.folder)
            if photo_key(map_.image_id, map_.target) == photo.image_id
        ]  # fmt: skip
        places = one.windows.tolist()
        row = PLACES.index(places[0][1])
        y = PLACES[row]
        assert places == [[x, y, x + 29, y + 29] for x in PLACES]
        assert one.probabilities == pytest.approx(heatmap.score - heatmap.values[row].numpy())
        assert one.untouched == heatmap.score
        assert one.centers.tolist() == [14.5, 80.5, 145.5]
        assert set(one.images) == {0, 1, 2}
        for place, image in one.images.items():
            x0, y0, x1, y1 = places[place]
            inside = np.zeros(image.shape[:2], dtype=bool)
            inside[y0:y1, x0:x1] = True
            assert (image[~inside] == photo.image[~inside]).all()
            gray = (image[inside] == [124, 116, 104]).all()
            assert gray == (member.method == "SP")


def test_the_row_is_that_of_the_highest_mean_of_all_runs(swept: Path) -> None:
    group = finished(swept / "sweep")
    for photo in slide.chosen(group):
        maps = [slide._heatmap(member, photo).values for member in group]
        best = max((float(sum(m[y, x] for m in maps)), y) for y in range(3) for x in range(3))[1]
        rows = [int(one.windows[0, 1]) for one in slide.slides(group, photo)]
        assert rows == [PLACES[best]] * 2


def test_a_run_with_other_windows_than_today_has_no_slide(swept: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(swept / "sweep", tmp_path / "sweep")
    for member in finished(folder):
        maps = [replace(one, values=one.values[:2, :2]) for one in genattr.load(member.folder)]
        archive.write(member.folder / "heatmaps.npz", maps, len(maps))
    assert list(slide.groups(finished(folder))) == []


def test_a_slide_is_drawn_where_the_photos_are_gone(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "load", lambda member, image_id: None)
    (group,) = slide.groups(finished(swept / "sweep"))
    photo = slide.chosen(group)[0]
    assert [one.images for one in slide.slides(group, photo)] == [{}, {}]
    Image.open(slide.draw(group, photo, tmp_path / "slide.png", title="x")).verify()


def test_no_figure_takes_the_name_of_another() -> None:
    names = FreeNames(["index"])
    texts = ("a", "b", "A", "a", "<i>", "index", "…")
    assert [names.take(text) for text in texts] == [
        *("a", "b", "A-2", "a-3", "i", "index-2", "unnamed"),
    ]


def test_texts_are_escaped(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "x.png")
    nasty = "<script src='http://x'>"
    frame = pd.DataFrame([{nasty: nasty}])
    section = Section(nasty, [(nasty, [frame], [nasty])], [Figure(nasty, tmp_path / "x.png")])
    parsed = references(render([section]))
    assert "script" not in parsed.tags
    assert len(parsed.found) == 2


def shapes() -> Iterator[tuple[str, dict[str, list[tuple[str, int]]]]]:
    yield "two", {"LIME": [("maze", 60), ("hen", 40)], "LIME-G": [("maze", 1)]}
    yield "many", {"LIME": [(f"class {i}", 100 - i) for i in range(90)]}


@pytest.mark.parametrize(("name", "counts"), shapes())
def test_label_histograms_are_drawn(
    tmp_path: Path, name: str, counts: dict[str, list[tuple[str, int]]]
) -> None:
    path = figures.label_histogram(counts, tmp_path / f"{name}.png", title="labels")
    Image.open(path).verify()


def test_scores_without_an_interval_are_told(swept: Path) -> None:
    assert estimate([1.0]).low != estimate([1.0]).low
    frame = build._scores(finished(swept / "sweep"))
    assert not frame.map(lambda text: "nan" in text).any().any()


def test_scores_tell_of_how_many_photos_they_are(swept: Path, tmp_path: Path) -> None:
    (member, _) = finished(swept / "sweep")
    replace(member.summary, photos=4).save(tmp_path)
    frame = build._scores([member, Member(tmp_path)])
    name = next(column for column in frame if column.startswith("localization"))
    whole, part = frame[name]
    assert part == f"{whole} (3 of 4)"


def test_a_hyphen_in_a_title_makes_no_g_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, str] = {}
    plot = Axes.plot

    def watch(self: Axes, *arguments: Any, **options: Any) -> Any:
        if "label" in options:
            drawn[options["label"]] = arguments[2]
        return plot(self, *arguments, **options)

    monkeypatch.setattr(Axes, "plot", watch)
    curves = [
        figures.Curve("FIDO-CA", "FIDO-CA", False, ALPHAS, np.linspace(0, 1, 20)),
        figures.Curve("SP-G", "SP", True, ALPHAS, np.linspace(1, 0, 20)),
    ]
    figures.threshold_curves(curves, tmp_path / "a.png", ylabel="y", title="t", note="n")
    assert drawn == {"FIDO-CA": "--", "SP-G": "-"}
