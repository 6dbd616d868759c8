"""What TPUs are given instead computes the same, and so does its gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.ops import fast_conv, tpu_conv
from stm_jax.ops.platforms import on_tpu

RNG = np.random.default_rng(0)


def drawn(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


OF_OBJECTS = (
    drawn(2, 8, 12, 3),
    drawn(2, 3, 8, 12),
    drawn(2, 3, 8, 12),
    drawn(7, 7, 3, 5),
    drawn(7, 7, 2, 5),
)
PAIRS = {
    "stem of frames": (
        tpu_conv.convolve_at_2,
        fast_conv.stem_of_frames,
        (drawn(2, 16, 12, 3), drawn(7, 7, 3, 5)),
    ),
    "stem of objects": (
        tpu_conv.convolve_objects_at_2,
        fast_conv.stem_of_objects,
        OF_OBJECTS,
    ),
    "stem of objects, plane by plane": (
        tpu_conv.convolve_planes_at_2,
        fast_conv.stem_of_objects,
        OF_OBJECTS,
    ),
    "pooling": (tpu_conv.max_pool, fast_conv.max_pool, (drawn(2, 8, 12, 5),)),
    "enlarging by 2": (
        functools.partial(tpu_conv.upsample, factor=2),
        functools.partial(fast_conv.upsample, factor=2),
        (drawn(2, 6, 5, 3),),
    ),
    "enlarging by 4": (
        functools.partial(tpu_conv.upsample, factor=4),
        functools.partial(fast_conv.upsample, factor=4),
        (drawn(2, 1, 5, 1),),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_are_those_of_other_devices(name):
    tpu, elsewhere, arguments = PAIRS[name]
    ours, backward = jax.vjp(tpu, *arguments)
    theirs, their_backward = jax.vjp(elsewhere, *arguments)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)
    gradient = drawn(*theirs.shape)
    for one, other in zip(backward(gradient), their_backward(gradient), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_one_of_two_functions_is_chosen_by_what_is_compiled_for():
    chosen = on_tpu(lambda a: 2 * a, lambda a: 3 * a)
    assert chosen(jnp.ones(())) == 3
    assert jax.grad(chosen)(jnp.ones(())) == 3
    for platform, factor, other in (("tpu", "2.0", "3.0"), ("cpu", "3.0", "2.0")):
        text = jax.jit(chosen).trace(1.0).lower(lowering_platforms=(platform,)).as_text()
        assert f"dense<{factor}" in text
        assert f"dense<{other}" not in text  # the other is no part of the program


def test_where_a_gradient_is_asked_for_a_third_may_be_chosen_for_both_ways():
    chosen = on_tpu(lambda a: 2 * a, lambda a: 3 * a, with_gradient=lambda a: 5 * a)

    def lowered(function, platform):
        return jax.jit(function).trace(1.0).lower(lowering_platforms=(platform,)).as_text()

    of_both = lowered(jax.value_and_grad(chosen), "tpu")
    assert "dense<5.0" in of_both
    assert "dense<2.0" not in of_both  # else a value and its gradient share nothing
    assert "dense<2.0" in lowered(chosen, "tpu")
    assert "dense<5.0" not in lowered(chosen, "tpu")
    assert jax.grad(chosen)(jnp.ones(())) == 3
