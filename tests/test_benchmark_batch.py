"""`stm-jax benchmark-dataset --videos`: the same files as one video after the other gives."""

import json
import pathlib
import shutil
import signal

import jax
import pytest

from stm_jax import weights
from stm_jax.cli import main
from stm_jax.commands.benchmark_dataset import BenchmarkDataset
from stm_jax.commands.shared.elsewhere import segment_here
from stm_jax.commands.shared.options import BenchmarkOptions, ModelOptions, ResultOptions
from stm_jax.infer.batch import Places
from tests.benchmark_trees import davis2017, run_elsewhere, youtube_vos
from tests.conftest import XLA_FLAGS
from tests.lively import lively_model
from tests.study_runs import DaskCluster
from tests.test_benchmark_dataset import KILLING, arguments, error_line, tree

VIDEOS = {
    "cat": (7, 32, 48, (1, 2, 4)),
    "ant": (6, 32, 48, (2, 5)),
    "bee": (3, 32, 48, (1,)),
    "owl": (4, 32, 48, (1, 3)),
    "elk": (4, 36, 44, (1,)),  # of a size of its own
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("data")
    davis2017(folder / "davis", VIDEOS)
    youtube_vos(folder / "youtube")
    weights.save(lively_model(), folder / "tiny.safetensors")
    return folder


@pytest.fixture(scope="module")
def one_by_one(data, tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("one") / "out"
    assert main(arguments(data, out, "davis")) == 0
    return out


def written(out: pathlib.Path) -> dict[str, object]:
    """What the files hold, but for the settings, which note what they were made on."""
    return {name: held for name, held in tree(out).items() if name != "settings.json"}


def test_masks_scores_and_summaries_are_those_of_one_by_one(data, one_by_one, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(arguments(data, out, "davis", "--videos", "2")) == 0
    assert tree(out) == tree(one_by_one)
    told = capsys.readouterr().out
    # Two places: 6 + 2 and 5 + 3 frames after the first; then 3 of another size, alone.
    assert "0 of 19 frames of the batches (0.0 %) were padding" in told
    assert "24 frames of 5 sequences in" in told
    summary = json.loads((out / "sequences/owl.json").read_text())
    assert summary["seconds"] >= summary["segment_seconds"] >= 0


def test_objects_that_come_late_and_frames_that_nobody_wants(data, tmp_path):
    outs = [tmp_path / "one", tmp_path / "two"]
    more = ["--split", "valid_all_frames"]
    assert main(arguments(data, outs[0], "youtube", *more)) == 0
    assert main(arguments(data, outs[1], "youtube", *more, "--videos", "2")) == 0
    assert tree(outs[0]) == tree(outs[1])


def test_four_devices_share_the_videos(data, one_by_one, tmp_path):
    """Also where there are more devices than videos, and where it does not come out even."""
    program = "import sys; from stm_jax.cli import main; sys.exit(main())"
    flags = f"--xla_force_host_platform_device_count=4 {XLA_FLAGS}"
    out = tmp_path / "out"
    given = arguments(data, out, "davis", "--videos", "8")
    done = run_elsewhere(program, given, XLA_FLAGS=flags)
    assert done.returncode == 0, done.stderr
    # Four places for 6, 5, 3 and 2 frames, and one for 3.
    assert "8 of 27 frames of the batches (29.6 %) were padding" in done.stdout
    assert tree(out) == tree(one_by_one)


def test_a_killed_run_goes_on(data, one_by_one, tmp_path):
    out = tmp_path / "out"
    given = arguments(data, out, "davis", "--videos", "2")
    killed = run_elsewhere(KILLING, given)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (out / "masks/ant/00003.png").exists() and not (out / "sequences/ant.json").exists()
    assert main(given) == 0
    assert tree(out) == tree(one_by_one)


def test_a_cluster_writes_the_same_and_goes_on(data, one_by_one, tmp_path, capsys):
    pytest.importorskip("distributed", reason="needs pip install 'stm_jax[cluster]'")
    out = tmp_path / "out"
    with DaskCluster(tmp_path) as cluster:
        given = arguments(data, out, "davis", "--scheduler", cluster.address)
        assert main(given) == 0
        assert "24 frames of 5 sequences in" in capsys.readouterr().out
        assert written(out) == written(one_by_one)
        (out / "sequences/owl.json").unlink()
        (out / "sequences/elk.json").unlink()
        assert main([*given, "--videos", "2"]) == 0
        told = capsys.readouterr().out
    assert "8 frames of 2 sequences in" in told
    assert "0 of 6 frames of the batches (0.0 %) were padding" in told
    assert written(out) == written(one_by_one)


def test_a_worker_with_other_weights_is_refused(data, tmp_path):
    """The answer that a task gives; no cluster is needed for it."""
    data_options = BenchmarkOptions(root=data / "davis", protocol="davis2017")
    model = ModelOptions(weights=str(data / "tiny.safetensors"))
    command = BenchmarkDataset(data_options, ResultOptions(tmp_path / "out"), model)
    told = segment_here(command, "{}", ("owl",))
    assert list(told) == ["failed"] and told["failed"].startswith("a worker has another stm_jax")


def test_a_damaged_frame_is_named_and_whole_sequences_are_kept(data, tmp_path, capsys):
    copy = shutil.copytree(data, tmp_path / "copy")
    bad = copy / "davis/JPEGImages/480p/owl/00003.png"
    bad.write_bytes(bad.read_bytes()[:300])
    out = tmp_path / "out"
    assert main(arguments(copy, out, "davis", "--videos", "2")) == 2
    line = error_line(capsys)
    assert "owl/00003.png cannot be read" in line and "sequences are done and kept" in line
    assert not (out / "sequences/owl.json").exists()


def test_too_little_memory_is_told_with_what_to_give_instead(data, tmp_path, capsys, monkeypatch):
    def step(self, asked):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(Places, "step", step)
    assert main(arguments(data, tmp_path / "out", "davis", "--videos", "2")) == 2
    assert "too little memory for this: give fewer --videos, or a smaller" in error_line(capsys)


@pytest.mark.parametrize(
    "more, message",
    [
        (["--videos", "0"], "--videos is 0"),
        (["--videos", "2", "--flip"], "--videos is 2: leave out --flip and --scales"),
        (["--videos", "2", "--devices", "2"], "--videos is 2: leave out --devices"),
        (["--videos", "2", "--runtime", "openvino"], "--videos is 2: leave out --runtime"),
        (["--scheduler", "tcp://a:1", "--devices", "2"], "--devices are of this machine"),
    ],
)
def test_what_does_not_go_with_it_is_refused(data, tmp_path, capsys, more, message):
    assert main(arguments(data, tmp_path / "out", "davis", *more)) == 2
    assert message in error_line(capsys)
    assert not (tmp_path / "out").exists()
