"""What holds for every read: its definition, its limits, empty slots, masses and gradients."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stm_jax.reads import Chunked, Dense, Kernelized, Regional, Slots, TopK, Window
from stm_jax.reads.protocol import MemoryView, Read
from tests import slow_reads

HEIGHT, WIDTH, SLOTS = 3, 4, 4
QUERIES = HEIGHT * WIDTH

DEFINITIONS: dict[Any, slow_reads.Weigh] = {
    Dense(): slow_reads.dense,
    Slots(): slow_reads.dense,
    Chunked(7): slow_reads.dense,
    TopK(5): slow_reads.top_k(5),
    Kernelized(0.8): slow_reads.kernelized(0.8),
    Regional(1.0): slow_reads.regional(1.0),
    Window(1): slow_reads.window(1),
}
READS = [*DEFINITIONS, Regional(1.0, zeroed=True)]
WITH_GRADIENT = [read for read in READS if read != Slots()]
LIMITS = [
    Slots(),
    *(Chunked(1), Chunked(5), Chunked(QUERIES), Chunked(10**6)),
    *(TopK(QUERIES * SLOTS), TopK(10**6)),
    *(Kernelized(math.inf), Kernelized(1e30)),
    *(Regional(100.0), Regional(100.0, zeroed=True)),
    *(Window(max(HEIGHT, WIDTH) - 1), Window(10**6)),
]


every_read = pytest.mark.parametrize("read", READS, ids=str)


@functools.partial(jax.jit, static_argnames=("read", "with_mass"))
def ask(read: Read, query_key, memory, expected, with_mass=True):
    return read(query_key, memory, expected, with_mass=with_mass)


@functools.partial(jax.jit, static_argnames="read")
def gradients(read: Read, query_key, memory, expected):
    """Of a sum that weighs every number of values and mass differently."""

    def loss(query_key, keys, values):
        view = memory._replace(keys=keys, values=values)
        answer = read(query_key, view, expected, with_mass=True)
        return sum((jnp.cos(jnp.arange(a.size)) * a.ravel()).sum() for a in answer)

    return jax.grad(loss, argnums=(0, 1, 2))(query_key, memory.keys, memory.values)


def drawn(seed: int, slots: int = SLOTS) -> tuple[np.ndarray, MemoryView, np.ndarray]:
    """Returns a query key, a memory, and where the object is expected."""
    rng = np.random.default_rng(seed)
    query_key = rng.normal(0, 2, (HEIGHT, WIDTH, 6)).astype(np.float32)
    keys = rng.normal(0, 2, (slots, HEIGHT, WIDTH, 6)).astype(np.float32)
    values = rng.uniform(-1, 1, (slots, HEIGHT, WIDTH, 5)).astype(np.float32)
    filled = rng.random(slots) < 0.7
    filled[rng.integers(slots)] = True
    region = rng.random((slots, HEIGHT, WIDTH)) < 0.1
    expected: Any = rng.random((HEIGHT, WIDTH)) < 0.15
    return query_key, MemoryView(keys, values, filled, region), expected


@pytest.mark.parametrize("read", DEFINITIONS, ids=str)
def test_a_read_is_its_definition(read):
    for seed in range(12):
        arguments = drawn(seed)
        values, mass = ask(read, *arguments)
        slow_values, slow_mass = slow_reads.slow_read(DEFINITIONS[read], *arguments)
        np.testing.assert_allclose(values, slow_values, rtol=0, atol=2e-6)
        np.testing.assert_allclose(mass, slow_mass, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("read", LIMITS, ids=str)
def test_the_limit_of_a_read_is_the_dense_read(read):
    for seed in range(5):
        arguments = drawn(seed)
        values, mass = ask(read, *arguments)
        dense_values, dense_mass = ask(Dense(), *arguments)
        np.testing.assert_allclose(values, dense_values, rtol=0, atol=1e-6)
        np.testing.assert_allclose(mass, dense_mass, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("read", LIMITS[1:], ids=str)
def test_the_gradient_of_a_limit_is_that_of_the_dense_read(read):
    arguments = drawn(1)
    for found, dense in zip(
        gradients(read, *arguments), gradients(Dense(), *arguments), strict=True
    ):
        np.testing.assert_allclose(found, dense, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("read", [read for read in DEFINITIONS if read != Slots()], ids=str)
def test_gradients_are_the_slopes_of_the_definition(read):
    query_key, memory, expected = drawn(2)
    found = gradients(read, query_key, memory, expected)

    def loss(*arrays: np.ndarray) -> float:
        view = memory._replace(keys=arrays[1], values=arrays[2])
        pair = slow_reads.slow_read(DEFINITIONS[read], arrays[0], view, expected)
        return sum((np.cos(np.arange(a.size)) * a.ravel()).sum() for a in pair)

    arrays = [a.astype(np.float64) for a in (query_key, *memory[:2])]
    rng = np.random.default_rng(3)
    for index, gradient in enumerate(found):
        direction = np.zeros_like(arrays[index]) + rng.normal(size=arrays[index].shape)
        ends = [
            [*arrays[:index], arrays[index] + step * direction, *arrays[index + 1 :]]
            for step in (-1e-6, 1e-6)
        ]
        slope = (loss(*ends[1]) - loss(*ends[0])) / 2e-6
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-5)
        assert abs(slope) > 1e-2  # so that the comparison means something


@every_read
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(SLOTS)))
def test_the_order_of_slots_does_not_matter(read, seed, order):
    query_key, memory, expected = drawn(seed)
    read_values, mass = ask(read, query_key, memory, expected)
    reordered = MemoryView(*(array[order] for array in memory))
    again, mass_again = ask(read, query_key, reordered, expected)
    np.testing.assert_allclose(again, read_values, rtol=0, atol=2e-6)
    np.testing.assert_allclose(mass_again, mass[jnp.asarray(order)], rtol=2e-6, atol=2e-6)


@every_read
def test_an_empty_slot_weighs_exactly_nothing(read):
    query_key, memory, expected = drawn(4)
    memory = memory._replace(filled=np.array([True, False, True, True]))
    read_values, mass = ask(read, query_key, memory, expected)
    assert not mass[1].any() and mass[0].any() and mass[2].any() and mass[3].any()
    # What an empty slot holds changes nothing, were it ever so tempting.
    memory.keys[1], memory.values[1] = 100 * query_key, 1000.0
    again, mass_again = ask(read, query_key, memory, expected)
    np.testing.assert_array_equal(again, read_values)
    np.testing.assert_array_equal(mass_again, mass)
    full, _ = ask(read, query_key, memory._replace(filled=np.ones(SLOTS, bool)), expected)
    assert np.abs(full - read_values).max() > 1


@every_read
def test_without_the_slots_that_are_empty_it_reads_the_same(read):
    query_key, memory, expected = drawn(5)
    memory = memory._replace(filled=np.array([False, True, True, False]))
    read_values, mass = ask(read, query_key, memory, expected)
    rest = MemoryView(*(array[1:3] for array in memory))
    alone, mass_alone = ask(read, query_key, rest, expected)
    np.testing.assert_allclose(read_values, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose(mass[1:3], mass_alone, rtol=1e-6, atol=1e-6)


@every_read
def test_the_mass_sums_to_the_number_of_query_positions(read):
    for seed in range(5):
        _, mass = ask(read, *drawn(seed))
        assert mass.shape == (SLOTS, HEIGHT, WIDTH) and mass.dtype == jnp.float32
        np.testing.assert_allclose(mass.sum(), QUERIES, rtol=1e-6)
        assert mass.min() >= 0


@every_read
def test_without_mass_the_values_are_the_same(read):
    arguments = drawn(6)
    values, mass = ask(read, *arguments, with_mass=False)
    assert mass is None
    np.testing.assert_array_equal(values, ask(read, *arguments).values)


@every_read
def test_an_empty_memory_reads_zero(read):
    query_key, memory, expected = drawn(7)
    nothing = memory._replace(filled=np.zeros(SLOTS, bool))
    read_values, mass = ask(read, query_key, nothing, expected)
    assert not read_values.any() and not mass.any()


@pytest.mark.parametrize("read", WITH_GRADIENT, ids=str)
def test_the_gradient_of_an_empty_memory_is_zero(read):
    query_key, memory, expected = drawn(7)
    nothing = memory._replace(filled=np.zeros(SLOTS, bool))
    for gradient in gradients(read, query_key, nothing, expected):
        np.testing.assert_array_equal(gradient, 0.0)


@every_read
def test_objects_are_mapped_and_a_padded_one_reads_zero(read):
    objects = [drawn(seed) for seed in (8, 9, 10)]
    query_key = objects[0][0]
    memory: Any = jax.tree.map(lambda *arrays: np.stack(arrays), *(o[1] for o in objects))
    expected = np.stack([o[2] for o in objects])
    memory.filled[2] = False  # the padded object
    memory.keys[2], memory.values[2] = 0.0, 0.0

    @jax.jit
    def ask_all(*arrays):
        return jax.vmap(functools.partial(ask, read, query_key))(*arrays)

    together, masses = ask_all(memory, expected)
    for index in range(3):
        of_object = MemoryView(*(array[index] for array in memory))
        alone, mass = ask(read, query_key, of_object, expected[index])
        np.testing.assert_allclose(together[index], alone, rtol=0, atol=1e-6)
        np.testing.assert_allclose(masses[index], mass, rtol=1e-6, atol=1e-6)
    assert not together[2].any() and not masses[2].any()


def halved(arguments: tuple[np.ndarray, MemoryView, np.ndarray]) -> tuple[Any, Any, Any]:
    """Returns query key and memory rounded to bfloat16, the same as float32, and the rest."""
    query_key, memory, expected = arguments
    half = [jnp.asarray(a, jnp.bfloat16) for a in (query_key, *memory[:2])]
    both = (half, [a.astype(jnp.float32) for a in half])
    pairs = ((q, memory._replace(keys=keys, values=values)) for q, keys, values in both)
    return *pairs, expected


@every_read
def test_bfloat16_keys_and_values_have_a_float32_softmax(read):
    half, full, expected = halved(drawn(11))
    read_values, mass = ask(read, *half, expected)
    exact, exact_mass = ask(read, *full, expected)
    assert read_values.dtype == jnp.bfloat16 and mass.dtype == jnp.float32
    np.testing.assert_allclose(mass, exact_mass, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(read_values.astype(jnp.float32), exact, rtol=0, atol=1e-2)


@pytest.mark.parametrize("read", WITH_GRADIENT, ids=str)
def test_gradients_of_bfloat16_are_bfloat16_and_near(read):
    half, full, expected = halved(drawn(12))
    found = gradients(read, *half, expected)
    exact = gradients(read, *full, expected)
    for gradient, wanted in zip(found, exact, strict=True):
        assert gradient.dtype == jnp.bfloat16
        difference = np.abs(gradient.astype(jnp.float32) - wanted).max()
        assert difference <= 2e-2 * np.abs(wanted).max()
