"""Temporary memory of reads, from the compiled programs' own figures."""

import functools

import jax
import jax.numpy as jnp
import pytest

from stm_jax.reads import Chunked, Dense, Slots
from stm_jax.reads.protocol import Answer, MemoryView, Read

HEIGHT, WIDTH, KEY, VALUE = 5, 8, 16, 32
QUERIES = HEIGHT * WIDTH
CHUNK = 64  # not a divisor of the memory's size, so that the last chunk is moved back


def temporary(read: Read, slots: int, with_mass: bool, gradient: bool = False) -> int:
    """Returns the bytes of temporary memory of a compiled read, or of its gradient."""
    frame = (slots, HEIGHT, WIDTH)
    arrays = [(HEIGHT, WIDTH, KEY), (*frame, KEY), (*frame, VALUE)]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in arrays]
    filled = jax.ShapeDtypeStruct((slots,), bool)

    def function(filled, query_key, keys, values):
        return read(query_key, MemoryView(keys, values, filled), with_mass=with_mass)

    last: tuple = ()
    if gradient:
        forward = function

        def function(filled, query_key, keys, values, cotangent):
            of_arrays = functools.partial(forward, filled)
            return jax.vjp(of_arrays, query_key, keys, values)[1](cotangent)

        result = jax.ShapeDtypeStruct((HEIGHT, WIDTH, VALUE), jnp.float32)
        mass = jax.ShapeDtypeStruct(frame, jnp.float32) if with_mass else None
        last = (Answer(result, mass),)
    analysis = jax.jit(function).lower(filled, *arguments, *last).compile().memory_analysis()
    if analysis is None:
        pytest.skip("this backend does not tell how much temporary memory a program takes")
    return analysis.temp_size_in_bytes


@pytest.mark.parametrize("read", [Chunked(CHUNK), Slots()], ids=["chunked", "slots"])
@pytest.mark.parametrize("with_mass", [False, True], ids=["values", "mass"])
def test_temporary_memory_does_not_grow_with_the_slots(read, with_mass):
    few, many = (temporary(read, slots, with_mass) for slots in (6, 100))
    assert many - few < 94  # bytes for 94 slots: not one a slot
    assert many < 4 * 4 * QUERIES * (CHUNK + VALUE)


@pytest.mark.parametrize("with_mass", [False, True], ids=["values", "mass"])
def test_temporary_memory_of_the_gradient_does_not_grow_with_the_slots(with_mass):
    few, many = (temporary(Chunked(CHUNK), slots, with_mass, True) for slots in (6, 100))
    assert many - few < 94


def test_temporary_memory_of_the_dense_read_grows_with_the_slots():
    few, many = (temporary(Dense(), slots, False) for slots in (6, 100))
    assert many - few >= 94 * QUERIES * QUERIES * 4
