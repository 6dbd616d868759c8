"""Temporary memory of the gradient of a training clip, its frames kept or computed again.

    python tools/speed/remat.py --lengths 4 8 12 --side 224 --objects 2

Prints, for each length, what XLA says of both programs, how long each took to compile, and the
largest difference of their gradients, tensor by tensor, as a share of that tensor's largest entry:
in float32, and in float64, which tells rounding from mistakes.
"""

import dataclasses
import time
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

import stm_jax
from stm_jax.catalogue import chosen_memory
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
    network: str = "stm-r18"
    """Whose weights: bundled or a file; random ones would enlarge rounding."""
    remembered: tuple[str, ...] = ()
    """What is remembered, in the words of --memory; every frame without."""


def main(options: Options) -> None:
    """Prints a Markdown table."""
    model, memory = stm_jax.load(options.network), chosen_memory(options.remembered)
    rng = np.random.default_rng(0)
    print("| frames | kept, MiB | again, MiB | compiled in, s | difference | in float64 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for length in options.lengths:
        shape = (1, length, options.side, options.side)
        frames = rng.integers(0, 256, (*shape, 3), np.uint8)
        coarse = rng.integers(0, options.objects + 1, (1, length, shape[2] // 16, shape[3] // 16))
        masks = coarse.astype(np.uint8).repeat(16, axis=2).repeat(16, axis=3)

        def gradient(params: Any, remat: bool, frames: Any = frames, masks: Any = masks) -> Any:
            network = STM(model.config, jax.tree.leaves(params)[0].dtype)

            def loss(params: Any) -> jax.Array:
                arguments = (network, {**model.variables, "params": params}, frames, masks)
                return clip_loss(
                    *arguments, options.objects, memory=memory or ALL_FRAMES, remat=remat
                )[0]

            return jax.grad(loss)(params)

        memories, seconds, differences = [], [], []
        for dtype in (jnp.float32, jnp.float64):
            found: list[Any] = []
            with jax.enable_x64(dtype == jnp.float64):
                params = optax.tree.cast(model.variables["params"], dtype)
                for remat in (False, True):
                    begun = time.perf_counter()
                    program = jax.jit(gradient, static_argnums=1).lower(params, remat)
                    compiled = program.compile()
                    seconds.append(time.perf_counter() - begun)
                    analysis: Any = compiled.memory_analysis()
                    memories.append(analysis.temp_size_in_bytes / 2**20)
                    found.append(jax.tree.map(np.asarray, compiled(params)))
            differences.append(_difference(*found))
        print(
            f"| {length} | {memories[0]:.0f} | {memories[1]:.0f} "
            f"| {seconds[0]:.0f}, {seconds[1]:.0f} | {differences[0]:.1e} | {differences[1]:.1e} |",
            flush=True,
        )


def _difference(kept: Any, again: Any) -> float:
    one, other = (
        dict[str, Any](flax.traverse_util.flatten_dict(g, sep="/")) for g in (kept, again)
    )
    return max(
        float(np.abs(other[name] - array).max() / np.abs(array).max())
        for name, array in one.items()
        if name != WITHOUT_GRADIENT
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
