"""What scoring a folder of predictions gives, as a JSON and as a CSV file."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from stm_jax.checks import shown, within
from stm_jax.errors import InputError
from stm_jax.eval.davis import GlobalScore, ObjectScores, Statistics, mean_over_objects, statistics
from stm_jax.eval.keys import Key
from stm_jax.eval.lvos import stability
from stm_jax.eval.vost import j_after_transformation
from stm_jax.files import write_csv, write_json
from stm_jax.json_files import from_json, load_json


@dataclasses.dataclass(frozen=True)
class Scores:
    """J and F of every object of every sequence.

    Attributes:
      protocol: of which data set they are, see `stm_jax.data.protocols`.
      objects: the values of each object in its scored frames, at least one object.
      frames: the names of those frames, of each object.
      problems: one line for each thing that was wrong with the predictions or the data set.
      seen: YouTube-VOS and LVOS: whether training shows the object's category; empty if that is not
        known.
      tracking: BURST: HOTA, DetA and AssA, see `stm_jax.eval.burst`.
    """

    protocol: str
    objects: Mapping[Key, ObjectScores]
    frames: Mapping[Key, tuple[str, ...]]
    problems: tuple[str, ...] = ()
    seen: Mapping[Key, bool] = dataclasses.field(default_factory=dict)
    tracking: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def global_score(self) -> GlobalScore:
        """The mean over all objects of all sequences, each object weighing the same."""
        return mean_over_objects(self.objects.values())

    @functools.cached_property
    def sequences(self) -> dict[str, GlobalScore]:
        """The mean over the objects of each sequence, in the order of the data set."""
        members: dict[str, list[ObjectScores]] = {}
        for (sequence, _), scores in self.objects.items():
            members.setdefault(sequence, []).append(scores)
        return {sequence: mean_over_objects(scores) for sequence, scores in members.items()}

    @functools.cached_property
    def ranked(self) -> dict[str, float]:
        """What the benchmark ranks by besides J and F of all objects; often nothing.

        youtube-vos, lvos: `J_seen`, `F_seen`, `J_unseen`, `F_unseen`, each a mean over objects, and
        `overall`, the mean of the four: nothing if it is not known which categories training shows,
        no `overall` if all objects are of one kind. lvos: besides, V of each kind and `V`, their
        mean, or the mean over all objects if there are no kinds.
        vost: J and J_tr. burst: `tracking`.
        """
        if self.protocol == "vost":
            transformed = [j_after_transformation(each) for each in self.objects.values()]
            return {"J": self.global_score.j.mean, "J_tr": _mean(transformed)}
        values, steady = {}, {}
        for name, wanted in (("seen", True), ("unseen", False)):
            of_kind = [s for key, s in self.objects.items() if self.seen.get(key) is wanted]
            if of_kind:
                mean = mean_over_objects(of_kind)
                values |= {f"J_{name}": mean.j.mean, f"F_{name}": mean.f.mean}
                steady[f"V_{name}"] = _mean([stability(each) for each in of_kind])
        if len(values) == 4:
            values["overall"] = _mean(list(values.values()))
        if self.protocol == "lvos":
            each = list(steady.values()) or [stability(each) for each in self.objects.values()]
            values |= steady | {"V": _mean(each)}
        return {**values, **self.tracking}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """Returns the scores as JSON values.

    Under `global` and `<sequence>_<object>` are the statistics, under `frames` the value of every
    frame, under the protocol's name what that data set ranks by, if it is more than J and F.
    """
    content: dict[str, Any] = {
        "global": {"J&F": scores.global_score.j_and_f}
        | _named(scores.global_score.j, scores.global_score.f)
    }
    frames = {}
    for (sequence, object_id), each in scores.objects.items():
        name = f"{sequence}_{object_id}"
        content[name] = _named(statistics(each.j), statistics(each.f))
        names = list(scores.frames[sequence, object_id])
        frames[name] = {"names": names, "J": list(each.j), "F": list(each.f)}
    content |= {"frames": frames, "protocol": scores.protocol, "problems": list(scores.problems)}
    if scores.ranked:
        kinds: dict[str, list[str]] = {"seen": [], "unseen": []} if scores.seen else {}
        for (sequence, object_id), is_seen in scores.seen.items():
            kinds["seen" if is_seen else "unseen"].append(f"{sequence}_{object_id}")
        content[scores.protocol] = scores.ranked | kinds
    return content


def scores_from_json(content: Any, source: object = "the scores") -> Scores:
    """Returns the scores that `scores_to_json` made the JSON values of.

    The statistics are computed again, from the values of the frames.

    Args:
      content: JSON values.
      source: where they are from, for the error message.

    Raises:
      InputError: they are not scores of this program.
    """
    try:
        noted = from_json(_Noted, content, others=True)
        objects, frames = {}, {}
        for name, values in noted.frames.items():
            key = _key(name)
            objects[key] = ObjectScores(key[1], values.J, values.F)
            frames[key] = values.names
            if not len(values.J) == len(values.F) == len(values.names) > 0:
                raise InputError(
                    f"{shown(name)} has {len(values.J)} values of J, {len(values.F)} of F"
                )
            for measure, scores in (("J", values.J), ("F", values.F)):
                for frame, value in zip(values.names, scores, strict=True):
                    within(f"{measure} of {shown(name)}, frame {shown(frame)}", value, 0, 1)
        if not objects:
            raise InputError("it has no objects")
        ranked = content.get(noted.protocol, {})
        kinds = from_json(_Kinds, ranked, noted.protocol, others=True)
        seen = {_key(name): True for name in kinds.seen} | {
            _key(name): False for name in kinds.unseen
        }
        tracking = dict(ranked) if noted.protocol == "burst" else {}
        for name, value in tracking.items():
            within(f"{noted.protocol}.{shown(name)}", value, 0, 1)
    except InputError as error:
        raise InputError(
            f"{source} is not a scores file of stm-jax ({error}): make it with"
            " `stm-jax evaluate --json`"
        ) from error
    return Scores(noted.protocol, objects, frames, noted.problems, seen, tracking)


@dataclasses.dataclass(frozen=True)
class _Frames:
    names: tuple[str, ...]
    J: tuple[float, ...]
    F: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class _Kinds:
    seen: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Noted:
    """What a scores file holds, as far as it is read."""

    frames: dict[str, _Frames]
    protocol: str
    problems: tuple[str, ...]


def _key(name: str) -> Key:
    sequence, _, object_id = name.rpartition("_")
    if not (object_id.isdecimal() and len(object_id) < 4):
        raise InputError(f"{shown(name)} is no SEQUENCE_OBJECT")
    return sequence, int(object_id)


def read_scores(path: pathlib.Path) -> Scores:
    """Returns the scores in a JSON file.

    Raises:
      InputError: the file is missing, damaged, or not one that this program made.
    """
    return scores_from_json(load_json(path), path)


def write_scores_json(path: pathlib.Path, scores: Scores) -> None:
    """Writes the scores, whole or not at all."""
    write_json(path, scores_to_json(scores), indent=1)


def write_scores_csv(path: pathlib.Path, scores: Scores) -> None:
    """Writes a row for each object, and `global` last; whole or not at all."""
    nothing = Statistics(0, 0, 0)
    rows: list[list[object]] = [["sequence", "object", "J&F", *_named(nothing, nothing)]]
    for (sequence, object_id), each in scores.objects.items():
        j, f = statistics(each.j), statistics(each.f)
        rows.append([sequence, object_id, (j.mean + f.mean) / 2, *_named(j, f).values()])
    total = scores.global_score
    rows.append(["global", "", total.j_and_f, *_named(total.j, total.f).values()])
    write_csv(path, rows)


def _named(j: Statistics, f: Statistics) -> dict[str, float]:
    return {
        f"{measure}_{name}": value
        for measure, values in (("J", j), ("F", f))
        for name, value in dataclasses.asdict(values).items()
    }
