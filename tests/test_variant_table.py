"""What a page of variants shows: which are unbeaten, and points for all that are scored."""

import re
import xml.etree.ElementTree

from stm_jax.report.variant_table import scatter, table, unbeaten


def row(name: str, score: float | None, rate: float, mib: float) -> dict:
    return {"variant": name, "j_and_f": score, "frames_per_second": rate, "memory_mib": mib}


def test_the_front_is_what_no_other_beats():
    rows = [row("a", 0.5, 9, 4), row("b", 0.7, 3, 9), row("c", 0.5, 8, 3), row("d", 0.7, 3, 9)]
    assert [r["variant"] for r in unbeaten(rows, "frames_per_second", 1)] == ["b", "d", "a"]
    assert [r["variant"] for r in unbeaten(rows, "memory_mib", -1)] == ["c", "b", "d"]


def test_a_plot_has_a_point_for_every_known_score():
    rows = [row("a", 0.5, 9, 4), row("b", 0.7, 3, 9), row("<c>", 0.6, 5, 5), row("d", None, 3, 9)]
    figure = xml.etree.ElementTree.fromstring(scatter(rows, "memory_mib", "Memory, MiB", -1))
    points = {p.findtext("title"): p for p in figure.iter("circle")}
    assert [re.sub(":.*", "", title) for title in points] == ["a", "b", "<c>"]  # a, b, c in front
    places = {t[0]: (float(p.get("cx")), float(p.get("cy"))) for t, p in points.items()}
    assert places["a"][0] < places["<"][0] < places["b"][0]
    assert places["a"][1] > places["<"][1] > places["b"][1]
    assert scatter(rows[3:], "memory_mib", "Memory, MiB", -1) == ""


def test_no_name_becomes_markup_and_what_is_not_known_is_a_dash():
    columns = {"variant": "Variant", "j_and_f": "J&F"}
    found = table(columns, [row("</script><b>", None, 2, 1), row("a", 0.5, 2, 1)])
    assert "<b>" not in found and "</script>" not in found
    assert "&lt;/script&gt;&lt;b&gt;" in found and "J&amp;F" in found
    assert '<td data-value="">\u2013</td>' in found and '<td data-value="0.5">0.5</td>' in found
