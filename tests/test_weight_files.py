"""Models as files: what is saved comes back, and what is no model is told in one line."""

import dataclasses
import gc
import json
import os
import pathlib
import pickle
import time
import zipfile

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import stm_jax
from stm_jax import Model, weights
from stm_jax.config import STM_R18, TINY, ModelConfig
from stm_jax.errors import InputError
from stm_jax.train.config import TrainConfig
from stm_jax.train.run_config import write_config
from stm_jax.weights import checkpoints, files
from stm_jax.weights.any_source import read_weights
from stm_jax.weights.kinds import kind_of
from tests.lively import lively_model


def flat(model: Model) -> dict[str, np.ndarray]:
    variables = flax.traverse_util.flatten_dict(model.variables, sep="/")
    return {path: np.asarray(array) for path, array in variables.items()}


def message_of(source: str | pathlib.Path) -> str:
    """Returns the one line that loading it raises."""
    with pytest.raises(InputError) as caught:
        weights.load(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewrite(path: pathlib.Path, arrays: dict, metadata: dict[str, str] | None = None) -> None:
    """Puts other arrays, and if given another metadata, into a file."""
    if metadata is None:
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata()
    safetensors.numpy.save_file(arrays, path, metadata)


@pytest.fixture
def saved(tmp_path) -> pathlib.Path:
    path = tmp_path / "tiny.safetensors"
    weights.save(lively_model(), path)
    return path


def test_what_is_saved_comes_back_to_the_bit(saved):
    model = lively_model()
    counted = flat(model)
    name = "batch_stats/query_encoder/norm/count"
    counted[name] = np.array(12345, np.int32)
    model = Model(TINY, flax.traverse_util.unflatten_dict(counted, sep="/"))
    stm_jax.save(model, saved)
    found = stm_jax.load(saved)
    assert found.config == TINY
    assert flat(found).keys() == counted.keys() and flat(found)[name] == 12345
    for path, array in flat(found).items():
        assert array.dtype == counted[path].dtype and array.shape == counted[path].shape, path
        assert array.tobytes() == counted[path].tobytes(), path


def test_other_configurations_come_back(tmp_path, saved):
    config = ModelConfig("mine", bottleneck=False, blocks=(1, 1, 1), width=8, decoder_width=8)
    weights.save(Model(config, lively_model().variables), tmp_path / "mine.safetensors")
    assert weights.load(tmp_path / "mine.safetensors").config == config


def test_half_precision_is_stored_and_loaded_as_float32(saved):
    whole = saved.stat().st_size
    given = flat(lively_model())
    variance = "batch_stats/query_encoder/norm/var"
    given[variance] = np.full(8, 1e-9, np.float32)  # would be 0 in float16
    model = Model(TINY, flax.traverse_util.unflatten_dict(given, sep="/"))
    weights.save(model, saved, dtype=np.float16)
    assert saved.stat().st_size < 0.7 * whole
    found = flat(weights.load(saved))
    np.testing.assert_array_equal(found[variance], given[variance])
    for path, array in found.items():
        assert array.dtype == given[path].dtype, path
        if not path.endswith("/var"):
            rounded = given[path].astype(np.float16) if array.dtype == np.float32 else given[path]
            np.testing.assert_array_equal(array, rounded, err_msg=path)


def test_the_metadata_holds_the_configuration_and_the_origin(saved):
    weights.save(lively_model(), saved, about="trained on noise")
    with safetensors.safe_open(saved, "numpy") as file:
        metadata = file.metadata()
    assert list(metadata) == ["stm_jax"]
    content = json.loads(metadata["stm_jax"])
    assert content["about"] == "trained on noise"
    expected = dataclasses.asdict(TINY) | {"blocks": [1, 1, 1]}
    del expected["similarity"]
    assert content["config"] == expected


def test_equal_models_give_equal_files(saved):
    before = saved.read_bytes()
    for _ in range(5):
        weights.save(lively_model(), saved)
        assert saved.read_bytes() == before


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(self, content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        weights.save(lively_model(), saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_weights_that_do_not_fit_are_all_told(saved):
    arrays = flat(lively_model())
    del arrays["params/decoder/predict/bias"], arrays["batch_stats/query_encoder/norm/mean"]
    arrays["params/decoder/more"] = np.zeros(1, np.float32)
    arrays["params/query_head/key/bias"] = np.zeros((2, 2), np.float32)
    rewrite(saved, arrays)
    assert message_of(saved) == (
        f"{saved} does not fit: "
        "2 missing (batch_stats/query_encoder/norm/mean, params/decoder/predict/bias), "
        "1 unexpected (params/decoder/more), "
        "1 misshapen (params/query_head/key/bias is 2x2 instead of 4); "
        "save or convert the weights again"
    )


def test_weights_of_another_network_are_one_short_line(saved):
    metadata = {"stm_jax": json.dumps({"config": dataclasses.asdict(STM_R18)})}
    rewrite(saved, flat(lively_model()), metadata)
    assert "misshapen" in message_of(saved) and len(message_of(saved)) < 3000


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "{}",
        "[]",
        '{"config": null}',
        '{"config": {"blocks": [1, 1, 1]}}',
        json.dumps({"config": dataclasses.asdict(TINY) | {"attention": "new"}}),
        json.dumps({"config": dataclasses.asdict(TINY) | {"width": 0}}),
        json.dumps({"config": dataclasses.asdict(TINY) | {"blocks": 3}}),
        json.dumps({"config": dataclasses.asdict(TINY) | {"blocks": [1, 1]}}),
        json.dumps({"config": dataclasses.asdict(TINY) | {"width": "8"}}),
        json.dumps({"config": dataclasses.asdict(TINY) | {"blocks": [1, 10**9, 1]}}),
        json.dumps({"config": dataclasses.asdict(TINY) | {"width": 2**40}}),
        json.dumps({"config": dataclasses.asdict(TINY) | {"key_width": 10**30}}),
        "[" * 10**5,
    ],
)
def test_a_configuration_that_is_not_known(saved, content):
    rewrite(saved, flat(lively_model()), {"stm_jax": content})
    assert "configuration" in message_of(saved)


def test_pytorch_names_in_a_safetensors_file(saved):
    rewrite(saved, {"Encoder_Q.conv1.weight": np.zeros(1, np.float32)}, {"format": "pt"})
    assert f"stm-jax convert {saved} OUT.safetensors" in message_of(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_told(saved, value):
    arrays = flat(lively_model())
    arrays["params/decoder/predict/bias"] = np.full(2, value, np.float32)
    rewrite(saved, arrays)
    assert "1 not finite (params/decoder/predict/bias)" in message_of(saved)


def test_weights_of_8_bits_are_told(saved):
    arrays = flat(lively_model())
    arrays["params/decoder/predict/bias"] = np.zeros(2, jnp.float8_e4m3fn)
    rewrite(saved, arrays)
    assert "another kind than float32" in message_of(saved)


def header(content: str, length: int | None = None) -> bytes:
    """Returns a safetensors file of a header alone, which says it has that length."""
    return (len(content) if length is None else length).to_bytes(8, "little") + content.encode()


@pytest.mark.parametrize(
    "content",
    [
        header("{", 2**60),
        header("{}", 2),
        header('{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'),
        header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
               '"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}') + bytes(6),
        header('{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}') + bytes(4),
        header('{"a":' * 5000),
    ],
    ids=["length", "nothing", "size", "overlap", "dtype", "depth"],
)  # fmt: skip
def test_a_header_that_lies(saved, content):
    saved.write_bytes(content)
    assert len(message_of(saved)) < 400


@pytest.mark.parametrize("name", ["w.pth.tar", "w.ckpt", "w.bin", "w.PTH", "w"])
def test_a_pytorch_file_is_known_by_its_content(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert kind_of(tmp_path / name) == "pytorch"
    assert "is a PyTorch file; first: stm-jax convert" in message_of(tmp_path / name)
    (tmp_path / name).write_bytes(pickle.dumps({}, protocol=2))
    assert "is a PyTorch file" in message_of(tmp_path / name)


def test_arrays_and_safetensors_are_known_by_their_content(saved, tmp_path):
    arrays = weights.to_pytorch(lively_model())
    np.savez(tmp_path / "w.npz", **arrays)
    (tmp_path / "w.npz").rename(tmp_path / "w.bin")
    assert "is an .npz file" in message_of(tmp_path / "w.bin")
    saved.rename(tmp_path / "w.ckpt")
    for name in ("w.bin", "w.ckpt"):
        assert read_weights(str(tmp_path / name))[0].config == TINY


@pytest.mark.parametrize("suffix", ["pth", "pt"])
def test_a_pytorch_file_is_not_opened_but_explained(tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(b"")
    assert message_of(path).endswith(f"first: stm-jax convert {path} OUT.safetensors")


class Evil:
    """What a pickle of it does when it is loaded."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_pickle_is_loaded(saved, tmp_path):
    saved.write_bytes(pickle.dumps(Evil(tmp_path / "hacked")))
    assert "no whole safetensors file" in message_of(saved)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_file_that_is_cut_off(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    assert f"{saved} is no whole safetensors file" in message_of(saved)


def test_an_unknown_name_lists_what_is_bundled(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BUNDLED", tmp_path)
    assert message_of("stm-r99").endswith("bundled are: none")
    weights.save(lively_model(), tmp_path / "stm-b.safetensors")
    weights.save(lively_model(), tmp_path / "stm-a.safetensors")
    assert message_of("stm-r99") == (
        "no weights stm-r99: no such file or folder; bundled are: stm-a, stm-b"
    )
    assert weights.load("stm-a").config == TINY


def test_the_newest_checkpoint_of_a_run_is_loaded(tmp_path):
    write_config(tmp_path, TrainConfig(model=TINY, stages=()))
    assert "no checkpoint yet" in message_of(tmp_path)
    newest = lively_model().variables
    with checkpoints.open_manager(tmp_path) as manager:
        for step, variables in ((1, jax.tree.map(jnp.zeros_like, newest)), (2, newest)):
            checkpoints.save(manager, step, variables | {"step": jnp.int32(step)})
            checkpoints.wait(manager)  # else Orbax warns on a slow machine
    found = weights.load(tmp_path)
    assert found.config == TINY
    assert flat(found).keys() == flat(lively_model()).keys()
    for path, array in flat(found).items():
        np.testing.assert_array_equal(array, flat(lively_model())[path], err_msg=path)


def run_of(folder: pathlib.Path, steps: int) -> dict:
    """Writes a run with a checkpoint at each step; returns the variables that all of them have."""
    write_config(folder, TrainConfig(model=TINY, stages=()))
    variables = lively_model().variables
    with checkpoints.open_manager(folder) as manager:
        for step in range(1, steps + 1):
            checkpoints.save(manager, step, variables | {"step": jnp.int32(step)})
            checkpoints.wait(manager)  # else Orbax warns on a slow machine
    return variables


def test_a_damaged_checkpoint_names_the_last_good_one(tmp_path, caplog):
    run_of(tmp_path, 3)
    weights.load(tmp_path)
    assert not caplog.records  # Orbax warns of each option of a manager that only reads
    for step in (3, 2):
        for path in (tmp_path / "checkpoints" / str(step)).rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert "checkpoint 3 in" in message_of(tmp_path)
    assert "the last good one is of step 1: move 3 away" in message_of(tmp_path)


def test_a_damaged_checkpoint_leaves_no_read_behind(tmp_path, caplog, capfd):
    run_of(tmp_path, 1)
    state = tmp_path / "checkpoints/1/state"
    (state / "digests.json").unlink()  # as in runs of before: nothing else looks first
    manifest = state / "manifest.ocdbt"
    manifest.write_bytes(manifest.read_bytes()[:-40] + bytes(40))
    for _ in range(20):  # each leaves something or not, as threads will
        assert "checkpoint 1 in" in message_of(tmp_path)
        gc.collect()
        time.sleep(0.05)  # for the threads that read on
    gc.collect()
    assert not caplog.records and capfd.readouterr().err == ""


def test_a_bit_that_changed_is_no_weight(tmp_path, saved):
    run_of(tmp_path, 2)
    state = tmp_path / "checkpoints/2/state"
    largest = max(state.rglob("*"), key=lambda path: path.stat().st_size)
    # Orbax finds some changes by itself, of the places where it looks.
    for path, told in ((largest, "checkpoint 2 in"), (saved, "its arrays are not those")):
        whole = path.read_bytes()
        for place in range(len(whole) // 2, len(whole) - 64, len(whole) // 10):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert told in message_of(tmp_path if path == largest else path)
        path.write_bytes(whole)
    (state / "digests.json").unlink()  # as in runs of before
    weights.load(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run_of(tmp_path, 1)
    wider = dataclasses.replace(TINY, width=16, name="wide")
    (tmp_path / "config.json").unlink()
    write_config(tmp_path, TrainConfig(model=wider, stages=()))
    assert "which is wide by" in message_of(tmp_path) and "misshapen" in message_of(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "config.json is damaged" in message_of(tmp_path)


def test_a_folder_that_is_no_run(tmp_path):
    assert "is no training run" in message_of(tmp_path)


@pytest.mark.parametrize("name", ["w.pth", "w.npz", "w.safetensors"])
def test_pipes_long_names_and_short_files_are_told(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (tmp_path / "short").write_bytes(b"PK\x03\x04")
    for path in (tmp_path / name, tmp_path / ("y" * 300), tmp_path / "short"):
        with pytest.raises(InputError):
            read_weights(str(path))
