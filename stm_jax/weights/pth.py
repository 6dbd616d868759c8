"""PyTorch's files of weights, .pth and .pt. Reading them runs no code that is in them."""

import io
import os
import pathlib
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from stm_jax.errors import InputError
from stm_jax.files import check_is_file, write_whole

NESTED = ("state_dict", "model_state_dict", "model")
"""Where training programs put the state dict when they save more than that."""

SAVE_SO = "save it so: torch.save(model.state_dict(), path)"


def read_pth(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the state dict in a file that `torch.save` wrote, in its old or its new format.

    Args:
        path: The file: a state dict, or a dict with one as its entry "state_dict",
            "model_state_dict" or "model".

    Returns:
        Arrays by name as they are in the file; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        InputError: PyTorch is not installed; the file cannot be read, is cut off or no PyTorch
            file, holds objects whose loading would run code, or holds no state dict.
    """
    torch = _torch()
    path = pathlib.Path(path)
    check_is_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # On a damaged file torch raises whatever its reader stumbles over, KeyError for instance.
    except Exception as error:
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        if name:
            raise InputError(
                f"{path} is refused: it holds more than arrays, and loading its {name[1]} "
                f"could run any code; {SAVE_SO}"
            ) from error
        raise InputError(f"{path} is cut off, damaged or no PyTorch file; get it again") from error
    state_dict = _state_dict(loaded)
    if state_dict is None:
        found = f" (only {', '.join(map(str, loaded))[:200]})" if isinstance(loaded, dict) else ""
        raise InputError(f"{path} holds no state dict{found}; {SAVE_SO}")
    try:
        return {name: _array(tensor) for name, tensor in state_dict.items()}
    except (TypeError, RuntimeError) as error:
        raise InputError(f"{path} holds tensors that are no plain arrays; {SAVE_SO}") from error


def write_pth(path: str | os.PathLike[str], state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict as `torch.save` does; `torch.load(path, weights_only=True)` reads it.

    Args:
        path: The file; it is replaced only once the new one is whole.
        state_dict: Arrays by name.

    Raises:
        InputError: PyTorch is not installed.
        OSError: The file cannot be written; what was at `path` before is untouched.
    """
    torch = _torch()
    # torch.tensor copies: PyTorch takes no read-only arrays.
    tensors = {name: torch.tensor(np.asarray(array)) for name, array in state_dict.items()}
    # Through memory, for torch's own writing loses the reason why it failed.
    content = io.BytesIO()
    torch.save(tensors, content)
    write_whole(pathlib.Path(path), content.getvalue())


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            'PyTorch files need PyTorch: pip install "stm_jax[torch]", or give the weights as '
            ".safetensors or .npz"
        ) from error
    return torch


def _state_dict(content: Any) -> dict[str, Any] | None:
    """Returns the dict of tensors that the content is, or that it has as an entry."""
    if not isinstance(content, dict):
        return None
    for candidate in (content, *(content.get(key) for key in NESTED)):
        if isinstance(candidate, dict) and candidate and all(map(_is_entry, candidate.items())):
            return candidate
    return None


def _is_entry(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and _torch().is_tensor(item[1])


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == _torch().bfloat16 else tensor).numpy()
