"""`stm-jax study` from end to end: what it finds, and that killing it changes nothing."""

import csv
import dataclasses
import json
import pathlib
import signal

import numpy as np
import pytest

from stm_jax import weights
from stm_jax.commands.study import _Telling
from stm_jax.data.image_files import read_rgb
from stm_jax.data.masks import read_mask
from stm_jax.errors import InputError
from stm_jax.eval.davis import mean_over_objects, score_sequence
from stm_jax.eval.scoring import score_predictions
from stm_jax.files import hash_of_file
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory import EveryNth, Fifo, First
from stm_jax.reads import TopK
from stm_jax.study import engine
from stm_jax.study.config import load_study
from stm_jax.study.depends import code_of
from stm_jax.study.folder import StudyFolder
from stm_jax.study.pieces import plan_study
from stm_jax.study.work import Workplace, all_sequences, run_piece
from tests import study_runs
from tests.lively import lively_model
from tests.study_runs import (
    DaskCluster,
    finish,
    kill,
    pieces_done,
    start,
    steps_done,
    table,
    wait_until,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with study.py: two variants that share a training, two seeds each."""
    folder = tmp_path_factory.mktemp("study")
    study_runs.make_study(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder: pathlib.Path) -> pathlib.Path:
    """The results of a study that nothing disturbed."""
    finish(start(folder, folder / "whole"))
    return folder / "whole"


def test_what_it_finds_is_what_its_parts_find(folder, whole):
    trainings = [json.loads(p.read_text()) for p in (whole / "pieces").glob("training-*.json")]
    assert len(trainings) == 2  # of two variants and two seeds: they are shared
    files = {each["about"]["training"]["seed"]: each for each in trainings}
    found = []
    for memory in (EveryNth(2), Fifo(frames=2)):
        means = []
        for seed in (0, 1):
            key = next(
                p.stem
                for p in (whole / "pieces").glob("training-*.json")
                if json.loads(p.read_text()) == files[seed]
            )
            segmenter = Segmenter(
                weights.load(whole / f"trainings/{key}.safetensors"), memory=memory
            )
            scores = []
            for video in ("ant", "bee"):
                frames = sorted((folder / f"davis/JPEGImages/480p/{video}").iterdir())
                truths = sorted((folder / f"davis/Annotations/480p/{video}").iterdir())
                masks = [read_mask(path) for path in truths]
                ids = [segmenter.start(read_rgb(frames[0]), masks[0], length=len(frames))]
                ids += [segmenter.step(read_rgb(frame)) for frame in frames[1:]]
                scores += score_sequence(ids, masks, np.unique(masks[0])[1:].tolist())
            means.append(mean_over_objects(scores).j_and_f)
        found.append(means)
    for row, means in zip(table(whole), found, strict=True):
        assert float(row["j_and_f"]) == pytest.approx(np.mean(means), abs=6e-5)
        assert float(row["spread"]) == pytest.approx(np.std(means, ddof=1), abs=6e-5)
        assert (row["training_steps"], row["seeds"]) == ("8", "2")
    assert float(table(whole)[1]["difference"]) == pytest.approx(
        np.mean(found[1]) - np.mean(found[0]), abs=6e-5
    )
    with (whole / "study.csv").open() as file:
        times = [
            (float(r["seconds_a_frame"]), float(r["training_seconds"]))
            for r in csv.DictReader(file)
        ]
    # Seconds, on any machine: no more than passed, with two trainings side by side at most.
    passed = (whole / "study.csv").stat().st_mtime - (whole / ".stm-jax").stat().st_mtime
    assert all(0 < each < 2 * passed for pair in times for each in pair)
    page = (whole / "study.html").read_text()
    assert "Where the objects are lost" in page and "every object that is scored" in page


PLAIN = """
from pathlib import Path
from stm_jax.memory import First
from stm_jax.reads import TopK
from stm_jax.study import DataSet, Study, Variant

def get_study():
    videos = (DataSet("davis", Path("davis"), "davis2017", sequences=("ant",), size=16),)
    variants = (Variant("first", First(frames=2), TopK(3)),)
    return Study(variants, videos, "first", "tiny.safetensors")
"""


def test_masks_stay_if_asked_and_are_those_of_memory_read_and_size(folder, tmp_path):
    (tmp_path / "study.py").write_text(PLAIN)
    file, out = tmp_path / "study.py", StudyFolder(tmp_path / "out", keep_masks=True)
    study = load_study(file, folder)
    out.begin(overwrite=False)
    plan = plan_study(study, all_sequences(study, out), "highest")
    piece = plan.pieces[plan.followings["first", 0, ("davis", "ant")]]
    place = Workplace(file, hash_of_file(file), folder, out.path, "highest", code_of())
    found = run_piece(place, piece)
    assert "result" in found and not out.kept_masks_of(piece).exists()
    assert out.result_of(piece) is None  # for its masks are gone
    again = run_piece(dataclasses.replace(place, keep_masks=True), piece)
    assert again["result"] == found["result"] and out.result_of(piece) == again

    segmenter = Segmenter(lively_model(), memory=First(frames=2), read=TopK(3), short_side=16)
    frames = [read_rgb(path) for path in sorted((folder / "davis/JPEGImages/480p/ant").iterdir())]
    mask = read_mask(folder / "davis/Annotations/480p/ant/00000.png")
    expected = [segmenter.start(frames[0], mask, length=len(frames))]
    expected += [segmenter.step(frame) for frame in frames[1:]]
    kept = [read_mask(p) for p in sorted(out.path.glob("masks/first/seed-0/davis/ant/*.png"))]
    assert np.array_equal(kept, expected)
    assert found["result"]["memory_bytes"] == segmenter.memory_bytes
    out.begin(overwrite=True)
    assert not out.kept_masks_of(piece).exists()


def test_frames_count_while_a_video_is_followed(folder, tmp_path, monkeypatch):
    (tmp_path / "study.py").write_text(PLAIN)
    file, out = tmp_path / "study.py", StudyFolder(tmp_path / "out")
    study = load_study(file, folder)
    out.begin(overwrite=False)
    plan = plan_study(study, all_sequences(study, out), "highest")
    piece = plan.pieces[plan.followings["first", 0, ("davis", "ant")]]
    place = Workplace(file, hash_of_file(file), folder, out.path, "highest", code_of())
    told = _Telling(study, plan, out, place, progress := Heard())
    assert told.missing()
    told.look()

    def score(*arguments, **more):
        told.look()  # all are followed, none is scored
        return score_predictions(*arguments, **more)

    monkeypatch.setattr("stm_jax.study.work.score_predictions", score)
    told.done(piece, run_piece(place, piece))
    told.look()
    assert progress.frames == [0, piece.frames, piece.frames]
    assert out.frames_followed() == 0


class Heard:
    """Progress that remembers how many frames it was told."""

    def __init__(self) -> None:
        self.frames: list[int] = []

    def update(self, frames: int, *_) -> None:
        self.frames.append(frames)

    def say(self, _: str) -> None:
        pass


def test_a_study_that_is_killed_and_stopped_ends_with_the_same_table(folder, whole):
    out = folder / "killed"
    kill(start(folder, out), lambda: steps_done(out) >= 4)
    assert pieces_done(out, "training") < 2
    stopped = start(folder, out, "--workers", "2")
    wait_until(stopped, lambda: pieces_done(out, "following") >= 2)
    stopped.send_signal(signal.SIGTERM)
    told = finish(stopped, 130)
    assert "Traceback" not in told and "stm-jax: stopped: give the same command again" in told
    done = pieces_done(out)
    assert done < pieces_done(whole)
    assert f"{done} of {pieces_done(whole)} pieces are done already" in finish(start(folder, out))
    assert table(out) == table(whole)
    assert not list((out / "unfinished").iterdir())


def test_a_dask_cluster_that_loses_a_worker_ends_with_the_same_table(folder, whole):
    pytest.importorskip("distributed", reason="needs pip install 'stm_jax[cluster]'")
    out = folder / "cluster"
    with DaskCluster(folder) as cluster:
        study = start(folder, out, "--scheduler", cluster.address)
        wait_until(study, lambda: steps_done(out) >= 4)
        cluster.kill_worker(0)
        finish(study)
    assert table(out) == table(whole)


def test_no_scheduler_is_told_in_a_line(monkeypatch):
    pytest.importorskip("distributed", reason="needs pip install 'stm_jax[cluster]'")
    monkeypatch.setattr(engine, "SECONDS_TO_CONNECT", 1)
    line = r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"
    with pytest.raises(InputError, match=line), engine.cluster("tcp://127.0.0.1:9"):
        pass
