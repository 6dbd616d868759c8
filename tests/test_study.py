"""`stm-jax study` from end to end: what it finds, and that killing it changes nothing."""

import csv
import json
import pathlib
import signal

import numpy as np
import pytest

from stm_jax import weights
from stm_jax.data.image_files import read_rgb
from stm_jax.data.masks import read_mask
from stm_jax.errors import InputError
from stm_jax.eval.davis import mean_over_objects, score_sequence
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory import EveryNth, Fifo
from stm_jax.study import engine
from tests import study_runs
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
    assert all(0 < each < 60 for pair in times for each in pair)
    page = (whole / "study.html").read_text()
    assert "Where the objects are lost" in page and "every object that is scored" in page


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
