"""Pieces of a study are known by all that they depend on; who works on them may be lost."""

import concurrent.futures
import dataclasses
import os
import pathlib
import signal
from collections import Counter

import pytest

from stm_jax import weights
from stm_jax.cli import main
from stm_jax.errors import InputError
from stm_jax.memory import EveryNth, Reservoir
from stm_jax.study import depends, engine
from stm_jax.study.config import load_study, with_seed
from stm_jax.study.folder import StudyFolder
from stm_jax.study.pieces import Piece, Plan, plan_study
from stm_jax.study.work import Workplace, all_sequences
from tests import study_runs
from tests.benchmark_trees import boxes, write_palette
from tests.lively import lively_model


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    study_runs.make_study(tmp_path, variants=4)
    return tmp_path


def plan(folder: pathlib.Path, more: str = "") -> Plan:
    study_runs.write_study(folder, variants=4, more=more)
    study = load_study(folder / "study.py", folder)
    return plan_study(study, all_sequences(study, StudyFolder(folder / "out")), None)


def changed(before: Plan, after: Plan) -> Counter:
    """Returns how many pieces of each kind are to be done again, or for the first time."""
    return Counter(p.kind for key, p in after.pieces.items() if key not in before.pieces)


def test_variants_share_what_is_the_same(folder):
    found = plan(folder)
    kinds = Counter(piece.kind for piece in found.pieces.values())
    # Two trainings of two seeds each: "shared" trains as "trained" does. Four variants of two
    # seeds on two videos.
    assert kinds == {"training": 4, "attributes": 2, "following": 16}
    assert found.trainings["trained", 1] == found.trainings["shared", 1]
    again = (
        "\nVARIANTS = (VARIANTS[0], dataclasses.replace(VARIANTS[0], name='twin'), *VARIANTS[2:])"
    )
    same = plan(folder, "import dataclasses" + again)
    assert Counter(piece.kind for piece in same.pieces.values())["following"] == 12


def replaced(index: int, change: str) -> str:
    """Returns what replaces fields of a variant of study.py, which is `v` in the change."""
    return (
        "import dataclasses\nVARIANTS = list(VARIANTS)\nv = VARIANTS[INDEX]\n"
        f"VARIANTS[INDEX] = dataclasses.replace(v, {change})\nVARIANTS = tuple(VARIANTS)\n"
    ).replace("INDEX", str(index))


@pytest.mark.parametrize(
    ("index", "change", "expected"),
    [
        (1, "name='another'", {}),
        (1, "training=dataclasses.replace(v.training, log_every=2, checkpoint_every=1)", {}),
        (1, "memory=Fifo(frames=3)", {"following": 4}),
        (1, "similarity=('negative-l2',)", {"following": 4}),
        (3, "seeds=(0, 2)", {"following": 2}),
        (2, "training=training(2e-3)", {"training": 2, "following": 4}),
        (2, "training=None, seeds=(0,)", {"following": 2}),
        (2, "seeds=(0, 1, 2)", {"training": 1, "following": 2}),
    ],
)
def test_what_depends_on_a_change_is_done_again_and_no_more(folder, index, change, expected):
    assert changed(plan(folder), plan(folder, replaced(index, change))) == expected


def test_what_depends_on_a_file_is_done_again_and_no_more(folder, monkeypatch):
    before = plan(folder)
    mask = folder / "davis/Annotations/480p/bee/00002.png"
    write_palette(mask, boxes(32, 48, (1,), 3))
    assert changed(before, plan(folder)) == {"attributes": 1, "following": 8}
    before = plan(folder)
    os.utime(folder / "clips/images/a.jpg", (1, 1))
    assert changed(before, plan(folder)) == {"training": 4, "following": 12}
    before = plan(folder)
    os.utime(folder / "tiny.safetensors", (1, 1))
    assert changed(before, plan(folder)) == {}
    model = lively_model()
    bias = model.variables["params"]["decoder"]["predict"]["bias"]
    monkeypatch.setitem(model.variables["params"]["decoder"]["predict"], "bias", bias + 1)
    weights.save(model, folder / "tiny.safetensors")
    assert changed(before, plan(folder)) == {"training": 4, "following": 16}
    before = plan(folder)
    monkeypatch.setattr(depends, "versions", lambda: {"jax": "another"})
    assert changed(before, plan(folder)) == {"training": 4, "following": 16}


def test_another_rule_beside_changes_nothing_and_what_a_rule_imports_does(tmp_path, monkeypatch):
    real, read = depends.hash_of_file, []
    monkeypatch.setattr(depends, "hash_of_file", lambda path: read.append(path.name) or real(path))
    depends.code_of_memory.__wrapped__(Reservoir)
    assert {"reservoir.py", "random_frame.py", "frame_rule.py", "bank.py"} <= set(read)
    assert not {"fifo.py", "xmem.py"} & set(read)


def test_a_seed_is_the_memorys_too():
    assert with_seed(Reservoir(frames=3), 5) == Reservoir(frames=3, seed=5)
    assert with_seed(EveryNth(2), 5) == EveryNth(2)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("\ndef get_study(): return 3", "returns int: return a Study"),
        (replaced(0, "name='a b'"), "'a b' in variants is no name"),
        (replaced(0, "name='shared'"), "variants has shared twice"),
        (replaced(0, "name='new'"), "baseline is 'trained': give one of new, shared"),
        (replaced(1, "memory=3"), "the memory of shared is 3: give a Memory"),
        (replaced(1, "read=3"), "the read of shared is 3"),
        (replaced(1, "similarity=('alike',)"), "the similarity of shared: alike: there is"),
        (replaced(1, "training=3"), "the training of shared is no TrainConfig"),
        (replaced(1, "seeds=()"), "the seeds of shared are ()"),
        (replaced(1, "seeds=(1, 1)"), "the seeds of shared are (1, 1)"),
        (replaced(1, "seeds=(True,)"), "a seed of shared is True"),
        (replaced(1, "training=None"), "shared neither trains nor has a memory that draws"),
        (
            replaced(1, "training=dataclasses.replace(v.training, clip_norm=-1.0)"),
            "the training of shared: clip_norm is -1.0",
        ),
        ("\nVARIANTS = ()", "variants is (): give a tuple of one at least"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_in_a_line(folder, more, line, capsys):
    study_runs.write_study(folder, variants=4, more=more)
    given = ["study", str(folder / "study.py"), "--data", str(folder), "--out", str(folder / "out")]
    assert main(given) == 2
    told = capsys.readouterr().err
    assert line in told and told.count("\n") == 1
    assert not (folder / "out").exists()


def test_a_seam_that_does_not_fit_is_refused(folder, capsys):
    given = ["study", str(folder / "study.py"), "--data", str(folder), "--out"]
    assert main([*given, str(folder / "davis/out")]) == 2
    assert "lies in what is read" in capsys.readouterr().err
    assert main([*given, str(folder / "out"), "--workers", "2", "--scheduler", "tcp://a:1"]) == 2
    assert "leave it out beside --scheduler" in capsys.readouterr().err


PLACE = Workplace(pathlib.Path("study.py"), "", pathlib.Path(), pathlib.Path("out"), None, "")


def pieces_of_two_trainings() -> list[Piece]:
    trainings = [Piece("training", {"n": n}, f"v{n}") for n in range(2)]
    return trainings + [
        Piece("following", {"n": n, "video": video}, f"v{n}", video=video, needs=trainings[n].key)
        for n in range(2)
        for video in ("a", "b")
    ]


def run_with(monkeypatch, work, open_executor=None) -> tuple[list[str], dict[str, str]]:
    """Runs the pieces in this process; returns their order, and what failed."""
    monkeypatch.setattr(engine, "run_piece", work)
    order, failed = [], {}

    def done(piece: Piece, result: dict) -> None:
        order.append(str(piece))
        if "failed" in result:
            failed[str(piece)] = result["failed"]

    threads = open_executor or (lambda: concurrent.futures.ThreadPoolExecutor(1))
    engine.run_pieces(pieces_of_two_trainings(), PLACE, threads, done, lambda: None)
    return order, failed


def test_what_needs_a_training_waits_for_it(monkeypatch):
    order, failed = run_with(monkeypatch, lambda place, piece: {"result": {}})
    assert len(order) == 6 and not failed
    for n in range(2):
        assert order.index(f"training of v{n}, seed 0") < order.index(f"v{n}, seed 0, /a")


def test_a_piece_that_fails_takes_what_needs_it_and_nothing_else(monkeypatch):
    def work(place: Workplace, piece: Piece) -> dict:
        if piece.kind == "training" and piece.variant == "v0":
            return {"failed": "no gradient"}
        if piece.video == "b":
            raise ZeroDivisionError("why")
        return {"result": {}}

    order, failed = run_with(monkeypatch, work)
    assert len(order) == 4 and "v0, seed 0, /a" not in order
    assert failed == {
        "training of v0, seed 0": "no gradient",
        "v1, seed 0, /b": "ZeroDivisionError: why",
    }


class Broken(concurrent.futures.Executor):
    """An executor whose processes are killed with the third piece."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def submit(self, fn, /, *args, **kwargs):
        future: concurrent.futures.Future = concurrent.futures.Future()
        self._log.append(str(args[1]))
        if len(self._log) == 3:
            future.set_exception(concurrent.futures.process.BrokenProcessPool("killed"))
        else:
            future.set_result({"result": {}})
        return future


def test_pieces_of_lost_workers_are_run_again(monkeypatch):
    log: list[str] = []
    order, failed = run_with(monkeypatch, lambda *_: {}, lambda: Broken(log))
    assert sorted(order) == sorted(map(str, pieces_of_two_trainings())) and not failed
    assert len(log) > len(order)

    class AlwaysBroken(Broken):
        def submit(self, fn, /, *args, **kwargs):
            self._log[:] = ["", ""]
            return super().submit(fn, *args, **kwargs)

    with pytest.raises(InputError, match=r"a worker was killed 4 times .* fewer --workers"):
        run_with(monkeypatch, lambda *_: {}, lambda: AlwaysBroken(log))


def kill_this_process_once(place: Workplace, piece: Piece) -> dict:
    """Work that is killed when the first piece is begun, and does the second try."""
    mark = place.out / piece.key
    if not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return {"result": {}}


def test_a_local_worker_that_is_killed_costs_a_second_try(monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "run_piece", kill_this_process_once)
    place, done = dataclasses.replace(PLACE, out=tmp_path), []
    pieces = pieces_of_two_trainings()[:2]
    engine.run_pieces(
        pieces, place, lambda: engine.local(1), lambda p, _: done.append(p.key), lambda: None
    )
    assert sorted(done) == sorted(piece.key for piece in pieces)


def test_a_damaged_result_counts_as_none(tmp_path):
    folder, piece = StudyFolder(tmp_path), Piece("attributes", {"n": 1}, video="a")
    folder.begin(overwrite=False)
    content = {"about": dict(piece.about), "result": {"1": {}}}
    folder.write_result(piece, content)
    assert folder.result_of(piece) == content
    (file,) = (tmp_path / "pieces").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert folder.result_of(piece) is None
    folder.write_result(piece, content | {"about": {"n": 2}})
    assert folder.result_of(piece) is None
    training = Piece("training", {"n": 1})
    folder.weights_of(training.key).write_bytes(b"weights")
    noted = {"weights": depends.hash_of_file(folder.weights_of(training.key))}
    folder.write_result(training, {"about": {"n": 1}, "result": noted})
    assert folder.result_of(training) is not None
    folder.weights_of(training.key).write_bytes(b"weighty")
    assert folder.result_of(training) is None
