"""Saves one checkpoint, and a second one when the disk is full; prints what is said of it.

A process of its own: a limit on the size of files, which the system refuses as it does a full
disk, holds for the whole process, and after a refusal threads of TensorStore may still call on
an event loop that Orbax has closed by then.

    python -m tests.full_disk_worker RUN_FOLDER
"""

import pathlib
import resource
import sys

import jax.numpy as jnp
import numpy as np

from stm_jax.errors import InputError
from stm_jax.weights import checkpoints

NOISE = np.random.default_rng(0).normal(size=200_000).astype(np.float32)  # cannot be compressed


def main(run: pathlib.Path) -> None:
    state = {"params": {"a": jnp.asarray(NOISE), "b": jnp.zeros(())}}
    with checkpoints.open_manager(run) as manager:
        checkpoints.save(manager, 1, state)
        checkpoints.wait(manager)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            checkpoints.save(manager, 2, state)
            checkpoints.wait(manager)
        except InputError as error:
            print(error)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
