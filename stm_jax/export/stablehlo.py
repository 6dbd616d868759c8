"""A network as a file of StableHLO programs, which JAX runs anywhere: `stm_jax.exported`."""

import dataclasses
import pathlib
from collections.abc import Sequence

import jax
import jax.export
import numpy as np
import safetensors.numpy

from stm_jax.catalogue import noted
from stm_jax.errors import InputError
from stm_jax.export.programs import Sizes, named, programs
from stm_jax.exported.bundle import WEIGHTS, Description, digest_of, write
from stm_jax.files import write_whole
from stm_jax.infer.stream import Recipe
from stm_jax.nn.model import Model
from stm_jax.version import __version__

LICENCE = "Apache-2.0"
PLATFORMS = ("cpu", "cuda", "tpu")
TEST_SIZE = (64, 96)
"""Of the test's frames where a program takes any."""


def export_stablehlo(
    model: Model,
    recipe: Recipe,
    path: pathlib.Path,
    sizes: Sizes,
    *,
    platforms: Sequence[str] = PLATFORMS,
    beside: pathlib.Path | None = None,
    about: str = "",
) -> Description:
    """Writes the programs begin, step, memorize and segment with weights and a test.

    Args:
        model: The network.
        recipe: Memory, read, precision and working size of its step.
        path: The archive.
        sizes: What frames, how many objects, how long a memory.
        platforms: What they are lowered for, any of cpu, cuda, rocm and tpu.
        beside: Where the weights are written, in the archive's folder; None for within.
        about: A line on where the weights come from.

    Raises:
        InputError: Frames of any size are to be worked on at another size than their own.
        OSError: It cannot be written.
    """
    if sizes.size is None and recipe.short_side is not None:
        raise InputError(
            "frames of any size are segmented at their own: give --frames, or no --size"
        )
    made = programs(recipe, model.variables, sizes)
    serialized = {
        name: bytes(
            jax.export.export(jax.jit(program.function), platforms=tuple(platforms))(
                *program.arguments
            ).serialize()
        )
        for name, program in made.items()
    }
    arrays = {name: np.asarray(array) for name, array in named(model.variables).items()}
    weights = safetensors.numpy.save(arrays)
    description = Description(
        format=1,
        stm_jax=__version__,
        jax=jax.__version__,
        config=model.config,
        about=about,
        licence=LICENCE,
        size=sizes.size,
        objects=sizes.objects,
        slots=sizes.slots,
        memory=noted(recipe.memory) or {},
        read=noted(recipe.read),
        short_side=recipe.short_side,
        dtype=str(recipe.dtype),
        platforms=tuple(platforms),
        weights=WEIGHTS if beside is None else beside.name,
        digest=digest_of(weights),
    )
    test = safetensors.numpy.save(_test(recipe, model, sizes))
    if beside is not None:
        write_whole(beside, weights)
    write(path, description, serialized, weights, test)
    return description


def _test(recipe: Recipe, model: Model, sizes: Sizes) -> dict[str, np.ndarray]:
    """Returns frames and masks of chance, and what the library itself makes of them."""
    height, width = sizes.size or TEST_SIZE
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, -(-height // 16), -(-width // 16), 3), np.uint8)
    first, second = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    masks = np.zeros((sizes.objects, height, width), np.float32)
    for index, plane in enumerate(masks):
        top = index * height // (2 * sizes.objects)
        plane[top : top + height // 2, width // 4 : 3 * width // 4] = 1
    masks *= masks.cumsum(axis=0) <= 1  # a pixel is of one object
    at_size = dataclasses.replace(sizes, size=(height, width))
    library = programs(recipe, model.variables, at_size)
    state = library["begin"].function(first, masks, masks.any(axis=(1, 2)))
    weights = named(model.variables)
    _, _, soft = jax.jit(library["step"].function)(weights, state, second)
    test = {"first": first, "second": second, "masks": masks, "soft": np.asarray(soft)[:, ::8, ::8]}
    # safetensors writes a view as it lies in memory.
    return {name: np.ascontiguousarray(array) for name, array in test.items()}
