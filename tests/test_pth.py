"""PyTorch files: both formats are read, nothing in them runs, and damage is one line."""

import os
import pathlib
import pickle
import warnings

import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.weights import read_pth, write_pth

torch = pytest.importorskip("torch", reason="PyTorch files need torch, which is not installed")

FORMATS = pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
ARRAYS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn1.num_batches_tracked": np.array(7, np.int64),
    "half": np.array([0.5, -2.0], np.float16),
}


def tensors(prefix: str = "") -> dict:
    return {prefix + name: torch.tensor(array) for name, array in ARRAYS.items()}


def save(content: object, path: pathlib.Path, new: bool = True) -> pathlib.Path:
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return path


def assert_arrays(found: dict[str, np.ndarray], prefix: str = "") -> None:
    assert list(found) == [prefix + name for name in ARRAYS]
    for name, array in ARRAYS.items():
        assert found[prefix + name].dtype == array.dtype
        assert found[prefix + name].shape == array.shape
        np.testing.assert_array_equal(found[prefix + name], array)


def message_of(path: pathlib.Path) -> str:
    """Returns the error of reading it, without the path, which it must begin with."""
    with warnings.catch_warnings(), pytest.raises(InputError) as caught:
        warnings.simplefilter("error")  # a warning would be a second line
        read_pth(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and "\x1b" not in message
    return message.removeprefix(str(path)).lstrip(": ")


class Evil:
    """What a pickle of it does when it is loaded."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@FORMATS
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_is_read(tmp_path, new, prefix):
    assert_arrays(read_pth(save(tensors(prefix), tmp_path / "a.pth", new)), prefix)


@FORMATS
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_state_dict_inside_a_checkpoint_is_read(tmp_path, new, key):
    checkpoint = {"epoch": 3, key: tensors(), "optimizer": {"lr": 0.1}}
    assert_arrays(read_pth(save(checkpoint, tmp_path / "a.pth", new)))


def test_parameters_views_and_bfloat16_are_read(tmp_path):
    module = torch.nn.Linear(3, 2)
    given = dict(module.state_dict(keep_vars=True))
    given["view"] = torch.arange(6.0).reshape(2, 3).T
    given["short"] = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    found = read_pth(save(given, tmp_path / "a.pth"))
    np.testing.assert_array_equal(found["weight"], module.weight.detach().numpy())
    np.testing.assert_array_equal(found["view"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["short"], np.array([1.5, -2.0], np.float32))


def test_what_is_written_is_read_by_torch_and_by_us(tmp_path):
    arrays = {name: array.copy() for name, array in ARRAYS.items()}
    arrays["half"].flags.writeable = False
    write_pth(tmp_path / "a.pth", arrays)
    loaded = torch.load(tmp_path / "a.pth", weights_only=True)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors().items())
    assert_arrays(read_pth(tmp_path / "a.pth"))
    assert os.listdir(tmp_path) == ["a.pth"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_pth(tmp_path / "a.pth", ARRAYS)

    def full(self, content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_pth(tmp_path / "a.pth", {})
    assert_arrays(read_pth(tmp_path / "a.pth"))
    assert os.listdir(tmp_path) == ["a.pth"]


@FORMATS
def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path, new):
    evil = tensors() | {"evil": Evil(tmp_path / "hacked")}
    path = save({"state_dict": evil}, tmp_path / "a.pth", new)
    message = message_of(path)
    assert message.startswith("is refused: it holds more than arrays, and loading its posix.mkdir")
    assert "torch.save(model.state_dict(), path)" in message
    assert not (tmp_path / "hacked").exists()
    torch.load(path, weights_only=False)  # it would have
    assert (tmp_path / "hacked").exists()


def test_a_bare_pickle_that_wants_to_run_code_is_refused(tmp_path):
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"weight": Evil(tmp_path / "hacked")}))
    message_of(tmp_path / "a.pth")
    assert not (tmp_path / "hacked").exists()


def test_a_whole_module_is_refused(tmp_path):
    message = message_of(save(torch.nn.Linear(2, 2), tmp_path / "a.pth"))
    assert "its torch.nn.modules.linear.Linear could run any code" in message


@FORMATS
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_off(tmp_path, new, share):
    path = save(tensors() | {"large": torch.ones(5000)}, tmp_path / "a.pth", new)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert message_of(path) == "is cut off, damaged or no PyTorch file; get it again"


@pytest.mark.parametrize(
    "content",
    [b"hello world\n" * 50, b"\x80\x02", b"PK\x03\x04" + bytes(300), b"\x89PNG\r\n\x1a\n"],
)
def test_a_file_of_another_kind(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    assert message_of(tmp_path / "a.pth") == "is cut off, damaged or no PyTorch file; get it again"


@pytest.mark.parametrize("content", [{}, [torch.ones(2)], {"a": 1, "b": {}}, {3: torch.ones(2)}])
def test_a_file_without_state_dict(tmp_path, content):
    message = message_of(save(content, tmp_path / "a.pth"))
    assert message.startswith("holds no state dict") and "torch.save(model.state" in message


def test_a_file_that_is_not_there(tmp_path):
    assert message_of(tmp_path / "a.pth") == "no such file: check the name"
    assert message_of(tmp_path) == "is a folder, not a file: give a file"
