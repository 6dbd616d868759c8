"""The original implementation's state dict to our variables, and back."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Mapping
from typing import cast

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from stm_jax.checks import check_model
from stm_jax.config import PRESETS, ModelConfig
from stm_jax.errors import InputError
from stm_jax.nn.model import Model
from stm_jax.nn.stm import Variables, initialize, similarity_of
from stm_jax.similarities import DotProduct
from stm_jax.weights.entries import check_entries
from stm_jax.weights.table import STM_TABLE, Row, pytorch_entry

COUNTS = "/count$"
COUNTED = re.compile(COUNTS).search
"""Which variables are num_batches_tracked."""


def from_pytorch(state_dict: Mapping[str, np.ndarray]) -> Model:
    """Turns a PyTorch state dict of STM into a model.

    Args:
        state_dict: Arrays by name in PyTorch's layout (OIHW), with or without the `module.`
            prefix that `DataParallel` leaves.

    Returns:
        The model; its preset is found from the shapes.

    Raises:
        InputError: Entries are missing, unexpected or misshapen: one error tells of all.
    """
    arrays = {name.removeprefix("module."): np.asarray(a) for name, a in state_dict.items()}
    config = config_of(arrays)
    check_model(config, "the state dict's network")
    shapes = variable_shapes(config)
    variables = assemble(
        arrays,
        STM_TABLE,
        shapes,
        what="the state dict",
        remedy="give the whole state dict of an STM with the original implementation's names",
        optional=COUNTS,
    )
    # Batch norms that nothing is learnt with have no use for it; PyTorch before 0.4 had none.
    flat = {path: jnp.zeros(s.shape, s.dtype) for path, s in shapes.items() if COUNTED(path)}
    flat |= flax.traverse_util.flatten_dict(variables, sep="/")
    return Model(config, flax.traverse_util.unflatten_dict(flat, sep="/"))


def is_plain(config: ModelConfig) -> bool:
    """Says whether a network's similarity is the dot product, as the original's is."""
    return similarity_of(config) == DotProduct()


def to_pytorch(model: Model) -> dict[str, np.ndarray]:
    """Returns the model as a PyTorch state dict: arrays by name, in PyTorch's layout.

    Raises:
        InputError: The original implementation has no such network.
    """
    if not is_plain(model.config):
        raise InputError(
            f"{model.config.name} has the similarity {' '.join(model.config.similarity)}: the "
            "original implementation has the dot product only"
        )
    state_dict = {}
    for path, array in flax.traverse_util.flatten_dict(model.variables, sep="/").items():
        name, transform = pytorch_entry(path, STM_TABLE)
        state_dict[name] = np.array(transform.to_pytorch(np.asarray(array)), order="C")
    return state_dict


@functools.cache
def variable_shapes(config: ModelConfig) -> Mapping[str, jax.ShapeDtypeStruct]:
    """Returns the shape and dtype of every variable by its path, without computing any."""
    shapes = jax.eval_shape(lambda key: initialize(config, key), jax.random.key(0))
    return cast(Mapping, flax.traverse_util.flatten_dict(shapes, sep="/"))


def config_of(arrays: Mapping[str, np.ndarray]) -> ModelConfig:
    """Finds the configuration whose shapes a PyTorch state dict has.

    Raises:
        InputError: It lacks the entries that tell.
    """
    telling = {"Encoder_Q.conv1.weight": "Wx3x7x7", "Decoder.convFM.weight": "DxVx3x3"}
    for name, shape in telling.items():
        if name not in arrays or arrays[name].ndim != 4 or arrays[name].shape[0] < 2:
            raise InputError(
                f"this is no state dict of an STM: it has no {name} of shape {shape}; "
                "give one with the original implementation's names"
            )
    found = [re.match(r"Encoder_[MQ]\.res([234])\.(\d+)\.", name) for name in arrays]
    blocks = {match.groups() for match in found if match}
    # Blocks without a gap, of either encoder, so that a stray or lost entry is told as that.
    counts = [
        next(i for i in itertools.count(1) if (stage, str(i)) not in blocks) for stage in "234"
    ]
    config = ModelConfig(
        name="custom",
        bottleneck="Encoder_Q.res2.0.conv3.weight" in arrays,
        blocks=(counts[0], counts[1], counts[2]),
        width=int(arrays["Encoder_Q.conv1.weight"].shape[0]),
        decoder_width=int(arrays["Decoder.convFM.weight"].shape[0]),
    )

    def other_than(usual: int, name: str) -> int | None:
        found = int(arrays[name].shape[0]) if name in arrays else usual
        return None if found == usual else found

    config = dataclasses.replace(
        config,
        last_width=other_than(config.last_channels, "Decoder.RF2.convFS.weight"),
        key_width=other_than(config.key_channels, "KV_Q_r4.Key.weight"),
        value_width=other_than(config.value_channels, "KV_Q_r4.Value.weight"),
    )
    return named(config)


def named(config: ModelConfig) -> ModelConfig:
    """Returns the preset that is the same network, or the configuration itself."""
    same = (p for p in PRESETS if dataclasses.replace(config, name=p.name) == p)
    return next(same, config)


def assemble(
    arrays: Mapping[str, np.ndarray],
    rows: list[Row],
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    *,
    what: str,
    remedy: str,
    optional: str = "$^",
) -> Variables:
    """Builds nested variables from PyTorch arrays by the rows of a table.

    Args:
        arrays: PyTorch arrays by name.
        rows: The table.
        shapes: What must come out, by path.
        what: What the arrays are, for the error.
        remedy: What to do if they do not fit, for the error.
        optional: Paths that this pattern matches may be missing and are left out.

    Raises:
        InputError: Entries are missing, unexpected or misshapen: one error tells of all.
    """
    entries = {path: pytorch_entry(path, rows) for path in shapes}
    entries = {
        path: (name, transform)
        for path, (name, transform) in entries.items()
        if name in arrays or not re.search(optional, path)
    }
    expected = {
        # A broadcast scalar has any shape without taking memory.
        name: transform.to_pytorch(np.broadcast_to(np.float32(0), shapes[path].shape)).shape
        for path, (name, transform) in entries.items()
    }
    check_entries(arrays, expected, what, remedy)
    variables = {
        # Copied: the caller may change its arrays, and a donating step deletes ours.
        path: jnp.array(transform.to_ours(arrays[name]), shapes[path].dtype)
        for path, (name, transform) in entries.items()
    }
    return flax.traverse_util.unflatten_dict(variables, sep="/")
