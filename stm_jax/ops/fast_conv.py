"""The network's array functions, written so that XLA is quick with them on CPUs and TPUs.

Convolution and pooling have PyTorch's padding, explicit everywhere: 'SAME' differs from PyTorch at
stride 2. The layout is NHWC, kernels are HWIO. Whatever is formulated otherwise than the network
would have it, only because XLA's own way is slow, is here, in `winograd.py` and in
`tpu_conv.py`, nowhere else.
"""

import functools
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.ops import tpu_conv, winograd
from stm_jax.ops.platforms import as_they_are, on_tpu

LAYOUT = ("NHWC", "HWIO", "NHWC")


def same_padding(size: int) -> list[tuple[int, int]]:
    """Returns PyTorch's padding of size // 2 on each side, for both axes."""
    return [(size // 2, size // 2)] * 2


def convolve(
    features: Float[Array, "b h w i"], kernel: Float[Array, "kh kw i o"], stride: int = 1
) -> Float[Array, "b h2 w2 o"]:
    """Convolves in the dtype of `features`, padded as PyTorch pads."""
    kernel = kernel.astype(features.dtype)
    if kernel.shape[:2] == (1, 1):
        return _product(features[:, ::stride, ::stride], kernel[0, 0])
    return _at_stride_1(features, kernel) if stride == 1 else _plain(features, kernel, stride)


def _plain(features: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return jax.lax.conv_general_dilated(
        features,
        kernel,
        window_strides=(stride, stride),
        padding=same_padding(kernel.shape[0]),
        dimension_numbers=LAYOUT,
    )


@jax.custom_vjp
def _product(features: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 1x1 convolution; XLA would take the gradient of one for a convolution as well."""
    return features @ kernel


def _product_forward(features: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple]:
    return features @ kernel, (features, kernel)


def _product_backward(kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple:
    features, kernel = kept
    # JAX would ask for the transpose of this, for which XLA first transposes the gradient.
    flat_features = features.reshape(-1, features.shape[-1])
    flat_gradient = gradient.reshape(-1, gradient.shape[-1])
    of_kernel = jax.lax.dot_general(flat_features, flat_gradient, (((0,), (0,)), ((), ())))
    return gradient @ kernel.T, of_kernel


_product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def _at_stride_1(features: jax.Array, kernel: jax.Array) -> jax.Array:
    return _quickest(features, kernel)


def _quickest(features: jax.Array, kernel: jax.Array) -> jax.Array:
    plain = functools.partial(_plain, stride=1)
    if as_they_are.value or not winograd.pays(features, kernel):
        return plain(features, kernel)
    return jax.lax.platform_dependent(features, kernel, cpu=winograd.winograd, default=plain)


def _forward(features: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple]:
    return _quickest(features, kernel), (features, kernel)


def _backward(kept: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple:
    features, kernel = kept

    def for_kernel(features: jax.Array, gradient: jax.Array) -> jax.Array:
        (found,) = jax.linear_transpose(lambda k: _plain(features, k, 1), kernel)(gradient)
        return found

    of_features = _quickest(gradient, kernel[::-1, ::-1].swapaxes(2, 3))
    of_kernel = jax.lax.platform_dependent(
        features,
        gradient,
        cpu=lambda f, g: _kernel_gradient(f, g, kernel.shape[0]),
        default=for_kernel,
    )
    return of_features, of_kernel


_at_stride_1.defvjp(_forward, _backward)


def _kernel_gradient(
    features: Float[Array, "b h w i"], gradient: Float[Array, "b h w o"], size: int
) -> Float[Array, "size size i o"]:
    """Returns the kernel's gradient, on a CPU up to four times as fast as XLA's own."""
    if gradient.shape[-1] * 4 > features.shape[-1]:
        return _by_columns(features, gradient, size)
    # What slides should not have many more channels; the shifts are then the other way round.
    turned_about = _by_columns(gradient, features, size)  # (size, size, o, i)
    return turned_about[::-1, ::-1].transpose(0, 1, 3, 2)


def _by_columns(
    features: Float[Array, "b h w i"], gradient: Float[Array, "b h w o"], size: int
) -> Float[Array, "size size i o"]:
    """Sums features times gradient over clips and positions, for each shift of the two.

    XLA slides the whole gradient over the whole image in two dimensions, in steps that sum over
    the clips alone. Here it slides along the height, and sums over the width in each step.
    """
    margin = size // 2
    sides = ((0, 0), (margin, margin), (0, 0), (margin, margin))

    def of_clips(features: jax.Array, gradient: jax.Array) -> Float[Array, "size*i size o"]:
        clips, height, width, inputs = features.shape
        turned = jnp.pad(features.transpose(3, 1, 0, 2), sides)  # (i, h + 2 * margin, b, ...)
        shape = (inputs, height + 2 * margin, clips * width)
        columns = [turned[..., column : column + width].reshape(shape) for column in range(size)]
        return jax.lax.conv_general_dilated(
            jnp.concatenate(columns),  # (size * i, h + 2 * margin, b * w)
            gradient.transpose(1, 0, 2, 3).reshape(height, clips * width, -1),  # (h, b * w, o)
            window_strides=(1,),
            padding=[(0, 0)],
            dimension_numbers=("NWC", "WIO", "NWC"),
        )

    clips, height, width, inputs = features.shape
    outputs = gradient.shape[-1]
    if clips == 1 or clips * height * width < size * size * outputs:
        total = of_clips(features, gradient)
    else:
        # Clip by clip, where the features are more than the sum: from within a loop XLA does not
        # compute them anew while it transposes them, where each read would miss the cache.
        def add(clip: jax.Array, total: jax.Array) -> jax.Array:
            one = (jax.lax.dynamic_slice_in_dim(a, clip, 1) for a in (features, gradient))
            return total + of_clips(*one)

        zeros = jnp.zeros((size * inputs, size, outputs), features.dtype)
        total = jax.lax.fori_loop(0, clips, add, zeros)
    return total.reshape(size, inputs, size, -1).transpose(2, 0, 1, 3)


def stem_of_frames(
    frames: Float[Array, "b h w 3"], kernel: Float[Array, "7 7 3 o"]
) -> Float[Array, "b h2 w2 o"]:
    """Convolves frames with the stem's kernel, at stride 2, in their dtype."""

    def plain(frames: jax.Array, kernel: jax.Array) -> jax.Array:
        return convolve(frames, kernel, stride=2)

    return on_tpu(tpu_conv.convolve_at_2, plain)(frames, kernel.astype(frames.dtype))


def stem_of_objects(
    frames: Float[Array, "b h w 3"],
    masks: Float[Array, "b o h w"],
    others: Float[Array, "b o h w"],
    frame_kernel: Float[Array, "7 7 3 c"],
    plane_kernel: Float[Array, "7 7 2 c"],
) -> Float[Array, "b*o h2 w2 c"]:
    """Convolves each frame together with its objects' planes, at stride 2, in its dtype."""

    def apart(
        frames: jax.Array,
        masks: jax.Array,
        others: jax.Array,
        frame_kernel: jax.Array,
        plane_kernel: jax.Array,
    ) -> jax.Array:
        # The frame's part is the same for every object, so it is convolved once.
        frame_part = convolve(frames, frame_kernel, stride=2)
        planes = jnp.stack([masks, others], axis=-1)
        batch, objects, height, width, _ = planes.shape
        planes = planes.reshape(batch * objects, height, width, 2)  # (b, o, ...) -> (b*o, ...)
        plane_part = convolve(planes, plane_kernel, stride=2)
        return for_objects(frame_part, objects).reshape(plane_part.shape) + plane_part

    given = (each.astype(frames.dtype) for each in (masks, others, frame_kernel, plane_kernel))
    chosen = on_tpu(
        tpu_conv.convolve_planes_at_2, apart, with_gradient=tpu_conv.convolve_objects_at_2
    )
    return chosen(frames, *given)


def max_pool(features: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """The largest of 3x3, at stride 2, padded as PyTorch pads; h and w are even.

    Written as maxima of slices, because XLA's windowed maximum has a slow gradient on CPUs; on
    TPUs slices at a stride are slow.
    """

    def by_slices(features: jax.Array) -> jax.Array:
        return _max_along(_max_along(features, 1), 2)

    return on_tpu(tpu_conv.max_pool, by_slices)(features)


def _max_along(features: jax.Array, axis: int) -> jax.Array:
    size = features.shape[axis]
    even = jax.lax.slice_in_dim(features, 0, size, 2, axis)
    odd = jax.lax.slice_in_dim(features, 1, size, 2, axis)
    # The first window holds its even pixel twice, which is as good as padding.
    first = jax.lax.slice_in_dim(even, 0, 1, 1, axis)
    odd_before = jnp.concatenate(
        [first, jax.lax.slice_in_dim(odd, 0, size // 2 - 1, 1, axis)], axis
    )
    return jnp.maximum(jnp.maximum(even, odd), odd_before)


def upsample(features: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Enlarges bilinearly, as PyTorch does with `align_corners=False`.

    Written as sums of shifted copies: `jax.image.resize` multiplies by a matrix a side, which
    takes five times as long on CPUs, and half as long on TPUs.
    """

    def by_copies(features: jax.Array) -> jax.Array:
        return _upsample_along(_upsample_along(features, factor, 1), factor, 2)

    return on_tpu(functools.partial(tpu_conv.upsample, factor=factor), by_copies)(features)


def _upsample_along(features: jax.Array, factor: int, axis: int) -> jax.Array:
    size = features.shape[axis]
    slice_of = functools.partial(jax.lax.slice_in_dim, axis=axis)
    before = jnp.concatenate([slice_of(features, 0, 1), slice_of(features, 0, size - 1)], axis)
    after = jnp.concatenate([slice_of(features, 1, size), slice_of(features, size - 1, size)], axis)
    phases = []
    for phase in range(factor):
        shift = (phase + 0.5) / factor - 0.5  # from the middle of the pixel enlarged, in pixels
        beside = before if shift < 0 else after
        phases.append((1 - abs(shift)) * features + abs(shift) * beside)
    shape = (*features.shape[:axis], size * factor, *features.shape[axis + 1 :])
    return jnp.stack(phases, axis + 1).reshape(shape)


def for_objects(features: Float[Array, "b *s"], objects: int) -> Float[Array, "b o *s"]:
    """Repeats the features of a frame for each of its objects.

    As broadcasting does, whose gradient is one sum over the objects' axis. XLA takes fifteen
    times as long for that on a CPU as for adding the objects one by one, which this does.
    """
    return cast(jax.Array, _repeated(features, objects))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _repeated(features: jax.Array, objects: int) -> jax.Array:
    shape = (features.shape[0], objects, *features.shape[1:])
    return jnp.broadcast_to(features[:, None], shape)


def _repeated_forward(features: jax.Array, objects: int) -> tuple[jax.Array, None]:
    return _repeated(features, objects), None


def _repeated_backward(objects: int, _: None, gradient: jax.Array) -> tuple[jax.Array]:
    return (functools.reduce(jnp.add, jnp.unstack(gradient, axis=1)),)


_repeated.defvjp(_repeated_forward, _repeated_backward)
