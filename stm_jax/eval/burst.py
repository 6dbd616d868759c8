"""What BURST (Athar et al., WACV 2023) ranks by: HOTA, a mean over the categories of its objects.

Source: the exemplar-guided task of `burstapi/eval` in BURST-benchmark. A method is given each
object's first mask and its id, so an object's category is known and is never predicted. Each
category is scored by itself, over all videos; ALL, COMMON and UNCOMMON are means over categories.
An annotated frame in which no object is seen is not scored: what is predicted there costs nothing.
Frames in which masks are given are scored as all others.

One thing differs: the evaluator merges a few categories by a list (tao_categories.json) that was
not at hand; here categories are those of the annotations.
"""

import collections
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.burst import RunLengths, read_burst
from stm_jax.errors import InputError
from stm_jax.eval.frame_scores import FrameScores
from stm_jax.eval.hota import Frame, Matches, hota, matches_of

# fmt: off
LEFT_OUT = frozenset({
    20, 63, 108, 180, 188, 204, 212, 247, 303, 403, 407, 415, 490, 504, 507, 513, 529, 567, 569,
    588, 672, 691, 702, 708, 711, 720, 736, 737, 798, 813, 815, 827, 831, 851, 877, 883, 912, 971,
    976, 1130, 1133, 1134, 1169, 1184, 1220,
})
"""LVIS's numbers of the categories that the evaluator calls distractors and does not score."""
# fmt: on


def tracking(
    sequences: Sequence[BenchmarkSequence],
    frames: Mapping[str, Sequence[tuple[int, FrameScores]]],
) -> tuple[dict[str, float], str | None]:
    """Returns HOTA, DetA and AssA of all, common and uncommon categories, and what is missing.

    Args:
        sequences: Of BURST.
        frames: The annotated frames of each by index, with overlaps.
    """
    by_category: dict[int, list[Matches]] = collections.defaultdict(list)
    for sequence in sequences:
        for category, matches in _matches(sequence, frames[sequence.name]).items():
            by_category[category].append(matches)
    if not by_category:
        return {}, "HOTA: there is no object of a category that is scored"
    of_each = {category: hota(matches) for category, matches in by_category.items()}
    common, line = _common(sequences)
    groups = {"all": list(of_each)}
    if common is not None:
        groups["common"] = [category for category in of_each if category in common]
        groups["uncommon"] = [category for category in of_each if category not in common]
    values = {}
    for group, members in groups.items():
        for name, field in (("HOTA", "hota"), ("DetA", "detection"), ("AssA", "association")):
            if members:
                values[f"{name}_{group}"] = float(
                    np.mean([getattr(of_each[category], field) for category in members])
                )
    return values, line


def _matches(
    sequence: BenchmarkSequence, frames: Sequence[tuple[int, FrameScores]]
) -> dict[int, Matches]:
    """Returns the matches of the objects of each category."""
    members: dict[int, list[int]] = collections.defaultdict(list)
    for place, object_id in enumerate(sequence.object_ids):
        category = sequence.category_ids[object_id]
        if category not in LEFT_OUT:
            members[category].append(place)
    scored = sorted(place for places in members.values() for place in places)
    seen = [frame for _, frame in frames if any(frame.shown[place] for place in scored)]
    found = {}
    for category, places in members.items():
        tracks = []
        for frame in seen:
            true = [k for k, place in enumerate(places) if frame.shown[place]]
            predicted = [k for k, place in enumerate(places) if frame.predicted[place]]
            overlaps = np.array(frame.overlaps)[np.ix_(places, places)][np.ix_(true, predicted)]
            tracks.append(Frame(tuple(true), tuple(predicted), overlaps))
        found[category] = matches_of(tracks, len(places), len(places))
    return found


def _common(sequences: Sequence[BenchmarkSequence]) -> tuple[set[int] | None, str | None]:
    """Returns the common categories: those of the tracks in `common_classes.json`."""
    truth = next(t for t in sequences[0].truths if isinstance(t, RunLengths))
    file = pathlib.Path(truth.file).with_name("common_classes.json")
    try:
        videos = read_burst(file)
    except InputError:
        return (
            None,
            f"common and uncommon are not told apart: no {file} that can be read",
        )
    return {category for video in videos for category in video.category_ids.values()}, None
