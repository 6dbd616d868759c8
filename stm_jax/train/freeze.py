"""Which parameters are the trunks', and which of all a configuration freezes."""

from typing import Any

import flax.traverse_util

from stm_jax.nn.stm import Variables
from stm_jax.train.config import Frozen

Path = tuple[str, ...]


def in_trunk(path: Path) -> bool:
    """Says whether a parameter is of a trunk: of an encoder, but not of its masks' convolutions."""
    # conv_mask and conv_others are new, though they sit in the encoder.
    return path[0].endswith("_encoder") and path[1] not in ("conv_mask", "conv_others")


def is_frozen(path: Path, freeze: tuple[Frozen, ...]) -> bool:
    """Says whether the parameter is of one of the frozen parts."""
    of_stem = in_trunk(path) and (path[1] != "trunk" or path[2].startswith("res2"))
    parts: dict[Frozen, bool] = {
        "trunks": in_trunk(path),
        "query-trunk": in_trunk(path) and path[0] == "query_encoder",
        "memory-trunk": in_trunk(path) and path[0] == "memory_encoder",
        "stems": of_stem,
        "norms": "norm" in path,
    }
    return any(parts[name] for name in freeze)


def split(params: Variables, freeze: tuple[Frozen, ...]) -> tuple[Variables, Variables]:
    """Returns the parameters that learn, and those that are frozen, each a nested dict."""
    flat = flax.traverse_util.flatten_dict(params)
    frozen = {path: array for path, array in flat.items() if is_frozen(path, freeze)}
    learning = {path: array for path, array in flat.items() if path not in frozen}
    nested = flax.traverse_util.unflatten_dict
    return nested(learning), nested(frozen)


def merged(learning: Variables, frozen: Variables) -> Variables:
    """Puts together what `split` has taken apart."""
    flat: dict[Path, Any] = flax.traverse_util.flatten_dict(learning)
    return flax.traverse_util.unflatten_dict(flat | flax.traverse_util.flatten_dict(frozen))
