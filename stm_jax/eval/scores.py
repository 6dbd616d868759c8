"""What scoring a folder of predictions gives, as a JSON and as a CSV file."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from stm_jax.errors import InputError
from stm_jax.eval.davis import GlobalScore, ObjectScores, Statistics, mean_over_objects, statistics
from stm_jax.files import write_csv, write_json

Key = tuple[str, int]
"""A sequence's name and an object's id."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """J and F of every object of every sequence.

    Attributes:
      protocol: davis2016, davis2017, youtube-vos or folder.
      objects: the values of each object in its scored frames, at least one object.
      frames: the names of those frames, of each object.
      problems: one line for each thing that was wrong with the predictions or the data set.
      seen: YouTube-VOS: whether training shows the object's category; empty if that is not known.
    """

    protocol: str
    objects: Mapping[Key, ObjectScores]
    frames: Mapping[Key, tuple[str, ...]]
    problems: tuple[str, ...] = ()
    seen: Mapping[Key, bool] = dataclasses.field(default_factory=dict)

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
    def youtube_vos(self) -> dict[str, float]:
        """`J_seen`, `F_seen`, `J_unseen`, `F_unseen`, and `overall`, the mean of the four.

        Each is a mean over objects. Empty if it is not known which categories training shows;
        without `overall` if all objects are of one kind.
        """
        values = {}
        for name, wanted in (("seen", True), ("unseen", False)):
            of_kind = [s for key, s in self.objects.items() if self.seen.get(key) is wanted]
            if of_kind:
                mean = mean_over_objects(of_kind)
                values |= {f"J_{name}": mean.j.mean, f"F_{name}": mean.f.mean}
        if len(values) == 4:
            values["overall"] = sum(values.values()) / 4
        return values


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """Returns the scores as JSON values.

    Under `global` and `<sequence>_<object>` are the statistics, under `frames` the value of every
    frame, under `youtube-vos` what that data set ranks by.
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
    if scores.youtube_vos:
        kinds: dict[str, list[str]] = {"seen": [], "unseen": []}
        for (sequence, object_id), is_seen in scores.seen.items():
            kinds["seen" if is_seen else "unseen"].append(f"{sequence}_{object_id}")
        content["youtube-vos"] = scores.youtube_vos | kinds
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
        objects, frames = {}, {}
        for name, values in content["frames"].items():
            sequence, _, object_id = name.rpartition("_")
            key = sequence, int(object_id)
            j, f = (tuple(float(value) for value in values[measure]) for measure in "JF")
            if not all(0 <= value <= 1 for value in (*j, *f)):  # NaN is neither
                raise ValueError(f"{name} has values that are not from 0 to 1")
            objects[key] = ObjectScores(key[1], j, f)
            frames[key] = tuple(str(frame) for frame in values["names"])
            if not len(j) == len(f) == len(frames[key]) > 0:
                raise ValueError(f"{name} has {len(j)} values of J, {len(f)} of F")
        if not objects:
            raise ValueError("no objects")
        kinds = content.get("youtube-vos", {})
        seen = {
            (name.rpartition("_")[0], int(name.rpartition("_")[2])): kind == "seen"
            for kind in ("seen", "unseen")
            for name in kinds.get(kind, ())
        }
        problems = tuple(str(line) for line in content["problems"])
        return Scores(str(content["protocol"]), objects, frames, problems, seen)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{source} is not a scores file of stm-jax ({type(error).__name__}: {error}): make it"
            " with `stm-jax evaluate --json`"
        ) from error


def read_scores(path: pathlib.Path) -> Scores:
    """Returns the scores in a JSON file.

    Raises:
      InputError: the file is missing, damaged, or not one that this program made.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the name") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): make it again") from error
    return scores_from_json(content, path)


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
