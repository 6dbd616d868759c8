"""Trains five steps on given clips and writes losses and parameters: a process of some tests.

    XLA_FLAGS=--xla_force_host_platform_device_count=4 JAX_PLATFORMS=cpu \\
        python -m tests.mesh_worker OUT jit-4 pmap-4 accumulate-2 [COORDINATOR HOSTS HOST]

In a process of its own, because the number of devices is fixed once JAX has started.
"""

import re
import sys

import flax.traverse_util
import jax
import numpy as np
from orbax.checkpoint import multihost

from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.nn.model import random_model
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.mesh import data_mesh, place_clips, place_state
from stm_jax.train.step import initial_state, make_optimizer, make_pmap_step, make_step

STEPS, BATCH, SIZE = 5, 4, 32
PATIENCE = 600_000
"""Milliseconds for a host to wait for the others."""


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


def run(out: str, kind: str, devices: int) -> None:
    """Trains on the first devices of all, "jit", "accumulate" or "pmap", and writes OUT/KIND-N."""
    stage = StageConfig(DataConfig(), steps=10, learning_rate=1e-4, warmup_steps=1)
    config = TrainConfig(TINY, (stage,), accumulate=2 if kind == "accumulate" else 1)
    optimizer = make_optimizer(config)
    state = initial_state(random_model(TINY).variables, optimizer)
    losses, lines = [], []
    if kind == "pmap":
        step = make_pmap_step(config, stage, optimizer)
        state = jax.tree.map(lambda a: np.stack([np.asarray(a)] * devices), state)
        for number in range(STEPS):
            cut = jax.tree.map(
                lambda a: a.reshape(devices, BATCH // devices, *a.shape[1:]), clips_of(number)
            )
            state, metrics, _ = step(state, cut)
            losses.append(float(metrics["loss"][0]))
        params = jax.tree.map(lambda a: np.asarray(a[0]), state["params"])
    else:
        mesh = data_mesh(jax.devices()[:devices])
        assert mesh.size == devices
        step = make_step(config, stage, optimizer, mesh)
        state = place_state(mesh, state)
        host, hosts = jax.process_index(), jax.process_count()
        mine = slice(host * BATCH // hosts, (host + 1) * BATCH // hosts)
        batches = [
            place_clips(mesh, {name: array[mine] for name, array in clips_of(number).items()})
            for number in range(STEPS)
        ]
        compiled = step.lower(state, batches[0]).compile()
        lines = reductions(compiled.as_text())
        # Gloo connects at the first reduction and waits 30 s for the other hosts, which on a busy
        # machine may still compile; this asks the coordinator instead, and waits for as long.
        multihost.get_barrier_sync_fn()(key="compiled", timeout_ms=PATIENCE)
        for clips in batches:
            state, metrics, _ = compiled(state, clips)
            losses.append(float(metrics["loss"]))
        params = jax.tree.map(lambda a: np.asarray(a.addressable_data(0)), state["params"])
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    if jax.process_index() == 0:
        np.savez(f"{out}/{kind}-{devices}.npz", losses=losses, reduced=lines, **flat)


def main(out: str, runs: list[str]) -> None:
    if runs[-1].isdecimal():
        *runs, coordinator, hosts, host = runs
        jax.distributed.initialize(coordinator, int(hosts), int(host))
    jax.config.update("jax_default_matmul_precision", "highest")
    for kind, devices in (name.split("-") for name in runs):
        run(out, kind, int(devices))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
