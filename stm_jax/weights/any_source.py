"""Weights from wherever they lie: files of ours and of PyTorch, bundled ones, a training run."""

import os
import pathlib
from collections.abc import Sequence

import flax.traverse_util
import numpy as np

from stm_jax.errors import InputError
from stm_jax.files import check_is_file
from stm_jax.nn.model import Model
from stm_jax.weights.files import FORMAT, load, read_safetensors
from stm_jax.weights.kinds import NAMED, kind_of
from stm_jax.weights.pth import read_pth
from stm_jax.weights.pytorch import from_pytorch, is_plain, to_pytorch


def read_weights(
    weights: str, similarity: Sequence[str] = ()
) -> tuple[Model, dict[str, np.ndarray]]:
    """Reads a whole STM.

    Args:
        weights: A file of PyTorch, NumPy (.npz) or safetensors, whatever it is called, with the
            original implementation's names; or anything that `stm_jax.load` takes.
        similarity: Where weights of ours are of a similarity that is code of the user's own: that.

    Returns:
        The model, float32, and its weights as they were given, see `entries_of`.

    Raises:
        InputError: There is no such thing, it cannot be read, or holds no STM: one error tells of
            all entries that do not fit.
    """
    path = pathlib.Path(weights)
    kind = kind_of(path) if os.path.isfile(path) or path.suffix.lower() in NAMED else None
    if kind == "pytorch":
        given = read_pth(path)
    elif kind == "npz":
        given = _read_npz(path)
    elif kind == "safetensors" and FORMAT not in read_safetensors(path)[1]:
        given, _ = read_safetensors(path)
    else:
        model = load(weights, similarity)
        return model, entries_of(model)
    try:
        model = from_pytorch(given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return model, {name.removeprefix("module."): array for name, array in given.items()}


def entries_of(model: Model) -> dict[str, np.ndarray]:
    """Returns a model's arrays by PyTorch's names; by ours where its similarity is another."""
    if is_plain(model.config):
        return to_pytorch(model)
    flat = flax.traverse_util.flatten_dict(model.variables, sep="/")
    return {str(path): np.asarray(array) for path, array in flat.items()}


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    check_is_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    # KeyError and the like: NumPy raises whatever it stumbles over in a damaged file.
    except Exception as error:
        raise InputError(
            f"{path} is cut off, holds pickled objects or is no .npz file: "
            "save it so: numpy.savez(path, **arrays)"
        ) from error
