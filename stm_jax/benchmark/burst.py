"""Masks as BURST's evaluator takes them: its own JSON, with predicted in place of true masks."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.burst import RunLengths
from stm_jax.data.coco import compressed, runs_of
from stm_jax.data.names import folder_below
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError
from stm_jax.files import write_json
from stm_jax.json_files import load_json


def write_burst(
    path: pathlib.Path, sequences: Sequence[BenchmarkSequence], masks: pathlib.Path
) -> None:
    """Writes the predictions of annotated frames as one JSON file, whole or not at all.

    All but `segmentations` is as in the annotations of the data set, as BURST advises. A mask that
    is given is copied as it is; an object that a frame does not show has no entry there, for empty
    run lengths would lower the score.

    Args:
        path: The file.
        sequences: Of BURST.
        masks: With masks/SEQUENCE/FRAME.png of every annotated frame.

    Raises:
        InputError: A mask or the annotations cannot be read.
    """
    if not sequences:
        raise InputError("there is no sequence of BURST to write predictions of")
    by_name = {sequence.name: sequence for sequence in sequences}
    content = load_json(_truth(sequences[0]).file)
    content["sequences"] = [
        video | {"segmentations": _segmentations(by_name[name], masks, video)}
        for video in content["sequences"]
        if (name := f"{video['dataset']}-{video['seq_name']}") in by_name
    ]
    write_json(path, content, indent=None)


def _segmentations(
    sequence: BenchmarkSequence, masks: pathlib.Path, video: Mapping[str, Any]
) -> list[dict[str, dict[str, str]]]:
    place = {frame.name: index for index, frame in enumerate(sequence.frames)}
    folder, found = folder_below(masks, sequence.name), []
    for name in video["annotated_image_paths"]:
        index = place[name]
        ids = read_truth(folder / f"{sequence.frames[index].stem}.png")
        truth, given = sequence.truths[index], sequence.given.get(index, ())
        runs = {
            object_id: compressed(runs_of(ids == object_id))
            for object_id in np.unique(ids[ids > 0]).tolist()
        }
        if isinstance(truth, RunLengths):
            runs |= {object_id: truth.runs[object_id] for object_id in given}
        found.append({str(object_id): {"rle": each} for object_id, each in sorted(runs.items())})
    return found


def _truth(sequence: BenchmarkSequence) -> RunLengths:
    return next(truth for truth in sequence.truths if isinstance(truth, RunLengths))
