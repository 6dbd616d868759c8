"""Temporary memory of the gradient of a training clip, its frames kept or computed again.

    python tools/speed/remat.py --lengths 4 8 12 --side 224 --objects 2

Prints, for each length, what XLA says of both programs, how long each took to compile, and the
largest difference of their gradients, tensor by tensor, as a share of that tensor's largest entry.
"""

import dataclasses
import time
from typing import Any

import flax.traverse_util
import jax
import numpy as np
import tyro

from stm_jax.catalogue import chosen_memory
from stm_jax.config import PRESETS
from stm_jax.nn.model import random_model
from stm_jax.nn.stm import STM
from stm_jax.train.follow import ALL_FRAMES
from stm_jax.train.losses import clip_loss

WITHOUT_GRADIENT = "memory_head/key/bias"  # added to every key, it moves no softmax


@dataclasses.dataclass(frozen=True)
class Options:
    """Which clips."""

    lengths: tuple[int, ...] = (4, 8, 12)
    """Frames a clip."""
    side: int = 224
    """Side of its frames in pixels."""
    objects: int = 2
    """How many are followed."""
    config: str = "stm-r18"
    """Which network, with random weights."""
    remembered: tuple[str, ...] = ()
    """What is remembered, in the words of --memory; every frame without."""


def main(options: Options) -> None:
    """Prints a Markdown table."""
    config = next(preset for preset in PRESETS if preset.name == options.config)
    variables, memory = random_model(config).variables, chosen_memory(options.remembered)
    rng = np.random.default_rng(0)
    print("| frames | kept, MiB | again, MiB | compiled in, s | largest difference |")
    print("| --- | --- | --- | --- | --- |")
    for length in options.lengths:
        shape = (1, length, options.side, options.side)
        frames = rng.integers(0, 256, (*shape, 3), np.uint8)
        coarse = rng.integers(0, options.objects + 1, (1, length, shape[2] // 16, shape[3] // 16))
        masks = coarse.astype(np.uint8).repeat(16, axis=2).repeat(16, axis=3)

        def gradient(params: Any, remat: bool, frames: Any = frames, masks: Any = masks) -> Any:
            def loss(params: Any) -> jax.Array:
                given = {**variables, "params": params}
                arguments = (STM(config), given, frames, masks, options.objects)
                return clip_loss(*arguments, memory=memory or ALL_FRAMES, remat=remat)[0]

            return jax.grad(loss)(params)

        found: list[Any] = []
        memories, seconds = [], []
        for remat in (False, True):
            begun = time.perf_counter()
            program = jax.jit(gradient, static_argnums=1).lower(variables["params"], remat)
            compiled = program.compile()
            seconds.append(time.perf_counter() - begun)
            analysis: Any = compiled.memory_analysis()
            memories.append(analysis.temp_size_in_bytes / 2**20)
            found.append(compiled(variables["params"]))
        kept, again = (dict[str, Any](flax.traverse_util.flatten_dict(g, sep="/")) for g in found)
        worst = max(
            float(np.abs(again[name] - array).max() / np.abs(array).max())
            for name, array in kept.items()
            if name != WITHOUT_GRADIENT
        )
        print(
            f"| {length} | {memories[0]:.0f} | {memories[1]:.0f} "
            f"| {seconds[0]:.0f}, {seconds[1]:.0f} | {worst:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(Options))
