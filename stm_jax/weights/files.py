"""Models as files: safetensors with the configuration in the metadata. No code runs on loading."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from stm_jax.catalogue import noted
from stm_jax.checks import check_model, shown
from stm_jax.config import ModelConfig
from stm_jax.errors import InputError
from stm_jax.files import check_is_file, write_whole
from stm_jax.json_files import from_json, parse_json
from stm_jax.nn.model import Model
from stm_jax.nn.stm import similarity_of
from stm_jax.weights.entries import check_entries
from stm_jax.weights.kinds import kind_of
from stm_jax.weights.pytorch import variable_shapes
from stm_jax.weights.similarity import with_similarity, without_code

FORMAT = "stm_jax"
"""The only key of the metadata: with two, equal weights would not always give equal files."""

BUNDLED = pathlib.Path(__file__).parents[1] / "assets"


def load(weights: str | os.PathLike[str], similarity: Sequence[str] = ()) -> Model:
    """Loads a model, float32.

    Args:
        weights: The name of bundled weights ("stm-r18"), a .safetensors file that `save`
            wrote, or the folder of a training run (its newest checkpoint).
        similarity: How alike two keys are, in the words of `stm-jax segment --similarity`, such as
            ("negative-l2",); without words as the weights were trained.

    Raises:
        InputError: There is no such thing, it does not hold an STM, or that has not learnt what
            the similarity needs.
    """
    model = _load(weights, similarity)
    return with_similarity(model, similarity) if similarity else model


def _load(weights: str | os.PathLike[str], similarity: Sequence[str]) -> Model:
    path = pathlib.Path(weights)
    bundled = BUNDLED / f"{weights}.safetensors"
    if os.path.isdir(path):  # which says no of a name that is too long
        from stm_jax.weights.checkpoints import load_checkpoint  # Orbax, only where it is needed

        return load_checkpoint(path, similarity)
    if not os.path.isfile(path) and os.path.isfile(bundled):
        path = bundled
    if not os.path.isfile(path):
        names = ", ".join(sorted(p.stem for p in BUNDLED.glob("*.safetensors"))) or "none"
        raise InputError(
            f"no weights {shown(weights)}: no such file or folder; bundled are: {names}"
        )
    kind = kind_of(path)
    if kind != "safetensors":
        what = "a PyTorch file" if kind == "pytorch" else "an .npz file"
        raise InputError(f"{path} is {what}; first: stm-jax convert {path} OUT.safetensors")
    return _load_file(path, similarity)


def save(
    model: Model, path: str | os.PathLike[str], *, dtype: type = np.float32, about: str = ""
) -> None:
    """Writes a model as safetensors, its configuration in the metadata.

    Args:
        model: The model.
        path: The file; it is replaced only once the new one is whole.
        dtype: What floating-point variables are stored as: float32 or float16.
        about: A line on where the weights come from.

    Raises:
        OSError: The file cannot be written; what was at `path` before is untouched.
    """

    def stored(name: str, array: Any) -> np.ndarray:
        # A variance below float16's smallest number would come back as 0.
        exact = name.endswith("/var") or not jnp.issubdtype(array.dtype, jnp.floating)
        # Not ascontiguousarray, which makes a vector of a single number.
        return np.asarray(array, array.dtype if exact else dtype, order="C")

    flat = flax.traverse_util.flatten_dict(model.variables, sep="/")
    arrays = {name: stored(name, array) for name, array in flat.items()}
    config = dataclasses.asdict(model.config)
    if not model.config.similarity:  # files of plain networks stay as they were, to the byte
        del config["similarity"]
    description = {
        "config": config,
        "about": about,
        "digest": _digest_of(arrays),
    }
    metadata = {FORMAT: json.dumps(description)}
    write_whole(pathlib.Path(path), safetensors.numpy.save(arrays, metadata))


def _digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    content = hashlib.sha256()
    for name in sorted(arrays):
        content.update(name.encode())
        content.update(np.ascontiguousarray(arrays[name]).data)
    return content.hexdigest()


def hash_of(model: Model) -> str:
    """Returns a hash of the configuration and every weight."""
    content = hashlib.sha256(repr(model.config).encode())
    if model.config.similarity:
        content.update(json.dumps(noted(similarity_of(model.config))).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(model.variables):
        content.update(jax.tree_util.keystr(path).encode())
        content.update(np.ascontiguousarray(leaf).data)
    return content.hexdigest()


def read_safetensors(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays of a safetensors file by name, and its metadata.

    bfloat16, which NumPy lacks, becomes float32.

    Raises:
        InputError: It cannot be read, or is no safetensors file.
    """
    check_is_file(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names, metadata = file.keys(), file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in names}
    except (AttributeError, KeyError, TypeError) as error:  # of a dtype that NumPy lacks
        raise InputError(
            f"{path} holds numbers of another kind than float32, float16, bfloat16 or integers "
            f"({shown(error)}): save it as float32"
        ) from error
    except (OSError, ValueError, MemoryError, safetensors.SafetensorError) as error:
        reason = shown(" ".join(str(error).split()) or type(error).__name__)
        raise InputError(f"{path} is no whole safetensors file ({reason}); get it again") from error
    bfloat16 = {name for name, array in arrays.items() if array.dtype == jnp.bfloat16}
    return arrays | {name: arrays[name].astype(np.float32) for name in bfloat16}, metadata


def model_from(content: Any) -> ModelConfig:
    """Returns the network that the object around it has as "config", or else as "model".

    Raises:
        InputError: It is none, or of a size that no network has.
    """
    fields = content.get("config", content.get("model")) if isinstance(content, dict) else None
    config = from_json(ModelConfig, fields, "the configuration")
    check_model(config, "the configuration")
    return config


@contextlib.contextmanager
def _told_as_unknown(path: pathlib.Path) -> Iterator[None]:
    """Turns what a configuration that makes no sense raises into one line."""
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise InputError(
            f"{path} has a configuration that this version of stm_jax does not know "
            f"({error}); upgrade stm_jax, or convert the weights again"
        ) from error


def _load_file(path: pathlib.Path, similarity: Sequence[str]) -> Model:
    arrays, metadata = read_safetensors(path)
    if FORMAT not in metadata:
        raise InputError(
            f"{path} has no configuration of stm_jax in its metadata; if it has PyTorch's names: "
            f"stm-jax convert {path} OUT.safetensors"
        )
    with _told_as_unknown(path):
        description = parse_json(metadata[FORMAT], "the configuration")
        config = model_from(description)
    config = without_code(config, similarity, path)
    with _told_as_unknown(path):
        shapes = variable_shapes(config)
    expected = {name: shape.shape for name, shape in shapes.items()}
    check_entries(arrays, expected, str(path), "save or convert the weights again")
    # Files of before have none. A format that does not look lets a changed bit be a weight.
    if description.get("digest", (found := _digest_of(arrays))) != found:
        raise InputError(
            f"{path} is damaged: its arrays are not those that were saved; get it again, or "
            "save arrays that were changed on purpose by stm_jax.save"
        )
    # Copied, for a donating step deletes them.
    flat = {name: jnp.array(arrays[name], shape.dtype) for name, shape in shapes.items()}
    return Model(config, flax.traverse_util.unflatten_dict(flat, sep="/"))
