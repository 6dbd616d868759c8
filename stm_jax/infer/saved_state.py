"""The state of a stream as named arrays, for files, and back."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from stm_jax.infer.stream import Recipe, VideoState

REST = ("masks", "present", "frame_number", "given", "length")


def arrays_of(state: VideoState) -> dict[str, np.ndarray]:
    """Returns the memory's arrays, called bank_..., and the state's own but the frame."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state.bank)
    arrays = {_name(path): _portable(leaf) for path, leaf in leaves}
    seen = {} if state.window is None else {"window": np.asarray(state.window)}
    return arrays | {name: np.asarray(getattr(state, name)) for name in REST} | seen


def state_of(recipe: Recipe, arrays: Mapping[str, np.ndarray], frame: np.ndarray) -> VideoState:
    """Returns the state that had these arrays, of a stream with this recipe.

    Raises:
        KeyError: Something is missing: the arrays are of another version or another memory.
    """
    like = recipe.memory.empty(1, 1, (1, 1), (1, 1), recipe.dtype)
    leaves, tree = jax.tree_util.tree_flatten_with_path(like)
    found = [np.array(arrays[_name(path)]).astype(leaf.dtype) for path, leaf in leaves]
    rest = [np.array(arrays[name]) for name in REST]
    put = [jax.device_put(array) for array in (frame.copy(), *rest)]
    bank = jax.tree_util.tree_unflatten(tree, map(jax.device_put, found))
    window = jax.device_put(np.array(arrays["window"])) if recipe.zoom else None
    return VideoState(bank, *put, window=window)


def _name(path: tuple) -> str:
    return "_".join(("bank", *(entry.name for entry in path)))


def _portable(leaf: jax.Array) -> np.ndarray:
    """NumPy's file format has no bfloat16; float32 holds each of its values."""
    return np.asarray(leaf.astype(jnp.float32) if leaf.dtype == jnp.bfloat16 else leaf)
