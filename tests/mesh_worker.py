"""Trains five steps on given clips and writes losses and parameters: one process of a test.

    XLA_FLAGS=--xla_force_host_platform_device_count=4 JAX_PLATFORMS=cpu \\
        python -m tests.mesh_worker OUT.npz jit|pmap|accumulate [COORDINATOR HOSTS HOST]

In a process of its own, because the number of devices is fixed once JAX has started.
"""

import re
import sys

import flax.traverse_util
import jax
import numpy as np
from jax.experimental import multihost_utils

from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.nn.model import random_model
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.mesh import data_mesh, place_clips, place_state
from stm_jax.train.step import initial_state, make_optimizer, make_pmap_step, make_step

STEPS, BATCH, SIZE = 5, 4, 32


def clips_of(step: int) -> dict[str, np.ndarray]:
    """Returns the global batch of a step: squares that move over noise."""
    rng = np.random.default_rng(step)
    frames = rng.integers(0, 120, (BATCH, 3, SIZE, SIZE, 3), dtype=np.uint8)
    masks = np.zeros((BATCH, 3, SIZE, SIZE), np.uint8)
    for clip, t in np.ndindex(BATCH, 3):
        top, left = 2 + 3 * clip + t, 4 + 2 * t
        masks[clip, t, top : top + 14, left : left + 14] = 1
    frames[masks > 0] += 130
    return {"frames": frames, "masks": masks}


def reductions(compiled: str) -> list[int]:
    """Returns the bytes of every all-reduce in a compiled program, each operand of each."""
    found = []
    for line in compiled.splitlines():
        if re.search(r" all-reduce(-start)?\(", line):
            shapes = line.split(" all-reduce")[0].split("=", 1)[1]
            for dimensions in re.findall(r"f32\[([0-9,]*)\]", shapes):
                found.append(4 * int(np.prod([int(d) for d in dimensions.split(",") if d] or [1])))
    return found


def main(out: str, kind: str) -> None:
    jax.config.update("jax_default_matmul_precision", "highest")
    stage = StageConfig(DataConfig(), steps=10, learning_rate=1e-4, warmup_steps=1)
    config = TrainConfig(TINY, (stage,), accumulate=2 if kind == "accumulate" else 1)
    optimizer = make_optimizer(config)
    state = initial_state(random_model(TINY).variables, optimizer)
    losses, lines = [], []
    if kind == "pmap":
        step = make_pmap_step(config, stage, optimizer)
        count = jax.local_device_count()
        state = jax.tree.map(lambda a: np.stack([np.asarray(a)] * count), state)
        for number in range(STEPS):
            cut = jax.tree.map(
                lambda a: a.reshape(count, BATCH // count, *a.shape[1:]), clips_of(number)
            )
            state, metrics, _ = step(state, cut)
            losses.append(float(metrics["loss"][0]))
        params = jax.tree.map(lambda a: np.asarray(a[0]), state["params"])
    else:
        mesh = data_mesh()
        step = make_step(config, stage, optimizer, mesh)
        state = place_state(mesh, state)
        host, hosts = jax.process_index(), jax.process_count()
        mine = slice(host * BATCH // hosts, (host + 1) * BATCH // hosts)
        for number in range(STEPS):
            clips = {name: array[mine] for name, array in clips_of(number).items()}
            clips = place_clips(mesh, clips)
            if number == 0:
                lines = reductions(step.lower(state, clips).compile().as_text())
            state, metrics, _ = step(state, clips)
            losses.append(float(metrics["loss"]))
        params = jax.tree.map(lambda a: np.asarray(a.addressable_data(0)), state["params"])
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    if jax.process_index() == 0:
        np.savez(out, losses=losses, reduced=lines, **flat)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        jax.distributed.initialize(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
        # Gloo connects at the first collective and waits 30 s for the others: here all are as far,
        # after a compilation on a busy machine not.
        multihost_utils.sync_global_devices("begun")
    main(sys.argv[1], sys.argv[2])
