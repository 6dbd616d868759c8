"""A lively model with another similarity."""

import dataclasses
import functools

import flax.traverse_util
import jax

from stm_jax.config import TINY
from stm_jax.nn.model import Model
from stm_jax.nn.stm import initialize
from stm_jax.weights.pytorch import variable_shapes
from tests.lively import lively_model


@functools.cache
def other_model(words: str) -> Model:
    """Returns a lively model with this similarity; its heads are as for training."""
    config = dataclasses.replace(TINY, similarity=(words,))
    own: dict = flax.traverse_util.flatten_dict(lively_model().variables, sep="/")
    shapes, begin = variable_shapes(config), initialize(config, jax.random.key(0))
    drawn_parts: dict = flax.traverse_util.flatten_dict(begin, sep="/")
    flat = {path: own.get(path, drawn_parts[path]) for path in shapes}
    return Model(config, flax.traverse_util.unflatten_dict(flat, sep="/"))
