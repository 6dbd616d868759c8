"""What a worker does with a piece: it trains, looks at a video's masks, or follows its objects.

A worker is any process that sees the study's file, its data and its folder by the same names.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import threading
from typing import Any

import jax

from stm_jax.benchmark.folder import BenchmarkFolder
from stm_jax.benchmark.plan import Program
from stm_jax.benchmark.sequences import video_of
from stm_jax.benchmark.work import segment_sequence
from stm_jax.data.benchmarks import BenchmarkSequence, benchmark_sequences
from stm_jax.errors import InputError
from stm_jax.eval.scores import scores_to_json
from stm_jax.eval.scoring import score_predictions
from stm_jax.files import hash_of_file
from stm_jax.infer.segmenter import Segmenter
from stm_jax.nn.model import Model
from stm_jax.runtime.compile_cache import enable_compilation_cache
from stm_jax.study.attributes import attributes_of
from stm_jax.study.config import DataSet, Drawn, Study, load_study, with_seed
from stm_jax.study.cost import seconds_of_run
from stm_jax.study.depends import code_of
from stm_jax.study.folder import WEIGHTS, StudyFolder
from stm_jax.study.pieces import DRAWN_AS, Piece, Videos
from stm_jax.study.variants import Variant
from stm_jax.train.validated import train
from stm_jax.weights.files import load, save

_one_at_a_time = threading.Lock()
"""Of the threads of a worker: times are of one piece, and a run's output is the process's."""


@dataclasses.dataclass(frozen=True)
class Workplace:
    """Where a study's pieces are worked on.

    Attributes:
        file: The study's file ...
        content: ... and a hash of it.
        data: What the study's paths are below.
        out: The study's folder.
        precision: JAX's setting of how matrices are multiplied.
        code: A hash of stm_jax's sources.
        keep_masks: Whether the masks of the videos stay.
    """

    file: pathlib.Path
    content: str
    data: pathlib.Path
    out: pathlib.Path
    precision: str | None
    code: str
    keep_masks: bool = False

    def study(self) -> Study:
        """Returns the study that the file holds."""
        return load_study(self.file, self.data)


def run_piece(place: Workplace, piece: Piece) -> dict[str, Any]:
    """Runs a piece, unless it is done, and notes its result in the study's folder.

    Returns:
        The result, or {"failed": why} if it cannot be had, whoever tries.
    """
    folder = StudyFolder(place.out, place.keep_masks)
    with _one_at_a_time:
        found = folder.result_of(piece)
        if found is not None:
            return found
        try:
            enable_compilation_cache()
            study = _checked_study(place)
            with jax.default_matmul_precision(place.precision):
                found = _DO[piece.kind](study, folder, piece)
        except InputError as error:
            return {"failed": str(error)}
        found = {"about": dict(piece.about), **found, "device": jax.local_devices()[0].device_kind}
        folder.write_result(piece, found)
        return found


def sequences_of(videos: DataSet | Drawn, folder: StudyFolder) -> tuple[BenchmarkSequence, ...]:
    """Returns the sequences of a set of videos.

    Raises:
        InputError: They are not there, or one has no true masks.
    """
    if isinstance(videos, Drawn):
        return benchmark_sequences(folder.drawn(videos), DRAWN_AS)
    found = benchmark_sequences(videos.root, videos.protocol, videos.split, videos.sequences)
    for each in found:
        if not any(truth for index, truth in enumerate(each.truths) if index not in each.given):
            raise InputError(
                f"{each.name} of {videos.name} has no true masks but the given ones: leave it out"
            )
    return found


def all_sequences(study: Study, folder: StudyFolder) -> Videos:
    """Returns the sequences of every set of videos; see `sequences_of`."""
    return {each.name: sequences_of(each, folder) for each in study.videos}


def _checked_study(place: Workplace) -> Study:
    if code_of() != place.code:
        raise InputError(
            "a worker has another stm_jax than the study was begun with: install the same"
            " everywhere, and start the workers again"
        )
    if not place.file.is_file() or hash_of_file(place.file) != place.content:
        raise InputError(f"{place.file} is not there, or was changed while the study runs")
    return _study(place)


@functools.lru_cache(maxsize=4)
def _study(place: Workplace) -> Study:
    return place.study()


@functools.lru_cache(maxsize=16)
def _sequences(videos: DataSet | Drawn, out: pathlib.Path) -> dict[str, BenchmarkSequence]:
    return {each.name: each for each in sequences_of(videos, StudyFolder(out))}


@functools.lru_cache(maxsize=1)
def _model(weights: str, content: str, similarity: tuple[str, ...]) -> Model:
    del content  # what the file holds, by which another one of its name is told apart
    return load(weights, similarity)


def _train(study: Study, folder: StudyFolder, piece: Piece) -> dict[str, Any]:
    variant = _variant(study, piece)
    assert variant.training is not None
    config = dataclasses.replace(variant.training, seed=piece.seed)
    run, weights = folder.run_of(piece.key), folder.weights_of(piece.key)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        model = train(config, run)
    save(model, weights, about=f"{piece} of a study")
    steps = sum(stage.steps for stage in config.stages)
    return {
        "result": {WEIGHTS: hash_of_file(weights), "steps": steps},
        "timing": {"seconds": seconds_of_run(run, config)},
    }


def _look(study: Study, folder: StudyFolder, piece: Piece) -> dict[str, Any]:
    return {"result": attributes_of(_sequence(study, folder, piece))}


def _follow(study: Study, folder: StudyFolder, piece: Piece) -> dict[str, Any]:
    variant, sequence = _variant(study, piece), _sequence(study, folder, piece)
    weights = study.weights if piece.needs is None else str(folder.weights_of(piece.needs))
    segmenter = Segmenter(
        _model(weights, str(piece.about["weights"]), variant.similarity),
        memory=with_seed(variant.memory, piece.seed),
        read=variant.read,
        short_side=piece.about["size"],
        dtype=study.dtype,
    )
    video = video_of(sequence)
    masks = BenchmarkFolder(folder.masks_of(piece.key), {}, {})
    masks.begin(overwrite=True)
    # A program of its own: what a video takes depends on no other video of the study.
    program = Program(video.size, video.objects, video.frames)
    summary = segment_sequence(sequence, program, segmenter, masks, lambda _: None)
    scores = score_predictions(
        masks.masks, (sequence,), piece.about["protocol"], strict=False, workers=1
    )
    if folder.keep_masks:
        kept = folder.kept_masks_of(piece)
        shutil.rmtree(kept, ignore_errors=True)  # of other weights, or another memory
        kept.parent.mkdir(parents=True, exist_ok=True)
        (masks.masks / sequence.name).rename(kept)
    shutil.rmtree(masks.path)
    return {
        "result": {"scores": scores_to_json(scores), "memory_bytes": summary["memory_bytes"]},
        "timing": {
            name: summary[name] for name in ("frames", "segment_seconds", "compile_seconds")
        },
    }


_DO = {"training": _train, "attributes": _look, "following": _follow}


def _variant(study: Study, piece: Piece) -> Variant:
    return next(each for each in study.variants if each.name == piece.variant)


def _sequence(study: Study, folder: StudyFolder, piece: Piece) -> BenchmarkSequence:
    videos = next(each for each in study.videos if each.name == piece.videos)
    return _sequences(videos, folder.path)[piece.video]
