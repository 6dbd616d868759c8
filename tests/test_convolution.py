"""Convolution and pooling, and their gradients, against JAX's own, which are slow on CPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.ops import winograd
from stm_jax.ops.fast_conv import convolve, for_objects, max_pool
from stm_jax.ops.platforms import as_they_are


def drawn(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 1), (7, 2)])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        pytest.param(5, 3, id="clip by clip"),
        pytest.param(8, 2, id="the gradient slides"),
        pytest.param(2, 40, id="all clips at once"),
    ],
)
def test_convolution_and_its_gradients(
    size: int, stride: int, batch: int, inputs: int, outputs: int
):
    features, kernel = drawn(0, batch, 8, 12, inputs), drawn(1, size, size, inputs, outputs)

    def plain(features: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            features,
            kernel,
            (stride, stride),
            [(size // 2, size // 2)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    expected, expected_pull = jax.vjp(plain, features, kernel)
    found, pull = jax.vjp(lambda f, k: convolve(f, k, stride), features, kernel)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    direction = drawn(2, *expected.shape)
    for ours, theirs in zip(pull(direction), expected_pull(direction), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


@pytest.mark.parametrize("objects", [1, 3])
def test_repeating_for_objects_sums_in_its_gradient(objects: int):
    features = drawn(0, 2, 3, 4, 5)
    found, pull = jax.vjp(lambda f: for_objects(f, objects), features)
    np.testing.assert_array_equal(found, np.stack([features] * objects, axis=1))
    direction = drawn(1, *found.shape)
    np.testing.assert_allclose(pull(direction)[0], direction.sum(axis=1), atol=1e-5)


def test_pooling_and_its_gradient():
    features = drawn(0, 2, 8, 12, 3)

    def plain(features: jax.Array) -> jax.Array:
        window, strides, padding = (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
        return jax.lax.reduce_window(features, -jnp.inf, jax.lax.max, window, strides, padding)

    expected, expected_pull = jax.vjp(plain, features)
    found, pull = jax.vjp(max_pool, features)
    np.testing.assert_array_equal(found, expected)
    direction = drawn(1, *expected.shape)
    np.testing.assert_allclose(pull(direction)[0], expected_pull(direction)[0], atol=1e-6)
    np.testing.assert_array_equal(max_pool(features.astype(jnp.bfloat16)).dtype, jnp.bfloat16)


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 47, 55)], ids=["even", "odd"])
def test_many_pixels_are_convolved_in_fewer_products(shape: tuple[int, int, int]):
    """As exactly as by the plain sum, and its gradients too."""
    features, kernel = drawn(0, *shape, 128), drawn(1, 3, 3, 128, 160)
    assert winograd.pays(features, kernel)
    found, pull = jax.vjp(lambda f, k: convolve(f, k), features, kernel)
    with as_they_are(True):
        expected, expected_pull = jax.vjp(lambda f, k: convolve(f, k), features, kernel)
        assert "platform_index" not in str(jax.make_jaxpr(convolve)(features, kernel))
    np.testing.assert_allclose(found, expected, atol=2e-6 * float(jnp.abs(expected).max()))
    direction = drawn(2, *expected.shape)
    for ours, theirs in zip(pull(direction), expected_pull(direction), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6 * float(jnp.abs(theirs).max()))


def test_accelerators_are_given_convolutions():
    features, kernel = drawn(0, 1, 64, 64, 128), drawn(1, 3, 3, 128, 128)
    for platform, convolutions in (("cpu", 0), ("cuda", 1), ("tpu", 1)):
        lowered = jax.jit(convolve).trace(features, kernel).lower(lowering_platforms=(platform,))
        assert lowered.as_text().count("stablehlo.convolution") == convolutions, platform
