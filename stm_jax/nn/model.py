"""A network with its weights."""

import dataclasses

import jax

from stm_jax.config import ModelConfig
from stm_jax.nn.stm import Variables, initialize


@dataclasses.dataclass(frozen=True)
class Model:
    """A configuration and the variables that go with it.

    Attributes:
        config: The shape of the network.
        variables: {"params": ..., "batch_stats": ...}, nested dicts of arrays, float32.
    """

    config: ModelConfig
    variables: Variables


def random_model(config: ModelConfig, seed: int = 0) -> Model:
    """Returns an untrained model: for training and for tests."""
    return Model(config, initialize(config, jax.random.key(seed)))
