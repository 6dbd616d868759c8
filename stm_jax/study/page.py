"""The page of a study: table, plots, curves over time, and scores by attribute."""

import html
import math
import pathlib
from collections.abc import Sequence

from stm_jax.files import write_whole
from stm_jax.report.one_file import one_file
from stm_jax.report.variant_table import scatter, table
from stm_jax.study.config import Study
from stm_jax.study.table import BINS, COLUMNS, Curve, Group, Table
from stm_jax.text import utf_8

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 46, 150, 16, 40
LETTERS = 22  # of a name that fit beside the plot
LINE = 13  # pixels between two names
COLOURS = 8
DASHES = ("", "6 3", "2 3", "8 3 2 3")


def write_study_page(path: pathlib.Path, study: Study, found: Table) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: The HTML file.
        study: What was asked.
        found: What is known.
    """
    missing = len(study.variants) - len(found.rows)
    waiting = f"; not done yet: {missing}" if missing else ""
    made = {
        "baseline": study.baseline,
        "weights": study.weights,
        "dtype": study.dtype,
        "videos": "; ".join(map(repr, study.videos)),
        "devices": ", ".join(found.devices),
    }
    rows = [row | {"memory_mib": row["memory_bytes"] / 2**20} for row in found.rows]
    plots = scatter(rows, "memory_mib", "Memory, MiB", -1)
    plots += scatter(rows, "seconds_a_frame", "Seconds a frame", -1)
    page = one_file(
        "study.html",
        ["report.css", "variants.css", "study.css"],
        ["variants.js", "theme.js"],
        "A study of memories",
        "",
        summary=f"Variants: {len(found.rows)}; objects: {found.objects}{waiting}",
        plots=plots,
        curves=curves(found.curves),
        groups=_groups(found.groups, [row["variant"] for row in found.rows]),
        meanings="".join(
            f"<dt>{html.escape(g.name)}</dt><dd>{html.escape(g.meaning)}</dd>"
            for g in found.groups
            if g.meaning
        ),
        table=table(COLUMNS, found.rows),
        made="".join(
            f'<tr><th scope="row">{name}</th><td>{html.escape(str(value))}</td></tr>'
            for name, value in made.items()
        ),
    )
    write_whole(path, utf_8(page))


def curves(found: Sequence[Curve]) -> str:
    """Returns a figure with J&F of each variant over the time of a video; "" without points."""
    known = [each for each in found if any(v is not None for v in each.j_and_f)]
    if not known:
        return ""
    values = [v for each in known for v in each.j_and_f if v is not None]
    low = math.floor(10 * min(values)) / 10
    high = max(math.ceil(10 * max(values)) / 10, low + 0.1)

    def x(share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(score: float) -> float:
        return HEIGHT - BOTTOM - (score - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text class="before" x="{LEFT - 6}" y="{y(t) + 4:.1f}">{100 * t:.0f}</text>'
        for t in (low + step / 10 for step in range(round(10 * (high - low)) + 1))
    ]
    parts += [
        f'<text class="above" x="{x(t / 4):.1f}" y="{HEIGHT - BOTTOM + 15}">{25 * t} %</text>'
        for t in range(5)
    ]
    parts.append(
        f'<text class="above" x="{x(0.5):.1f}" y="{HEIGHT - 6}">Time since the object was given'
        "</text>"
    )
    ends = _apart([y(next(v for v in each.j_and_f[::-1] if v is not None)) for each in known])
    for index, (curve, end) in enumerate(zip(known, ends, strict=True)):
        points = " ".join(
            f"{x((bin_ + 0.5) / BINS):.1f},{y(value):.1f}"
            for bin_, value in enumerate(curve.j_and_f)
            if value is not None
        )
        kind = f"c{index % COLOURS}"
        dash = DASHES[index // COLOURS % len(DASHES)]
        name = html.escape(curve.variant)
        short = html.escape(curve.variant[:LETTERS])
        parts.append(
            f'<g class="curve {kind}"><title>{name}</title>'
            f'<polyline points="{points}" stroke-dasharray="{dash}"/>'
            f'<text x="{WIDTH - RIGHT + 8}" y="{end + 4:.1f}">{short}</text></g>'
        )
    return (
        '<figure class="wide"><figcaption>J&amp;F, percent, over the time of a video</figcaption>'
        f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="J and F over time">{"".join(parts)}</svg></figure>'
    )


def _apart(wanted: Sequence[float]) -> list[float]:
    """Returns heights near those that are wanted, no two names over each other."""
    placed = dict.fromkeys(range(len(wanted)), 0.0)
    below = TOP - LINE
    order = sorted(placed, key=lambda index: wanted[index])
    for index in order:
        placed[index] = below = max(wanted[index], below + LINE)
    # What was pushed out at the bottom pushes the others up.
    above = HEIGHT - BOTTOM + LINE
    for index in reversed(order):
        placed[index] = above = min(placed[index], above - LINE)
    return [placed[index] for index in range(len(wanted))]


def _groups(groups: Sequence[Group], variants: Sequence[str]) -> str:
    headings = "".join(f'<th scope="col">{html.escape(v)}</th>' for v in ("objects", *variants))
    rows = "".join(
        f'<tr><th scope="row" class="text">{html.escape(group.name)}</th>'
        f"<td>{group.objects}</td>"
        + "".join(_cell(group, variant) for variant in variants)
        + "</tr>"
        for group in groups
    )
    return f'<thead><tr><th class="text"></th>{headings}</tr></thead><tbody>{rows}</tbody>'


def _cell(group: Group, variant: str) -> str:
    """Returns J&F of a variant, and below it the difference to the baseline with its interval."""
    found, below = group.differences.get(variant), ""
    if found is not None:
        below = f"<br><small>{found.mean:+.3f}"
        below += "" if found.low is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
        below += "</small>"
    return f"<td>{group.j_and_f[variant]:.3f}{below}</td>"
