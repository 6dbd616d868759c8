"""`stm-jax convert` from end to end, with a tiny network."""

import importlib.util
import json
import os
import pathlib
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy

import stm_jax
import stm_jax.commands.convert as command
from stm_jax import weights
from stm_jax.cli import main
from stm_jax.config import TINY
from stm_jax.train.config import TrainConfig
from stm_jax.train.run_config import write_config
from stm_jax.weights import checkpoints, files
from tests.lively import lively_model

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs torch, which is not installed"
)


@pytest.fixture(scope="module")
def state_dict() -> dict[str, np.ndarray]:
    """PyTorch's names of the tiny network, with counts that are not 0."""
    given = weights.to_pytorch(lively_model())
    return {n: np.array(5) if n.endswith("num_batches_tracked") else a for n, a in given.items()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, state_dict) -> pathlib.Path:
    """A folder with the tiny network as it comes without PyTorch, and with files that are wrong."""
    folder = tmp_path_factory.mktemp("inputs")
    model = weights.from_pytorch(state_dict)
    weights.save(model, folder / "ours.safetensors")
    arrays = {f"module.{name}": array for name, array in state_dict.items()}
    safetensors.numpy.save_file(arrays, folder / "theirs.safetensors")
    np.savez(folder / "theirs.npz", **state_dict)
    (folder / "run").mkdir()
    write_config(folder / "run", TrainConfig(model=TINY, stages=()))
    with checkpoints.open_manager(folder / "run") as manager:
        checkpoints.save(manager, 1, model.variables)
    for name in ("text.npz", "text.safetensors"):
        (folder / name).write_text("hello world\n" * 50)
    with (folder / "array.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    np.savez(folder / "objects.npz", a=np.array([{}], object))
    whole = (folder / "theirs.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    safetensors.numpy.save_file({"fc.weight": np.zeros(2)}, folder / "other.safetensors")
    return folder


def run(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


@pytest.fixture
def without_torch(capsys, monkeypatch) -> None:
    # tyro looks once what of torch it can describe, and takes what stands there for importable.
    with pytest.raises(SystemExit, match="0"):
        run("--help")
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "torch", None)


def error_line(capsys) -> str:
    """The one line that an error prints."""
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("stm-jax: error: ")


def assert_holds(path: pathlib.Path, state_dict: dict[str, np.ndarray]) -> None:
    is_ours = path.suffix == ".safetensors"
    found = weights.to_pytorch(weights.load(path)) if is_ours else weights.read_pth(path)
    assert found.keys() == state_dict.keys()
    for name, array in found.items():
        assert array.dtype == state_dict[name].dtype and array.shape == state_dict[name].shape
        np.testing.assert_array_equal(array, state_dict[name], err_msg=name)


@pytest.mark.parametrize("name", ["theirs.npz", "theirs.safetensors", "ours.safetensors", "run"])
def test_to_ours(inputs, tmp_path, capsys, state_dict, name):
    out = tmp_path / "out.safetensors"
    assert run(inputs / name, out) == 0
    told = capsys.readouterr()
    size = out.stat().st_size / 1e6
    assert told.out == f"{out}: tiny, {len(state_dict)} entries, {size:.1f} MB\n"
    assert told.err == ""
    assert_holds(out, state_dict)
    assert os.listdir(tmp_path) == ["out.safetensors"]


@needs_torch
@pytest.mark.parametrize("suffix", ["pth", "pt"])
def test_to_pytorch_and_back(inputs, tmp_path, capsys, state_dict, suffix):
    there, back = tmp_path / f"there.{suffix}", tmp_path / "back.safetensors"
    assert run(inputs / "ours.safetensors", there) == 0
    assert_holds(there, state_dict)
    assert run(there, back) == 0
    assert_holds(back, state_dict)


@needs_torch
@pytest.mark.parametrize("names", [("theirs.npz", "o.safetensors"), ("ours.safetensors", "o.pth")])
def test_verify_runs_both_networks(inputs, tmp_path, capsys, state_dict, names):
    given, out = names
    assert run(inputs / given, tmp_path / out, "--verify") == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert "tiny" in first
    count = len(state_dict)
    assert second == f"{count} of {count} entries come back equal, bit for bit"
    assert third.startswith("largest difference in probability on a random clip")
    assert 0 < float(third.split()[8]) < 5e-5


@pytest.mark.usefixtures("without_torch")
def test_verify_without_torch_compares_entries(inputs, tmp_path, capsys):
    assert run(inputs / "theirs.npz", tmp_path / "out.safetensors", "--verify") == 0
    told = capsys.readouterr().out.splitlines()
    assert "come back equal, bit for bit" in told[1]
    assert told[2] == 'networks not run: that needs PyTorch, pip install "stm_jax[torch]"'


@needs_torch
@pytest.mark.parametrize("wrong", ["swapped", "not finite"])
def test_networks_that_differ_are_told(inputs, tmp_path, capsys, monkeypatch, wrong):
    """As a table that is wrong in the same way in both directions would make them."""
    save = files.save

    def wrongly(model, path, **options):
        spoiled = weights.to_pytorch(model)
        names = "KV_M_r4.Value.weight", "KV_Q_r4.Value.weight"
        first, second = (spoiled[name] for name in names)
        if wrong == "not finite":
            first = second = np.full_like(first, np.nan)
        spoiled |= dict(zip(names, (second, first), strict=True))
        save(weights.from_pytorch(spoiled), path, **options)

    monkeypatch.setattr(files, "save", wrongly)
    monkeypatch.setattr(command, "changed_entries", lambda *_: [])
    assert run(inputs / "theirs.npz", tmp_path / "out.safetensors", "--verify") == 2
    line = error_line(capsys)
    if wrong == "not finite":
        assert "2 not finite (KV_M_r4.Value.weight, KV_Q_r4.Value.weight)" in line
    else:
        assert "is not to be trusted: largest difference in probability" in line


def test_entries_that_change_are_told(inputs, tmp_path, capsys, monkeypatch):
    save = files.save
    monkeypatch.setattr(files, "save", lambda m, p, **o: save(m, p, dtype=np.float16))
    assert run(inputs / "theirs.npz", tmp_path / "out.safetensors", "--verify") == 2
    assert "entries came back changed, Decoder.RF2.ResFS.conv1.bias for one" in error_line(capsys)


def test_what_does_not_fit_is_one_line_with_its_file(inputs, tmp_path, capsys, state_dict):
    wrong = {name: array for name, array in state_dict.items() if "KV_M" not in name}
    np.savez(inputs / "wrong.npz", **wrong, surplus=np.zeros(2))
    assert run(inputs / "wrong.npz", tmp_path / "out.safetensors") == 2
    line = error_line(capsys)
    assert line.startswith(f"{inputs / 'wrong.npz'}: the state dict does not fit: 4 missing (KV_M")
    assert "1 unexpected (surplus)" in line
    assert not (tmp_path / "out.safetensors").exists()


BAD = {
    "neither suffix": ("ours.safetensors", "out.onnx", "must end in .safetensors"),
    "no suffix": ("ours.safetensors", "out", "must end in .safetensors"),
    "no folder": ("ours.safetensors", "nowhere/out.safetensors", "there is no folder"),
    "over itself": ("ours.safetensors", "{inputs}/ours.safetensors", "lies in what is read"),
    "over a folder": ("ours.safetensors", "folder.safetensors", "folder.safetensors"),
    "no such name": ("stm-r99", "out.safetensors", "bundled are"),
    "no such npz": ("none.npz", "out.safetensors", "no such file"),
    "no npz": ("text.npz", "out.safetensors", "is no .npz file"),
    "an array": ("array.npz", "out.safetensors", "is no .npz file"),
    "objects": ("objects.npz", "out.safetensors", "pickled objects"),
    "cut off": ("cut.npz", "out.safetensors", "cut off"),
    "no safetensors": ("text.safetensors", "out.safetensors", "no whole safetensors file"),
    "another network": ("other.safetensors", "out.safetensors", "no state dict of an STM"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_status_2(inputs, tmp_path, capsys, name):
    given, out, expected = BAD[name]
    (tmp_path / "folder.safetensors").mkdir()
    ours = (inputs / "ours.safetensors").read_bytes()
    out = tmp_path / out.format(inputs=inputs)
    assert run(given if given == "stm-r99" else inputs / given, out) == 2
    assert expected in error_line(capsys)
    assert (inputs / "ours.safetensors").read_bytes() == ours
    assert os.listdir(tmp_path) == ["folder.safetensors"]


@pytest.mark.parametrize("names", [("there.pth", "out.safetensors"), ("ours.safetensors", "o.pth")])
@pytest.mark.usefixtures("without_torch")
def test_without_torch_it_says_what_to_install(inputs, tmp_path, capsys, names):
    given, out = names
    assert run(inputs / given, tmp_path / out) == 2
    assert 'pip install "stm_jax[torch]"' in error_line(capsys)
    assert not (tmp_path / out).exists()


def test_the_random_clip_exercises_padding_and_movement():
    frames, mask = command.random_clip()
    assert frames.shape == (5, 90, 118, 3) and frames.dtype == np.uint8
    assert mask.shape == (90, 118) and np.unique(mask).tolist() == [0, 1, 2]
    patch = frames[0][mask == 1]
    np.testing.assert_array_equal(frames[1, 12:46, 13:41].reshape(-1, 3), patch)


def test_half_precision_and_a_line_of_origin(inputs, tmp_path, capsys):
    half, whole = tmp_path / "half.safetensors", tmp_path / "whole.safetensors"
    assert run(inputs / "run", half, "--dtype", "float16", "--about", "a run") == 0
    assert run(inputs / "run", whole) == 0
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    abouts = []
    for path in (half, whole):
        with safetensors.safe_open(path, "numpy") as file:
            abouts.append(json.loads(file.metadata()["stm_jax"])["about"])
    assert abouts == ["a run", "converted from run"]
    kernel = "params/query_head/key/conv/kernel"
    stored = safetensors.numpy.load_file(whole)[kernel].astype(np.float16)
    np.testing.assert_array_equal(safetensors.numpy.load_file(half)[kernel], stored)


@pytest.mark.parametrize("more", [("o.pth",), ("o.safetensors", "--verify")])
def test_half_precision_is_refused_where_it_has_no_meaning(inputs, tmp_path, capsys, more):
    out, *options = more
    assert run(inputs / "ours.safetensors", tmp_path / out, "--dtype", "float16", *options) == 2
    assert "--dtype float16 is for OUT.safetensors" in error_line(capsys)
    assert os.listdir(tmp_path) == []


def test_versions_and_devices_are_told(capsys):
    assert main(["--version"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"stm_jax {stm_jax.__version__}"
    assert second.startswith("python ") and f"jax {jax.__version__}" in second
    assert str(jax.devices()[0]) in third
