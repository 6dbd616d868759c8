"""What the section `training` of speed.py times: a training step, ours and PyTorch's.

Both begin with the bytes of clips of three frames, follow each from its first mask, take the mean
cross-entropy of the other two frames, its gradient, and a step of Adam. Ours is the step that
`stm-jax train` runs, with its clipping, its check for numbers that are not finite and its metrics;
PyTorch's has none of these, takes clips one after the other, its Adam is the fused one, and it is
timed in both layouts of memory, and compiled if that is asked for. In bfloat16 weights stay
float32, and PyTorch's network is under autocast.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from inference import compiled, load_twin, torch
from turns import interleave, rate, ratio, times

from stm_jax import Model
from stm_jax.data.config import DataConfig
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.mesh import data_mesh, place_clips, place_state
from stm_jax.train.step import initial_state, make_optimizer, make_step

LEARNING_RATE = 1e-5


def clips_of(size: int, objects: int, clips: int) -> dict[str, np.ndarray]:
    """Returns a batch: noise, and as many stripes as objects, moving to the right."""
    frames = np.random.default_rng(0).integers(0, 256, (clips, 3, size, size, 3), np.uint8)
    stripes = np.arange(size) * (objects + 1) // size
    masks = np.stack([np.tile(np.roll(stripes, 4 * t), (size, 1)) for t in range(3)])
    return {"frames": frames, "masks": np.stack([masks] * clips).astype(np.uint8)}


def our_step(
    model: Model, clips: dict[str, np.ndarray], objects: int, dtype: str
) -> tuple[Callable[[], float], float]:
    """Returns the step, which returns its loss, and its GFLOP by XLA's count of the program."""
    stage = StageConfig(DataConfig(objects=objects), 10**6, LEARNING_RATE, LEARNING_RATE, 0)
    config = TrainConfig(model.config, (stage,), weight_decay=0.0, dtype=dtype)
    optimizer, mesh = make_optimizer(config), data_mesh(jax.devices()[:1])
    step: Any = make_step(config, stage, optimizer, mesh)
    state = place_state(mesh, initial_state(model.variables, optimizer))
    cost = step.lower(state, place_clips(mesh, clips)).cost_analysis()

    def call() -> float:
        nonlocal state
        state, metrics, _ = step(state, place_clips(mesh, clips))
        return float(metrics["loss"])

    return call, cost["flops"] / 1e9


def torch_step(twin: Any, clips: dict[str, np.ndarray], dtype: str) -> Callable[[], float]:
    """Returns the step of the twin, which returns its loss."""
    from stm_jax.weights.torch_twin import clip_loss

    optimizer = torch.optim.Adam(twin.parameters(), lr=LEARNING_RATE, fused=True)
    device = next(twin.parameters()).device.type
    in_bfloat16 = torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16")

    def call() -> float:
        optimizer.zero_grad()
        total = torch.zeros((), device=device)
        for frames, masks in zip(clips["frames"], clips["masks"], strict=True):
            with in_bfloat16:
                loss = clip_loss(twin, frames, masks) / len(clips["frames"])
            loss.backward()
            total += loss.detach()
        optimizer.step()
        return total.item()

    return call


def compare_training(
    clips: dict[str, np.ndarray],
    objects: int,
    dtype: str,
    rounds: int,
    model: Model,
    others: tuple[str, ...],
) -> None:
    """Times ours and those of PyTorch's "torch" and "compiled" that are asked for, and prints."""
    ours, gflop = our_step(model, clips, objects, dtype)
    calls = {"ours": ours}
    for who, layout in (
        ("torch", "contiguous_format"),
        ("torch channels-last", "channels_last"),
        ("compiled", "channels_last"),
    ):
        if who.split()[0] not in others:
            continue
        twin = load_twin(model, "float32")  # the weights'; bfloat16 is autocast's
        if twin is None:
            break
        twin = twin.to(memory_format=getattr(torch, layout))
        calls[who] = torch_step(compiled(twin) if who == "compiled" else twin, clips, dtype)
    count, frames, size = clips["frames"].shape[:3]
    what = f"{count} clips of {frames} x {size} x {size}, objects {objects}"
    print(f"\ntraining step, {what}, {gflop:.0f} GFLOP")
    losses = {who: call() for who, call in calls.items()}
    seconds = interleave(calls, rounds)
    for who, each in seconds.items():
        print(
            f"  {who:19} {times(each, '.0f')}, {np.median(count / each[0]):.2f} clips/s, "
            f"{rate(gflop / each[0], dtype)}; first loss {losses[who]:.6f}"
        )
    for who in list(seconds)[1:]:
        print(f"  time({who}) / time(ours): {ratio(seconds[who], seconds['ours'])}", flush=True)
