"""What a page of variants shows: a table to sort, and accuracy against speed or memory."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 16, 40
LETTER = 6.2  # pixels that a letter of a name takes, about

Row = Mapping[str, Any]


def scatter(rows: Sequence[Row], measure: str, label: str, better: int) -> str:
    """Returns a figure with J&F against a measure on a logarithmic scale; "" without points.

    Args:
        rows: Those without J&F or the measure are left out.
        measure: The key of the measure.
        label: What it is called.
        better: 1 if more of it is better, -1 if less is.
    """
    known = [r for r in rows if r["j_and_f"] is not None and (r[measure] or 0) > 0]
    if not known:
        return ""
    values, scores = [r[measure] for r in known], [r["j_and_f"] for r in known]
    x_ticks, y_ticks = _log_ticks(min(values), max(values)), _ticks(min(scores), max(scores))

    def x(value: float) -> float:
        low, high = math.log(x_ticks[0]), math.log(x_ticks[-1])
        return LEFT + (math.log(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(score: float) -> float:
        share = (score - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="above" x="{x(t):.1f}" y="{HEIGHT - BOTTOM + 15}">{t:g}</text>'
        for t in x_ticks
    ]
    parts += [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text class="before" x="{LEFT - 6}" y="{y(t) + 4:.1f}">{100 * t:.4g}</text>'
        for t in y_ticks
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="above" x="{middle}" y="{HEIGHT - 6}">{label}</text>')
    front = unbeaten(known, measure, better)
    line = " ".join(f"{x(r[measure]):.1f},{y(r['j_and_f']):.1f}" for r in front)
    parts.append(f'<polyline class="front-line" points="{line}"/>')
    # Those in front get their names first; where there is no room, the name shows on hovering.
    points = [(x(r[measure]), y(r["j_and_f"])) for r in known]
    taken = [(px - 5, py - 5, px + 5, py + 5) for px, py in points]
    for row in sorted(known, key=lambda row: row not in front):
        px, py = x(row[measure]), y(row["j_and_f"])
        name, kind = html.escape(row["variant"]), " front" if row in front else ""
        parts.append(
            f'<circle class="point{kind}" cx="{px:.1f}" cy="{py:.1f}" r="4"><title>{name}: J&amp;F'
            f" {100 * row['j_and_f']:.1f}, {row[measure]:g} {label}</title></circle>"
        )
        place = _free_place(px, py, LETTER * len(row["variant"]), taken)
        if place:
            tx, ty, side = place
            parts.append(f'<text class="point-name{side}" x="{tx:.1f}" y="{ty:.1f}">{name}</text>')
    return (
        f"<figure><figcaption>J&amp;F, percent, against {label[0].lower()}{label[1:]}</figcaption>"
        f'<svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="J and F against {label}">{"".join(parts)}</svg></figure>'
    )


def unbeaten(rows: Sequence[Row], measure: str, better: int) -> list[Row]:
    """Returns the rows that no other is at least as good as in both, and better in one.

    They are ascending by the measure.
    """

    def beats(one: Row, other: Row) -> bool:
        a, b = ((better * r[measure], r["j_and_f"]) for r in (one, other))
        return a != b and a[0] >= b[0] and a[1] >= b[1]

    front = [row for row in rows if not any(beats(other, row) for other in rows)]
    return sorted(front, key=lambda row: row[measure])


def _free_place(
    px: float, py: float, width: float, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, str] | None:
    """Returns where a name fits beside its point, and takes the place; None if it does not."""
    places = (
        (px + 7, px + 7, py + 4, ""),
        (px - 7, px - 7 - width, py + 4, " before"),
        (px, px - width / 2, py - 8, " above"),
        (px, px - width / 2, py + 16, " above"),
    )
    for anchor, left, baseline, side in places:
        box = (left, baseline - 10, left + width, baseline + 2)
        inside = left >= LEFT and left + width <= WIDTH and box[1] >= TOP - 12
        inside = inside and box[3] <= HEIGHT - BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            taken.append(box)
            return anchor, baseline, side
    return None


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _log_ticks(low: float, high: float) -> list[float]:
    """Returns 1, 2, 5 times powers of ten from at most the lowest to at least the highest."""
    ticks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
        for digit in (1, 2, 5)
    ]
    begin = max(i for i, tick in enumerate(ticks) if tick <= low * (1 + 1e-9))
    end = min(i for i, tick in enumerate(ticks) if tick >= high * (1 - 1e-9))
    return ticks[begin : max(end, begin + 1) + 1]


def _ticks(low: float, high: float) -> list[float]:
    """Returns even steps from at most the lowest to at least the highest."""
    step = max(high - low, 0.01) / 4
    size = 10.0 ** math.floor(math.log10(step))
    step = next(digit * size for digit in (1, 2, 5, 10) if digit * size >= step)
    begin = math.floor(low / step + 1e-9)
    end = max(math.ceil(high / step - 1e-9), begin + 1)
    return [i * step for i in range(begin, end + 1)]


def table(columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Returns head and body of a table that variants.js sorts.

    Args:
        columns: Keys of the rows, and headings.
        rows: Numbers, texts or None; a column with a text in it is one of texts.
    """
    numbers = {name for name in columns if not any(isinstance(row[name], str) for row in rows)}
    digits = {
        name: max(len(str(row[name] or 0).partition(".")[2]) for row in rows) for name in numbers
    }
    headings = "".join(
        f'<th scope="col"{"" if name in numbers else _TEXT}>'
        f'<button type="button">{html.escape(heading)}</button></th>'
        for name, heading in columns.items()
    )

    def cell(index: int, name: str, value: Any) -> str:
        tag, scope = ("td", "") if index else ("th", ' scope="row"')
        if name not in numbers:
            return f"<{tag}{scope}{_TEXT}>{_text(value)}</{tag}>"
        data, shown = ("", "\u2013") if value is None else (value, f"{value:,.{digits[name]}f}")
        return f'<{tag}{scope} data-value="{data}">{shown}</{tag}>'

    body = "".join(
        f"<tr>{''.join(cell(i, name, row[name]) for i, name in enumerate(columns))}</tr>"
        for row in rows
    )
    return f"<thead><tr>{headings}</tr></thead><tbody>{body}</tbody>"


_TEXT = ' class="text"'


def _text(value: Any) -> str:
    return html.escape(value if isinstance(value, str) else json.dumps(value, default=str))
