"""The original implementation's state dict to our variables, and back."""

import re
from collections.abc import Mapping

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from stm_jax.config import PRESETS, ModelConfig
from stm_jax.convert.table import STM_TABLE, Row, translate
from stm_jax.errors import InputError
from stm_jax.nn.model import Model
from stm_jax.nn.stm import Variables, initialize


def from_pytorch(state_dict: Mapping[str, np.ndarray]) -> Model:
    """Turns a PyTorch state dict of STM into a model.

    Args:
        state_dict: Arrays by name in PyTorch's layout (OIHW), with or without the `module.`
            prefix that `DataParallel` leaves.

    Returns:
        The model; its preset is found from the shapes.

    Raises:
        InputError: Entries are missing, unexpected or misshapen: all are named at once.
    """
    arrays = {name.removeprefix("module."): np.asarray(a) for name, a in state_dict.items()}
    config = config_of(arrays)
    return Model(config, assemble(arrays, STM_TABLE, variable_shapes(config)))


def to_pytorch(model: Model) -> dict[str, np.ndarray]:
    """Returns the model as a PyTorch state dict: arrays by name, in PyTorch's layout."""
    state_dict = {}
    for path, array in flax.traverse_util.flatten_dict(model.variables, sep="/").items():
        name, transform = translate(path, STM_TABLE, forward=False) or _no_row(path)
        state_dict[name] = np.array(transform.to_pytorch(np.asarray(array)), order="C")
    return state_dict


def variable_shapes(config: ModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shape and dtype of every variable by its path, without computing any."""
    shapes = jax.eval_shape(lambda key: initialize(config, key), jax.random.key(0))
    return flax.traverse_util.flatten_dict(shapes, sep="/")


def config_of(arrays: Mapping[str, np.ndarray]) -> ModelConfig:
    """Finds the configuration whose shapes a PyTorch state dict has.

    Raises:
        InputError: It lacks the entries that tell.
    """
    telling = ("Encoder_Q.conv1.weight", "Decoder.convFM.weight")
    absent = [name for name in telling if name not in arrays]
    if absent:
        raise InputError(
            f"this is no state dict of STM: it has no {' and no '.join(absent)}; "
            "give one with the names of the original implementation"
        )
    found = [re.match(r"Encoder_Q\.res([234])\.(\d+)\.", name) for name in arrays]
    counts = [
        1 + max((int(m[2]) for m in found if m and m[1] == stage), default=-1) for stage in "234"
    ]
    config = ModelConfig(
        name="custom",
        bottleneck="Encoder_Q.res2.0.conv3.weight" in arrays,
        blocks=(counts[0], counts[1], counts[2]),
        width=int(arrays["Encoder_Q.conv1.weight"].shape[0]),
        decoder_width=int(arrays["Decoder.convFM.weight"].shape[0]),
    )
    return named(config)


def named(config: ModelConfig) -> ModelConfig:
    """Returns the preset that has these numbers, or the configuration itself."""
    for preset in PRESETS:
        if (preset.bottleneck, preset.blocks, preset.width, preset.decoder_width) == (
            config.bottleneck,
            config.blocks,
            config.width,
            config.decoder_width,
        ):
            return preset
    return config


def assemble(
    arrays: Mapping[str, np.ndarray],
    rows: list[Row],
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    optional: str = "$^",
) -> Variables:
    """Builds nested variables from PyTorch arrays by the rows of a table.

    Args:
        arrays: PyTorch arrays by name.
        rows: The table.
        shapes: What must come out, by path.
        optional: Paths that this pattern matches may be missing and are left out.

    Raises:
        InputError: Entries are missing, unexpected or misshapen: all are named at once.
    """
    variables, problems = {}, []
    for name, array in arrays.items():
        path, transform = translate(name, rows, forward=True) or (None, None)
        if path is None or transform is None or path not in shapes:
            problems.append(f"unexpected {name}")
            continue
        expected = _pytorch_shape(path, rows, shapes)
        if array.shape != expected:
            problems.append(f"{name} has shape {array.shape}, expected {expected}")
            continue
        variables[path] = jnp.asarray(transform.to_ours(array), shapes[path].dtype)
    for path in shapes.keys() - variables.keys():
        name, _ = translate(path, rows, forward=False) or _no_row(path)
        if name not in arrays and not re.search(optional, path):
            problems.append(f"missing {name}")
    if problems:
        raise InputError(
            f"the weights do not fit, {len(problems)} entries: " + "; ".join(sorted(problems))
        )
    return flax.traverse_util.unflatten_dict(variables, sep="/")


def _pytorch_shape(
    path: str, rows: list[Row], shapes: Mapping[str, jax.ShapeDtypeStruct]
) -> tuple[int, ...]:
    _, transform = translate(path, rows, forward=False) or _no_row(path)
    # A broadcast scalar has any shape without taking memory.
    return transform.to_pytorch(np.broadcast_to(np.float32(0), shapes[path].shape)).shape


def _no_row(path: str) -> tuple[str, None]:
    raise InputError(f"no PyTorch name for the variable {path}: the model is not a plain STM")
