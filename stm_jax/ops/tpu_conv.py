"""What `fast_conv.py` does on TPUs, which hold 8 x 128 numbers at once and dislike few channels.

Each function equals the one that `fast_conv.py` names it beside; `stm-jax plan` shows what it is
worth there.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolve_at_2(
    frames: Float[Array, "b h w i"], kernel: Float[Array, "7 7 i o"]
) -> Float[Array, "b h2 w2 o"]:
    """Convolves at stride 2, of an image of even sides, as at stride 1 of blocks of 2 x 2 pixels.

    A pixel's few channels would fill one in 40 lanes of the matrix unit, for each of 49 taps.
    """
    return _on_blocks(_blocks(frames), _of_blocks(kernel))


def convolve_objects_at_2(
    frames: Float[Array, "b h w 3"],
    masks: Float[Array, "b o h w"],
    others: Float[Array, "b o h w"],
    frame_kernel: Float[Array, "7 7 3 c"],
    plane_kernel: Float[Array, "7 7 2 c"],
) -> Float[Array, "b*o h2 w2 c"]:
    """The same of each frame together with the two planes of each of its objects.

    Repeating the frame's channels costs nothing where the lanes are empty anyway.
    """
    planes = jnp.stack(_by_object(masks, others), axis=-1)
    return _on_both(_blocks(frames), _blocks(planes), frame_kernel, plane_kernel)


def convolve_planes_at_2(
    frames: Float[Array, "b h w 3"],
    masks: Float[Array, "b o h w"],
    others: Float[Array, "b o h w"],
    frame_kernel: Float[Array, "7 7 3 c"],
    plane_kernel: Float[Array, "7 7 2 c"],
) -> Float[Array, "b*o h2 w2 c"]:
    """The same, each plane cut into blocks by itself.

    With eight objects that takes a third of the time; with a gradient, half as much again.
    """
    of_planes = [_parts(plane) for plane in _by_object(masks, others)]
    stacked = jnp.stack([part for parts in zip(*of_planes, strict=True) for part in parts], axis=-1)
    return _on_both(_parts_of_channels(frames), stacked, frame_kernel, plane_kernel)


def _by_object(*planes: Float[Array, "b o h w"]) -> list[Float[Array, "b*o h w"]]:
    return [plane.reshape(-1, *plane.shape[2:]) for plane in planes]


def _on_both(
    of_frames: Float[Array, "b h2 w2 12"],
    of_planes: Float[Array, "b*o h2 w2 8"],
    frame_kernel: jax.Array,
    plane_kernel: jax.Array,
) -> jax.Array:
    shape = (of_frames.shape[0], of_planes.shape[0] // of_frames.shape[0], *of_frames.shape[1:])
    repeated = jnp.broadcast_to(of_frames[:, None], shape).reshape(-1, *of_frames.shape[1:])
    return _on_blocks(
        jnp.concatenate([repeated, of_planes], axis=-1),
        jnp.concatenate([_of_blocks(frame_kernel), _of_blocks(plane_kernel)], axis=2),
    )


def _parts(image: Float[Array, "b h w *i"]) -> list[Float[Array, "b h/2 w/2 *i"]]:
    # By slices: a transpose takes six times as long.
    return [image[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _parts_of_channels(image: Float[Array, "b h w i"]) -> Float[Array, "b h/2 w/2 4*i"]:
    of_channels = [_parts(image[..., channel]) for channel in range(image.shape[-1])]
    return jnp.stack([part for parts in zip(*of_channels, strict=True) for part in parts], axis=-1)


def _blocks(image: Float[Array, "b h w i"]) -> Float[Array, "b h/2 w/2 4*i"]:
    return jnp.concatenate(_parts(image), axis=-1)


def _of_blocks(kernel: Float[Array, "7 7 i o"]) -> Float[Array, "4 4 4*i o"]:
    """Returns what a kernel of 7 x 7 pixels does with blocks: with 2 before each and 1 behind."""
    _, _, inputs, outputs = kernel.shape
    even = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    parted = even.reshape(4, 2, 4, 2, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)
    return parted.reshape(4, 4, 4 * inputs, outputs)


def _on_blocks(blocks: jax.Array, kernel: jax.Array) -> jax.Array:
    around = [(2, 1), (2, 1)]
    return jax.lax.conv_general_dilated(blocks, kernel, (1, 1), around, dimension_numbers=LAYOUT)


def max_pool(features: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """The largest of 3x3, at stride 2, as XLA has it."""
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    window, stride = (1, 3, 3, 1), (1, 2, 2, 1)
    return jax.lax.reduce_window(features, -jnp.inf, jax.lax.max, window, stride, around)


def upsample(features: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Enlarges bilinearly, by a matrix along each side."""
    _, height, width, _ = features.shape
    # Its entries are exact in bfloat16; the matrix unit would round float32 features to that.
    product = functools.partial(
        jnp.einsum, precision=None if features.dtype == jnp.bfloat16 else "highest"
    )
    rows, columns = (_enlarging(side, factor, features.dtype) for side in (height, width))
    return product("wv,bhvc->bhwc", columns, product("hg,bgwc->bhwc", rows, features))


def _enlarging(size: int, factor: int, dtype: Any) -> Float[Array, "large size"]:
    # Of sizes, too, that an exported program does not know yet.
    places = (jnp.arange(size * factor) + 0.5) / factor - 0.5  # in pixels of the small image
    inside = jnp.clip(places, 0, size - 1)
    distances = jnp.abs(inside[:, None] - jnp.arange(size))
    return jnp.maximum(1 - distances, 0).astype(dtype)
