"""What a run starts from: its network's own draw, an ImageNet trunk, or weights that are there."""

import dataclasses
import pathlib
from typing import Any

import flax.traverse_util
import numpy as np

from stm_jax.data.pipeline import training_clips
from stm_jax.errors import InputError
from stm_jax.nn.model import Model, random_model
from stm_jax.train.config import TrainConfig
from stm_jax.train.key_start import start_keys
from stm_jax.weights.any_source import read_weights
from stm_jax.weights.entries import check_entries
from stm_jax.weights.files import read_safetensors
from stm_jax.weights.pytorch import variable_shapes
from stm_jax.weights.trunk import with_trunk

KEYS = ("query_head/key", "memory_head/key")


def given_weights(config: TrainConfig) -> Model | None:
    """Reads `config.start_from`, and checks it against the network; compiles and writes nothing.

    Returns:
        The whole model of the file, the parts that start anew included; None without a file.

    Raises:
        InputError: It cannot be read; or what it has beside `config.start_anew` is not what the
            network needs: one error names everything missing, left over or misshapen. Or an entry
            of `start_anew` is no part of the network.
    """
    if config.start_from is None:
        if config.start_anew or config.model is None:
            name = "start_anew" if config.start_anew else "model = None"
            raise InputError(f"{name} is of weights that are there: give start_from=WEIGHTS")
        return None
    given, _ = read_weights(config.start_from, _own_code(config))
    network = dataclasses.replace(config, model=config.model or given.config).network
    expected = {path: shape.shape for path, shape in variable_shapes(network).items()}
    arrays = {path: np.asarray(array) for path, array in _flat(given).items()}
    for part in config.start_anew:
        if not any(_lies_in(path, (part,)) for path in expected | arrays):
            parts = ", ".join(dict.fromkeys(_part(path) for path in expected))
            raise InputError(f"start_anew: {network.name} has no {part}; its parts are {parts}")
    taken = {p: a for p, a in arrays.items() if not _lies_in(p, config.start_anew)}
    wanted = {p: s for p, s in expected.items() if not _lies_in(p, config.start_anew)}
    unfit = taken.keys() ^ wanted.keys()
    unfit |= {p for p in taken.keys() & wanted.keys() if taken[p].shape != wanted[p]}
    anew = ",".join(sorted({*config.start_anew, *map(_part, unfit)}))
    check_entries(
        taken,
        wanted,
        f"start_from: {config.start_from} ({given.config.name}) for {network.name}",
        f"start_anew={anew} starts them anew; or model=None in the configuration file takes the "
        "weights' own network",
    )
    return given


def initial_model(config: TrainConfig, given: Model | None) -> Model:
    """Returns the model before the first step.

    Args:
        config: Its `model` is set.
        given: What `given_weights` has read. Only the parts in `start_anew` are then drawn, or
            begun from `trunk` and `key_frames`; all else is the given weights'.
    """
    model = random_model(config.network, config.seed)
    if config.trunk is not None and (given is None or config.start_anew):
        model = with_trunk(model, _read_trunk(config))
    if given is not None:
        anew = {p: a for p, a in _flat(model).items() if _lies_in(p, config.start_anew)}
        kept = {p: a for p, a in _flat(given).items() if not _lies_in(p, config.start_anew)}
        variables = flax.traverse_util.unflatten_dict({**kept, **anew}, sep="/")
        model = Model(model.config, variables)
        keys_anew = all(_lies_in(f"params/{key}", config.start_anew) for key in KEYS)
    else:
        keys_anew = config.trunk is not None
    if not (config.key_frames and keys_anew):
        return model
    clips = training_clips(config.stages[0].data, config.seed, config.stages[0].steps)
    batches = -(-config.key_frames // config.stages[0].data.batch_size)
    frames = [next(clips)["frames"][:, 0] for _ in range(batches)]
    return start_keys(model, np.concatenate(frames)[: config.key_frames])


def _own_code(config: TrainConfig) -> tuple[str, ...]:
    """Returns the network's similarity where it is code of the user's own: weights may have it."""
    words = config.similarity or (config.model.similarity if config.model else ())
    return words if any(".py:" in word for word in words[:1]) else ()


def _read_trunk(config: TrainConfig) -> dict[str, np.ndarray]:
    trunk = pathlib.Path(str(config.trunk))
    if not trunk.is_file():
        raise InputError(f"the trunk {trunk} cannot be read: no such file; give another, or None")
    return read_safetensors(trunk)[0]


def _flat(model: Model) -> dict[str, Any]:
    return {**flax.traverse_util.flatten_dict(model.variables, sep="/")}


def _lies_in(path: str, parts: tuple[str, ...]) -> bool:
    """Says whether a variable, params/PART/... or batch_stats/PART/..., is of one of the parts."""
    inside = path.partition("/")[2] + "/"
    return any(inside.startswith(part.strip("/") + "/") for part in parts)


def _part(path: str) -> str:
    """Returns the smallest part that is worth starting anew with a variable in it."""
    _, first, second, *_ = path.split("/")
    return f"{first}/{second}" if first.endswith("_head") else first
