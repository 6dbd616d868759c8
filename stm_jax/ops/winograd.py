"""3x3 convolutions in 16 products for 4 pixels, where there would be 36.

F(2x2, 3x3) of Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016):
the products are of sums of a tile's 4x4 pixels and of sums of the kernel's, and sums of them are
the answer. In float32 it rounds as the plain sum does; larger tiles would save more products, but
hardly any time, and round up to 3.4 times as much (docs/speed.md).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

OF_TILE = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
OF_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
OF_PRODUCTS = ((1, 1, 1, 0), (0, 1, -1, -1))

LEAST_CHANNELS, LEAST_POSITIONS = 64, 1024
"""Below these the sums take longer than the products that they save, on two cores."""


def pays(features: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"]) -> bool:
    """Returns whether a convolution at stride 1 is quicker so, on a CPU."""
    # Of an exported program of any size, rows and columns are no numbers.
    sizes = features.shape[:3]
    return (
        features.dtype == jnp.float32
        and kernel.shape[:2] == (3, 3)
        and min(kernel.shape[2:]) >= LEAST_CHANNELS
        and all(isinstance(size, int) for size in sizes)
        and sizes[0] * sizes[1] * sizes[2] >= LEAST_POSITIONS
    )


@jax.jit
def winograd(
    features: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]
) -> Float[Array, "b h w o"]:
    """Convolves at stride 1, padded by one pixel of zeros on each side."""
    batch, height, width, inputs = features.shape
    rows, columns = -(-height // 2), -(-width // 2)  # of tiles, each of which gives 2x2 pixels
    padding = ((0, 0), (1, 2 * rows - height + 1), (1, 2 * columns - width + 1), (0, 0))
    padded = jnp.pad(features, padding)
    tiles = [
        [
            padded[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2].reshape(-1, inputs)
            for j in range(4)
        ]
        for i in range(4)
    ]
    kernels = _both(OF_KERNEL, [[kernel[i, j] for j in range(3)] for i in range(3)])
    products = [
        [tile @ of_tile for tile, of_tile in zip(*rows, strict=True)]
        for rows in zip(_both(OF_TILE, tiles), kernels, strict=True)
    ]
    pixels = [
        [pixel.reshape(batch, rows, 1, columns, 1, -1) for pixel in row]
        for row in _both(OF_PRODUCTS, products)
    ]
    whole = jnp.concatenate([jnp.concatenate(row, 4) for row in pixels], 2)
    return whole.reshape(batch, 2 * rows, 2 * columns, -1)[:, :height, :width]


Table = Sequence[Sequence[jax.Array]]


def _both(matrix: Sequence[Sequence[float]], table: Table) -> Table:
    """Returns M A M^T of a table of arrays: sums of its rows, then of its columns."""
    summed = [[_sum(line, column) for line in matrix] for column in zip(*table, strict=True)]
    return [[_sum(line, row) for line in matrix] for row in zip(*summed, strict=True)]


def _sum(line: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
    """Returns the sum of the arrays times the factors, without what is times 0."""
    weighted = [
        a if factor == 1 else factor * a for factor, a in zip(line, arrays, strict=True) if factor
    ]
    return functools.reduce(jnp.add, weighted)
