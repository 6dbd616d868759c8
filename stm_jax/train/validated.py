"""A training run as the commands start one: with its validation, and without others' noise."""

import logging
import pathlib

from absl import flags

from stm_jax.nn.model import Model
from stm_jax.train.config import TrainConfig
from stm_jax.train.loop import fit
from stm_jax.train.validation import Validation


def train(config: TrainConfig, run: pathlib.Path, *, profile: bool = False) -> Model:
    """Trains as `fit` does, and validates on the sequences that the configuration names.

    Args:
        config: Everything that decides the result.
        run: The run's folder.
        profile: As of `fit`.

    Raises:
        InputError: As of `fit`, or a sequence to validate on is not there, or is trained on.
        KeyboardInterrupt: As of `fit`.
    """
    # Orbax logs, with their tracebacks, the failures that it raises as well.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    if not flags.FLAGS.is_parsed():  # grain's workers ask for them outside of absl.app
        flags.FLAGS.mark_as_parsed()
    validate = Validation(config, run) if config.validate_on else None
    return fit(config, run, validate=validate, profile=profile)
