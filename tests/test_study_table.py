"""The table of a study, its curves and groups, of results that are made up."""

import html.parser
import itertools
import xml.etree.ElementTree

import pytest

from stm_jax.eval.davis import ObjectScores
from stm_jax.eval.scores import Scores, scores_to_json
from stm_jax.memory import EveryNth, First, Reservoir
from stm_jax.study.config import DataSet, Study
from stm_jax.study.page import curves, write_study_page
from stm_jax.study.pieces import Plan
from stm_jax.study.table import BINS, COLUMNS, Curve, Table, table_of
from stm_jax.study.variants import Variant

EASY = {"area": 0.1, "motion": 0.0, "hidden": 0, "gone": 0, "alike": 0.0}
HARD = EASY | {"gone": 30, "hidden": 30}
OBJECTS = {("a", "one"): {1: EASY, 2: HARD}, ("a", "two"): {1: HARD}, ("b", "one"): {5: EASY}}
STUDY = Study(
    variants=(
        Variant("base", EveryNth(5)),
        Variant("drawn", Reservoir(), seeds=(0, 1)),
        Variant("<first>", First()),
    ),
    videos=(DataSet("a", None, "davis2017"), DataSet("b", None, "davis2017")),  # pyright: ignore
    baseline="base",
)


def following(values: dict[int, tuple[float, ...]], memory: int) -> dict:
    """Returns the result of following a video: F is 0.1 above J in each frame."""
    objects = {("v", i): ObjectScores(i, j, tuple(v + 0.1 for v in j)) for i, j in values.items()}
    frames = {key: tuple(str(t) for t in range(len(s.j))) for key, s in objects.items()}
    return {
        "result": {
            "scores": scores_to_json(Scores("davis2017", objects, frames)),
            "memory_bytes": memory,
        },
        "timing": {"segment_seconds": 2.0, "frames": 8},
        "device": "cpu",
    }


def made_up() -> tuple[Plan, dict]:
    """Returns the plan and the results: `base` loses hard objects, seed 1 of `drawn` is better."""
    plan, results = Plan({}, {}, {}, {}), {}
    for place, objects in OBJECTS.items():
        key = plan.attributes[place] = f"attributes-{'-'.join(place)}"
        results[key] = {"result": {str(i): measures for i, measures in objects.items()}}
    for variant in STUDY.variants:
        for seed in variant.seeds:
            for place, objects in OBJECTS.items():
                key = f"following-{variant.name}-{seed}-{'-'.join(place)}"
                plan.followings[variant.name, seed, place] = key
                late = 0.5 + 0.1 * seed if variant.name == "drawn" else 0.1
                values = {
                    i: (0.8,) * 4 + (late if measures is HARD else 0.8,) * 4
                    for i, measures in objects.items()
                }
                results[key] = following(values, 1000 + len(objects))
    return plan, results


def test_the_rows_are_means_over_objects_and_seeds():
    table = table_of(STUDY, *made_up())
    base, drawn, _ = table.rows
    assert set(base) == set(COLUMNS) and table.objects == 4
    # J of an easy object is 0.8, of a hard one 0.45 with `base`, 0.65 and 0.7 with `drawn`.
    assert base["j"] == pytest.approx((0.8 * 2 + 0.45 * 2) / 4)
    assert base["f"] == pytest.approx(base["j"] + 0.1)
    assert base["j_and_f"] == pytest.approx(base["j"] + 0.05)
    assert drawn["j"] == pytest.approx((0.725 + 0.75) / 2, abs=5e-5)
    assert drawn["spread"] == pytest.approx(0.025 / 2**0.5, abs=5e-5)
    assert (base["spread"], base["difference"], base["low"]) == (None, None, None)
    assert drawn["difference"] == pytest.approx(0.1125, abs=5e-5)
    assert 0 <= drawn["low"] < 0.1125 < drawn["high"]
    assert (drawn["seeds"], drawn["memory_bytes"], drawn["seconds_a_frame"]) == (2, 1002, 0.25)
    assert (drawn["training_steps"], drawn["training_seconds"]) == (0, 0)


def test_curves_say_when_and_groups_say_which_objects_are_lost():
    table = table_of(STUDY, *made_up())
    base = next(each for each in table.curves if each.variant == "base").j_and_f
    known = [value for value in base if value is not None]
    assert len(base) == BINS and len(known) == 8  # as many as frames
    assert known == pytest.approx([0.85] * 4 + [0.5] * 4)
    groups = {each.name: each for each in table.groups}
    assert {name: each.objects for name, each in groups.items()} == {
        **{"all": 4, "videos of a": 3, "videos of b": 1},
        **{"occlusion": 2, "absence": 2, "none of these": 2},
    }
    assert groups["absence"].j_and_f["base"] == pytest.approx(0.5)
    assert groups["absence"].j_and_f["drawn"] == pytest.approx(0.725)
    assert groups["videos of b"].j_and_f["base"] == pytest.approx(0.85)


def test_groups_are_compared_over_their_own_objects():
    table = table_of(STUDY, *made_up())
    groups = {each.name: each for each in table.groups}
    drawn = table.rows[1]
    of_all = groups["all"].differences["drawn"]
    assert [round(value or 0, 4) for value in of_all] == [
        drawn[name] for name in ("difference", "low", "high")
    ]
    # Hard objects are in two videos, one each: seed 0 of `drawn` is better by 0.2, seed 1 by 0.25.
    assert groups["absence"].differences["drawn"] == pytest.approx((0.225, 0.2, 0.25))
    assert groups["absence"].differences["<first>"] == pytest.approx((0, 0, 0))
    # An easy one is in a video with a hard one, whose gain is not its own.
    assert groups["none of these"].differences["drawn"] == pytest.approx((0, 0, 0))
    assert groups["videos of b"].differences["drawn"] == (0.0, None, None)  # one video
    assert "base" not in groups["absence"].differences
    assert groups["absence"].rows() == [
        ["absence", 2, "base", 0.5, None, None, None],
        ["absence", 2, "drawn", 0.725, 0.225, 0.2, 0.25],
        ["absence", 2, "<first>", 0.5, 0.0, 0.0, 0.0],
    ]


def test_a_variant_is_in_the_table_once_all_its_pieces_are_done():
    plan, results = made_up()
    del results[plan.followings["base", 0, ("b", "one")]]
    table = table_of(STUDY, plan, results)
    assert [row["variant"] for row in table.rows] == ["drawn", "<first>"]
    assert table.rows[0]["difference"] is None  # the baseline is not known yet
    assert table_of(STUDY, plan, {}) == Table([], [], [], 0, [])


def test_the_page_is_whole_and_no_name_becomes_markup(tmp_path):
    write_study_page(tmp_path / "study.html", STUDY, table_of(STUDY, *made_up()))
    page = (tmp_path / "study.html").read_text()
    assert "<first>" not in page and "&lt;first&gt;" in page and "$" not in page.split("<script")[0]
    texts: list[str] = []
    reader = html.parser.HTMLParser()
    reader.handle_data = texts.append  # pyright: ignore
    reader.feed(page)
    for text in ("absence", "videos of b", "it is out of sight for five frames or more in a row"):
        assert text in texts
    assert "+0.225 [+0.200, +0.250]" in texts  # of the absent
    assert page.count("<svg") == 3


def test_a_curve_falls_where_the_scores_do_and_names_keep_apart():
    good, bad = [0.9] * BINS, [0.9] * (BINS // 2) + [0.2] * (BINS // 2)
    found = [Curve("bad", tuple(bad)), *(Curve(f"good-{i}", tuple(good)) for i in range(12))]
    figure = xml.etree.ElementTree.fromstring(curves(found))
    lines = [line.get("points", "").split() for line in figure.iter("polyline")]
    heights = [[float(point.partition(",")[2]) for point in line] for line in lines]
    assert heights[0][0] == heights[1][0] and heights[0][-1] > heights[1][-1] + 100
    names = sorted(float(t.get("y", 0)) for t in figure.iter("text") if not t.get("class"))
    assert len(names) == 13 and all(b - a > 12 for a, b in itertools.pairwise(names))
    assert curves([Curve("none", (None,) * BINS)]) == ""
