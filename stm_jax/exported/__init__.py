"""Exported programs, run with JAX alone: nothing of the network's own code is imported."""

from stm_jax.exported.bundle import Description as Description
from stm_jax.exported.follower import Exported as Exported
from stm_jax.exported.follower import load as load
