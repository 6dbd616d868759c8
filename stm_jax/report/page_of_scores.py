"""The report: one HTML file that shows how good the masks of a data set are, and where they fail.

It needs no network and no server. The folder `page` has the page, its style and its script; the
data is JSON in it, the frames of each sequence in a block of their own, as a small video that is
decoded when it is looked at.
"""

import itertools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.palette import davis_palette
from stm_jax.eval.davis import GlobalScore, ObjectScores, mean_over_objects
from stm_jax.eval.scores import Scores
from stm_jax.files import write_whole
from stm_jax.report import pictures as report_pictures
from stm_jax.report.one_file import block, one_file
from stm_jax.report.overlay import bright_palette
from stm_jax.text import utf_8

SCRIPTS = (
    *("parts.js", "pictures.js", "head.js", "theme.js", "table.js", "plots.js"),
    *("attention.js", "player.js"),
)
WORST = 12  # frames of a sequence, and of the data set
WORST_OF_ONE = 3  # frames of one sequence among the worst of the data set
CONTRAST = 4.5  # of the lines of the plots, as WCAG asks of text
SURFACES = {"light": (255, 255, 255), "dark": (23, 26, 32)}  # as --surface in report.css


def write_report(
    path: pathlib.Path,
    scores: Scores,
    predictions: pathlib.Path,
    sequences: Sequence[BenchmarkSequence],
    details: Mapping[str, Any],
    *,
    budget: int = report_pictures.BUDGET,
    done: Callable[[str], None] = lambda name: None,
) -> None:
    """Writes the page, whole or not at all.

    Args:
      path: the HTML file.
      scores: of the predictions; objects that have none are shown without numbers.
      predictions: the folder with a folder of palette PNGs for each sequence, as it was scored;
        masks that are missing or damaged are shown as missing.
      sequences: what was segmented. Those whose truth is secret are shown without it.
      details: what else is known, all optional: `title`; `settings` and `versions`, by name;
        `sequences`, by name of the sequence what a run notes down of it (`memorized`, `dropped`,
        `segment_seconds`, ...); `attention`, by name of the sequence the file of a picture of
        where its worst frame looked.
      budget: characters for all pictures together. Frames are left out to keep to it, but never
        the worst ones and those that were memorised: if these alone are too many, the pictures
        become smaller, and the page may become somewhat larger.
      done: called with the name of each sequence that is on the page.

    Raises:
      InputError: a frame or a true mask cannot be read.
      OSError: the page cannot be written; what was at `path` before is untouched.
    """
    infos = [_sequence_info(each, scores, details) for each in sequences]
    always = [_always(each, info) for each, info in zip(sequences, infos, strict=True)]
    width = report_pictures.picture_width(sum(map(len, always)), budget)
    blocks, colours = [], {}
    frames_left = sum(len(each.wanted) for each in sequences)
    for number, (sequence, info) in enumerate(zip(sequences, infos, strict=True)):
        share = budget * len(sequence.wanted) // max(frames_left, 1)
        pictures = report_pictures.sequence_pictures(
            sequence, predictions, always[number], width, share
        )
        frames_left -= len(sequence.wanted)
        info["shown"] = list(pictures)
        colours |= report_pictures.mask_colours(pictures.values())
        blocks.append(block(f"pictures-{number}", report_pictures.as_text(pictures)))
        budget = max(0, budget - len(blocks[-1]))
        drawn = (details.get("attention") or {}).get(sequence.name)
        if drawn is not None:
            blocks.append(block(f"attention-{number}", report_pictures.whole_picture(drawn)))
        done(sequence.name)
    title = str(details.get("title") or f"Scores, {scores.protocol}")
    index = {
        "protocol": scores.protocol,
        "total": _statistics(scores.global_score),
        "ranked": scores.ranked,
        "problems": list(scores.problems),
        "sequences": infos,
        "worst": _worst_of_all(infos),
        "colours": line_colours({o["id"] for info in infos for o in info["objects"]}),
        "masks": colours,
        "made": {name: _flat(details.get(name) or {}) for name in ("settings", "versions")},
        "pictures": {
            "width": width,
            "wanted": sum(len(each.wanted) for each in sequences),
            "left_out": sum(
                len(set(each.wanted) - set(info["shown"]))
                for each, info in zip(sequences, infos, strict=True)
            ),
        },
    }
    data = "\n".join([block("index", index), *blocks])
    write_whole(path, utf_8(one_file("report.html", ["report.css"], SCRIPTS, title, data)))


def _sequence_info(
    sequence: BenchmarkSequence, scores: Scores, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what the page says of a sequence, without its pictures."""
    noted = (details.get("sequences") or {}).get(sequence.name) or {}
    place = {frame.stem: index for index, frame in enumerate(sequence.frames)}
    scored = [object_id for name, object_id in scores.objects if name == sequence.name]
    objects, by_frame, found = [], {}, []
    for object_id in sorted({*sequence.object_ids, *scored}):
        key = sequence.name, object_id
        values = scores.objects.get(key)
        curves: dict[str, list[float | None]] = {m: [None] * len(place) for m in ("j", "f")}
        if values is not None:
            found.append(values)
            for name, j, f in zip(scores.frames[key], values.j, values.f, strict=True):
                curves["j"][place[name]], curves["f"][place[name]] = round(j, 4), round(f, 4)
                by_frame.setdefault(place[name], []).append(j)
        objects.append(
            {
                "id": object_id,
                "category": sequence.categories.get(object_id, ""),
                "scores": values and _object_statistics(values),
                **curves,
            }
        )
    mean_j = {frame: sum(values) / len(values) for frame, values in by_frame.items()}
    seconds = noted.get("segment_seconds")
    return {
        "name": sequence.name,
        "names": [frame.stem for frame in sequence.frames],
        "objects": objects,
        "scores": _statistics(mean_over_objects(found)) if found else None,
        "mean_j": [round(mean_j[i], 4) if i in mean_j else None for i in range(len(place))],
        "worst": report_pictures.worst_frames(mean_j, WORST),
        "given": sorted(sequence.given),
        "memorized": noted.get("memorized") or [],
        "dropped": noted.get("dropped") or [],
        "rate": len(place) / seconds if seconds else None,
    }


def _always(sequence: BenchmarkSequence, info: Mapping[str, Any]) -> list[int]:
    """Returns the frames that are on the page at any cost."""
    ends = (0, *sequence.wanted[-1:])
    wanted = {*info["worst"], *info["memorized"], *(old for old, _ in info["dropped"]), *ends}
    return sorted(wanted & set(range(len(sequence.frames))))


def _worst_of_all(infos: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Returns the worst frames of the data set: number of the sequence, index of the frame."""
    candidates = [
        (info["mean_j"][frame], number, frame)
        for number, info in enumerate(infos)
        for frame in info["worst"][:WORST_OF_ONE]
    ]
    return [(number, frame) for _, number, frame in sorted(candidates)[:WORST]]


def _statistics(score: GlobalScore) -> list[float]:
    """Returns J&F and mean, recall and decay of J and of F."""
    values = [getattr(m, s) for m in (score.j, score.f) for s in ("mean", "recall", "decay")]
    return [score.j_and_f, *values]


def _object_statistics(values: ObjectScores) -> list[float]:
    return _statistics(mean_over_objects([values]))


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Returns names and values as text; a mapping within is named by both."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{above}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            rows.append((f"{above}{name}", text))
    return rows


def line_colours(object_ids: set[int]) -> dict[int, dict[str, str]]:
    """Returns each object's DAVIS colour, made as dark or as bright as each scheme needs."""
    return {
        object_id: {scheme: _readable(object_id, surface) for scheme, surface in SURFACES.items()}
        for object_id in sorted(object_ids)
    }


def _readable(object_id: int, surface: tuple[int, int, int]) -> str:
    """Returns the nearest shade of the object's colour that is readable on the surface."""
    own, bright = davis_palette()[object_id % 256], bright_palette()[object_id % 256]
    on_light = _luminance(surface) > 0.5
    way = [own, np.zeros(3)] if on_light else [own, bright, np.full(3, 255)]
    for start, end in itertools.pairwise(way):
        for share in np.linspace(0, 1, 33):
            colour = np.rint(start + share * (end.astype(float) - start)).astype(int).tolist()
            light, dark = sorted((_luminance(colour), _luminance(surface)), reverse=True)
            if (light + 0.05) / (dark + 0.05) >= CONTRAST:
                return "#{:02x}{:02x}{:02x}".format(*colour)
    raise ValueError(f"no shade has a contrast of {CONTRAST} on {surface}")


def _luminance(colour: Sequence[int]) -> float:
    """Returns the relative luminance of an sRGB colour (WCAG 2.2)."""
    unit = np.array(colour) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
