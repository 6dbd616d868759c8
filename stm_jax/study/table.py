"""What a study has found, of the variants whose pieces are all done: rows, curves, groups."""

import dataclasses
import functools
import inspect
import statistics
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from stm_jax.eval.scores import Key, Scores, scores_from_json
from stm_jax.study.attributes import ATTRIBUTES
from stm_jax.study.config import Study
from stm_jax.study.interval import Difference, difference, mean_of
from stm_jax.study.pieces import Place, Plan
from stm_jax.study.variants import Variant

COLUMNS = {
    "variant": "Variant",
    "j_and_f": "J&F",
    "spread": "Spread",
    "difference": "Difference",
    "low": "From",
    "high": "To",
    "j": "J",
    "f": "F",
    "memory_bytes": "Memory, bytes",
    "training_steps": "Steps",
    "seeds": "Seeds",
    "memory": "Memory",
    "read": "Read",
    "similarity": "Similarity",
    "seconds_a_frame": "Seconds a frame",
    "training_seconds": "Seconds of training",
}
TIMES = ("seconds_a_frame", "training_seconds")
"""Columns that no two runs have alike."""
BINS = 20
"""Parts of a video's time, of which a curve has a point each."""

GROUP_COLUMNS = ("group", "objects", "variant", "j_and_f", "difference", "low", "high")
"""Of the table that has a row for each group and variant."""

Row = dict[str, Any]
Objects = Set[tuple[Place, Key]]


@dataclasses.dataclass(frozen=True)
class Curve:
    """How well the objects are followed over the time of a video.

    Attributes:
        variant: Whose.
        j_and_f: In each of `BINS` parts of the time from the frame in which an object is given to
            the end of its video, mean over objects, and over seeds; None where nothing is scored.
    """

    variant: str
    j_and_f: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Group:
    """Objects that have something in common.

    Attributes:
        name: What.
        meaning: When an object is one of them.
        objects: How many there are.
        j_and_f: Of each variant, by its name: mean over them, and over seeds.
        differences: To the baseline's, of each other variant; none before it is known.
    """

    name: str
    meaning: str
    objects: int
    j_and_f: Mapping[str, float]
    differences: Mapping[str, Difference]

    def rows(self) -> list[list[Any]]:
        """Returns a row of each variant, as `GROUP_COLUMNS` has."""
        return [
            [self.name, self.objects, variant, round(mean, 4)]
            + [_rounded(v, 4) for v in self.differences.get(variant, (None,) * 3)]
            for variant, mean in self.j_and_f.items()
        ]


@dataclasses.dataclass(frozen=True)
class Table:
    """What is known of the variants that are done.

    Attributes:
        rows: One a variant, in the study's order; keys as `COLUMNS` has.
        curves: One a variant.
        groups: Of objects with an attribute, and of those of each set of videos.
        objects: How many are scored.
        devices: What the pieces were computed on.
    """

    rows: Sequence[Row]
    curves: Sequence[Curve]
    groups: Sequence[Group]
    objects: int
    devices: Sequence[str]


def table_of(study: Study, plan: Plan, results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Returns what is known of the variants of which all pieces are done.

    Args:
        study: The study.
        plan: Its pieces.
        results: Those that are done, by key.
    """
    done = [v for v in study.variants if all(key in results for key in plan.of(v))]
    if not done:
        return Table([], [], [], 0, [])
    followed = {each.name: _followed(each, plan, results) for each in done}
    baseline = followed.get(study.baseline)
    members = _members(plan, results, next(iter(followed.values())))
    groups = [
        Group(
            *(name, meaning, len(kept)),
            j_and_f={v: f.mean_over(kept) for v, f in followed.items()},
            differences={
                v: f.compared(baseline, kept)
                for v, f in followed.items()
                if baseline is not None and f is not baseline
            },
        )
        for name, (meaning, kept) in members.items()
        if kept
    ]
    return Table(
        rows=[_row(study, each, followed[each.name], baseline, plan, results) for each in done],
        curves=[Curve(name, each.curve) for name, each in followed.items()],
        groups=groups,
        objects=int(next(iter(followed.values())).objects().sum()),
        devices=sorted({each["device"] for each in results.values() if "device" in each}),
    )


@dataclasses.dataclass(frozen=True)
class _Followed:
    """The scores of a variant: of each seed, of each video; and its trainings, a seed each."""

    scores: Mapping[int, Mapping[Place, Scores]]
    trainings: Sequence[str]

    @functools.cached_property
    def means(self) -> Mapping[int, Mapping[Place, Mapping[Key, Mapping[str, float]]]]:
        """The means of each object over its frames."""
        return {
            seed: {
                place: {key: _means(each) for key, each in of_video.objects.items()}
                for place, of_video in videos.items()
            }
            for seed, videos in self.scores.items()
        }

    def objects(self, kept: Objects | None = None) -> np.ndarray:
        """Returns how many objects each video has, of all or of some."""
        places = next(iter(self.means.values()))
        return np.array([len(_those(means, place, kept)) for place, means in places.items()])

    def sums(self, measure: str, kept: Objects | None = None) -> np.ndarray:
        """Returns sums of "j_and_f", "j" or "f" over these objects: (seeds, videos)."""
        return np.array(
            [
                [
                    sum(each[measure] for each in _those(means, place, kept))
                    for place, means in videos.items()
                ]
                for videos in self.means.values()
            ]
        )

    def mean_over(self, kept: Objects) -> float:
        """Returns J&F over some objects, and over seeds."""
        return float(mean_of(self.sums("j_and_f", kept), self.objects(kept)).mean())

    def compared(self, baseline: "_Followed", kept: Objects | None = None) -> Difference:
        """Returns J&F over these objects less the baseline's."""
        objects = self.objects(kept)
        there = objects > 0
        mine, theirs = (each.sums("j_and_f", kept)[:, there] for each in (self, baseline))
        same = self.trainings == baseline.trainings != []
        return difference(mine, theirs, objects[there], same_weights=same)

    @functools.cached_property
    def curve(self) -> tuple[float | None, ...]:
        """See `Curve`."""
        total, count = np.zeros(BINS), np.zeros(BINS)
        for videos in self.scores.values():
            for of_video in videos.values():
                for scores in of_video.objects.values():
                    values = (np.array(scores.j) + np.array(scores.f)) / 2
                    bins = np.arange(len(values)) * BINS // len(values)
                    counts = np.bincount(bins, minlength=BINS)
                    sums = np.bincount(bins, values, minlength=BINS)
                    total += np.divide(sums, counts, out=np.zeros(BINS), where=counts > 0)
                    count += counts > 0
        return tuple(float(t / c) if c else None for t, c in zip(total, count, strict=True))


def _those(
    means: Mapping[Key, Mapping[str, float]], place: Place, kept: Objects | None
) -> list[Mapping[str, float]]:
    return [each for key, each in means.items() if kept is None or (place, key) in kept]


def _means(scores: Any) -> dict[str, float]:
    j, f = statistics.fmean(scores.j), statistics.fmean(scores.f)
    return {"j_and_f": (j + f) / 2, "j": j, "f": f}


def _followed(variant: Variant, plan: Plan, results: Mapping[str, Mapping[str, Any]]) -> _Followed:
    def scores(seed: int, place: Place) -> Scores:
        key = plan.followings[variant.name, seed, place]
        return scores_from_json(results[key]["result"]["scores"], key)

    places = list(plan.attributes)
    return _Followed(
        {seed: {place: scores(seed, place) for place in places} for seed in variant.seeds},
        [key for (name, _), key in plan.trainings.items() if name == variant.name],
    )


def _members(
    plan: Plan, results: Mapping[str, Mapping[str, Any]], followed: _Followed
) -> dict[str, tuple[str, set[tuple[Place, Key]]]]:
    """Returns the objects of each group, with what it means."""
    keys = {
        (place, key)
        for place, scores in next(iter(followed.scores.values())).items()
        for key in scores.objects
    }
    measures = {
        (place, key): results[plan.attributes[place]]["result"][str(key[1])] for place, key in keys
    }
    groups = {"all": ("every object that is scored", keys)}
    sets = list(dict.fromkeys(name for name, _ in plan.attributes))
    for name in sets if len(sets) > 1 else ():
        groups[f"videos of {name}"] = ("", {each for each in keys if each[0][0] == name})
    for each in ATTRIBUTES:
        having = {key for key, of_object in measures.items() if each.holds(of_object)}
        groups[each.name] = (each.meaning, having)
    without = keys.difference(*(groups[each.name][1] for each in ATTRIBUTES))
    groups["none of these"] = ("no attribute", without)
    return groups


def _row(
    study: Study,
    variant: Variant,
    followed: _Followed,
    baseline: _Followed | None,
    plan: Plan,
    results: Mapping[str, Mapping[str, Any]],
) -> Row:
    of_seeds = {m: mean_of(followed.sums(m), followed.objects()) for m in ("j_and_f", "j", "f")}
    means = {measure: round(float(values.mean()), 4) for measure, values in of_seeds.items()}
    several = len(variant.seeds) > 1
    found = [
        results[plan.followings[variant.name, s, p]] for s in variant.seeds for p in plan.attributes
    ]
    trained = [results[plan.trainings[variant.name, s]] for s in variant.seeds if variant.training]
    compared: dict[str, float | None] = dict.fromkeys(("difference", "low", "high"))
    if baseline is not None and baseline is not followed:
        values = followed.compared(baseline)
        compared = {n: _rounded(v, 4) for n, v in zip(compared, values, strict=True)}
    trained_with = variant.training.similarity if variant.training else ()
    seconds = sum(each["timing"]["segment_seconds"] for each in found)
    frames = sum(each["timing"]["frames"] for each in found)
    return {
        "variant": variant.name,
        "memory": repr(variant.memory),
        "read": _text(variant.read),
        "similarity": " ".join(variant.similarity or trained_with) or "of the weights",
        "seeds": len(variant.seeds),
        **means,
        "spread": round(float(of_seeds["j_and_f"].std(ddof=1)), 4) if several else None,
        **compared,
        "memory_bytes": max(each["result"]["memory_bytes"] for each in found),
        "training_steps": trained[0]["result"]["steps"] if trained else 0,
        "seconds_a_frame": round(seconds / frames, 5),
        "training_seconds": round(sum(each["timing"]["seconds"] for each in trained), 1),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _text(read: Any) -> str:
    if read is None:
        return "default"
    return read.__name__ if inspect.isfunction(read) else repr(read)
