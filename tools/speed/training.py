"""What the section `training` of speed.py times: a training step, ours and PyTorch's.

Both begin with the bytes of one clip of three frames, follow it from its first mask, take the mean
cross-entropy of the other two frames, its gradient, and a step of Adam. Ours is the step that
`stm-jax train` runs, with its clipping, its check for numbers that are not finite and its metrics;
PyTorch's has none of these, its Adam is the fused one, and it is timed in both layouts of memory.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from inference import load_twin, torch
from turns import interleave, ratio, times

from stm_jax import Model
from stm_jax.data.config import DataConfig
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.mesh import data_mesh, place_clips, place_state
from stm_jax.train.step import initial_state, make_optimizer, make_step

LEARNING_RATE = 1e-5


def clip_of(size: int, objects: int) -> dict[str, np.ndarray]:
    """Returns a batch of one clip: noise, and as many stripes as objects, moving to the right."""
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, size, size, 3), np.uint8)
    stripes = np.arange(size) * (objects + 1) // size
    masks = np.stack([np.tile(np.roll(stripes, 4 * t), (size, 1)) for t in range(3)])
    return {"frames": frames, "masks": masks[None].astype(np.uint8)}


def our_step(
    model: Model, clip: dict[str, np.ndarray], objects: int
) -> tuple[Callable[[], float], float]:
    """Returns the step, which returns its loss, and its GFLOP by XLA's count of the program."""
    stage = StageConfig(DataConfig(objects=objects), 10**6, LEARNING_RATE, LEARNING_RATE, 0)
    config = TrainConfig(model.config, (stage,), weight_decay=0.0)
    optimizer, mesh = make_optimizer(config), data_mesh(jax.devices()[:1])
    step: Any = make_step(config, stage, optimizer, mesh)
    state = place_state(mesh, initial_state(model.variables, optimizer))
    cost = step.lower(state, place_clips(mesh, clip)).cost_analysis()

    def call() -> float:
        nonlocal state
        state, metrics, _ = step(state, place_clips(mesh, clip))
        return float(metrics["loss"])

    return call, cost["flops"] / 1e9


def torch_step(twin: Any, clip: dict[str, np.ndarray]) -> Callable[[], float]:
    """Returns the step of the twin, which returns its loss."""
    from stm_jax.weights.torch_twin import clip_loss

    optimizer = torch.optim.Adam(twin.parameters(), lr=LEARNING_RATE, fused=True)

    def call() -> float:
        optimizer.zero_grad()
        loss = clip_loss(twin, clip["frames"][0], clip["masks"][0])
        loss.backward()
        optimizer.step()
        return loss.item()

    return call


def compare_training(size: int, objects: int, rounds: int, model: Model) -> None:
    """Times both and prints the ratio."""
    clip = clip_of(size, objects)
    ours, gflop = our_step(model, clip, objects)
    calls = {"ours": ours}
    for who, layout in (("torch", "contiguous_format"), ("torch channels-last", "channels_last")):
        twin = load_twin(model, "float32")
        if twin is None:
            break
        calls[who] = torch_step(twin.to(memory_format=getattr(torch, layout)), clip)
    print(f"\ntraining step, one clip of 3 x {size} x {size}, objects {objects}, {gflop:.0f} GFLOP")
    losses = {who: call() for who, call in calls.items()}
    seconds = interleave(calls, rounds)
    for who, each in seconds.items():
        print(
            f"  {who:19} {times(each, '.0f')}, "
            f"{np.median(gflop / each[0]):.0f} GFLOP/s; first loss {losses[who]:.6f}"
        )
    for who in list(seconds)[1:]:
        print(f"  time({who}) / time(ours): {ratio(seconds[who], seconds['ours'])}", flush=True)
