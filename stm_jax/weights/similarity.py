"""Weights with another similarity of keys than they were trained with."""

import dataclasses
from collections.abc import Sequence

import flax.traverse_util

from stm_jax.catalogue import chosen_similarity
from stm_jax.checks import shown
from stm_jax.config import ModelConfig
from stm_jax.errors import InputError
from stm_jax.nn.model import Model
from stm_jax.weights.pytorch import variable_shapes


def with_similarity(model: Model, words: Sequence[str]) -> Model:
    """Returns the model with the similarity that words ask for; what another has learnt is left.

    Raises:
        InputError: There is no such similarity or knob, or it has learnt parts, which the model
            has not.
    """
    chosen_similarity(words)  # tells what is wrong with them
    config = dataclasses.replace(model.config, similarity=tuple(words))
    shapes = variable_shapes(config)
    flat = {**flax.traverse_util.flatten_dict(model.variables, sep="/")}
    missing = {_learnt(path) for path in shapes if path not in flat}
    if missing:
        parts = ",".join(sorted(missing))
        raise InputError(
            f"--similarity {words[0]} is learnt, and these weights have no {parts}: train from "
            f"them first, with start_from=... similarity={','.join(words)} start_anew={parts}"
        )
    variables = flax.traverse_util.unflatten_dict({p: flat[p] for p in shapes}, sep="/")
    return Model(config, variables)


def without_code(config: ModelConfig, instead: Sequence[str], source: object) -> ModelConfig:
    """Returns a network as a file of weights describes it, unless that names code to run.

    Args:
        config: As it is described.
        instead: The similarity that the user names; it may be that code.
        source: The file, for the error.

    Raises:
        InputError: Its similarity is of a Python file, and none is named instead.
    """
    if not any(".py:" in word for word in config.similarity[:1]):
        return config
    if not instead:
        raise InputError(
            f"{source} was trained with the similarity {shown(config.similarity[0])}, and loading "
            "runs no code that a file names: name it yourself, --similarity FILE.py:NAME"
        )
    return dataclasses.replace(config, similarity=tuple(instead))


def _learnt(path: str) -> str:
    """Returns the part with a variable in it: "similarity", or "query_head/selection"."""
    _, first, second, *_ = path.split("/")
    return first if first == "similarity" else f"{first}/{second}"
