"""Space-Time Memory Networks for JAX: follow an object through a video from its first mask."""

from stm_jax import convert
from stm_jax.errors import InputError
from stm_jax.infer.segmenter import Segmenter
from stm_jax.nn.model import Model
from stm_jax.release import load, save

__version__ = "0.1.0"
__all__ = ["InputError", "Model", "Segmenter", "convert", "load", "save"]
