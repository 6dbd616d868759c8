"""Models as files: safetensors with the configuration in the metadata. No code runs on loading."""

import dataclasses
import json
import os
import pathlib

import flax.traverse_util
import jax.numpy as jnp
import numpy as np
import safetensors
from safetensors.numpy import save_file

from stm_jax.config import ModelConfig
from stm_jax.convert.pytorch import variable_shapes
from stm_jax.errors import InputError
from stm_jax.nn.model import Model

FORMAT = "stm_jax.config"  # the metadata's key
BUNDLED = pathlib.Path(__file__).parent / "assets"


def load(weights: str | os.PathLike) -> Model:
    """Loads a model, float32.

    Args:
        weights: The name of bundled weights ("stm-r18"), a .safetensors file that `save`
            wrote, or the folder of a training run (its newest checkpoint).

    Raises:
        InputError: There is no such thing, or it does not hold an STM.
    """
    path = pathlib.Path(weights)
    bundled = BUNDLED / f"{weights}.safetensors"
    if path.is_dir():
        from stm_jax.train.checkpoint import load_checkpoint  # Orbax, only where it is needed

        return load_checkpoint(path)
    if not path.is_file() and bundled.is_file():
        path = bundled
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in BUNDLED.glob("*.safetensors"))) or "none"
        raise InputError(f"no weights {weights}: no such file or folder; bundled are: {names}")
    if path.suffix in (".pth", ".pt"):
        raise InputError(f"{path} is a PyTorch file; first: stm-jax convert {path} OUT.safetensors")
    return _load_file(path)


def save(
    model: Model, path: str | os.PathLike, *, dtype: type = np.float32, about: str = ""
) -> None:
    """Writes a model as safetensors, its configuration in the metadata.

    Args:
        model: The model.
        path: The file; it is replaced only once the new one is whole.
        dtype: What floating-point variables are stored as: float32 or float16.
        about: A line on where the weights come from.
    """
    path = pathlib.Path(path)
    flat = flax.traverse_util.flatten_dict(model.variables, sep="/")
    arrays = {
        name: np.asarray(a, dtype if jnp.issubdtype(a.dtype, jnp.floating) else a.dtype)
        for name, a in flat.items()
    }
    # A variance below float16's smallest number would come back as 0.
    arrays |= {name: np.asarray(flat[name]) for name in arrays if name.endswith("/var")}
    metadata = {FORMAT: json.dumps(dataclasses.asdict(model.config)), "about": about}
    temporary = path.with_name(path.name + ".tmp")
    save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, temporary, metadata)
    temporary.replace(path)


def _load_file(path: pathlib.Path) -> Model:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} is no safetensors file ({error}); convert or save it again")
    if FORMAT not in metadata:
        raise InputError(
            f"{path} has no configuration of stm_jax in its metadata; use stm-jax convert"
        )
    fields = json.loads(metadata[FORMAT])
    config = ModelConfig(**{**fields, "blocks": tuple(fields["blocks"])})
    shapes = variable_shapes(config)
    problems = [f"missing {name}" for name in shapes.keys() - arrays.keys()]
    problems += [f"unexpected {name}" for name in arrays.keys() - shapes.keys()]
    problems += [
        f"{name} has shape {arrays[name].shape}, expected {shape.shape}"
        for name, shape in shapes.items()
        if name in arrays and arrays[name].shape != shape.shape
    ]
    if problems:
        raise InputError(
            f"the weights in {path} do not fit, {len(problems)} entries: "
            + "; ".join(sorted(problems))
        )
    flat = {name: jnp.asarray(arrays[name], shape.dtype) for name, shape in shapes.items()}
    return Model(config, flax.traverse_util.unflatten_dict(flat, sep="/"))
