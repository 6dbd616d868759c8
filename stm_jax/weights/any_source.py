"""Weights from wherever they lie: files of ours and of PyTorch, bundled ones, a training run."""

import pathlib
import zipfile
import zlib

import numpy as np

from stm_jax.errors import InputError
from stm_jax.nn.model import Model
from stm_jax.weights.files import FORMAT, load, read_safetensors
from stm_jax.weights.pth import read_pth
from stm_jax.weights.pytorch import from_pytorch, to_pytorch


def read_weights(weights: str) -> tuple[Model, dict[str, np.ndarray]]:
    """Reads a whole STM.

    Args:
        weights: A .pth, .pt, .npz or .safetensors file with the original implementation's names,
            or anything that `stm_jax.load` takes.

    Returns:
        The model, float32, and its weights by PyTorch's names as they were given.

    Raises:
        InputError: There is no such thing, it cannot be read, or holds no STM: one error tells of
            all entries that do not fit.
    """
    path = pathlib.Path(weights)
    if path.suffix in (".pth", ".pt"):
        given = read_pth(path)
    elif path.suffix == ".npz":
        given = _read_npz(path)
    elif _is_foreign(path):
        given, _ = read_safetensors(path)
    else:
        model = load(weights)
        return model, to_pytorch(model)
    try:
        model = from_pytorch(given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return model, {name.removeprefix("module."): array for name, array in given.items()}


def _is_foreign(path: pathlib.Path) -> bool:
    is_file = path.suffix == ".safetensors" and path.is_file()
    return is_file and FORMAT not in read_safetensors(path)[1]


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is cut off, holds pickled objects or is no .npz file: "
            "save it so: numpy.savez(path, **arrays)"
        ) from error
