"""Every similarity in every read, by definitions in NumPy."""

import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import stm_jax
from stm_jax.catalogue import SIMILARITIES, chosen_similarity, entries
from stm_jax.reads import Chunked, Dense, Slots
from stm_jax.reads.protocol import MemoryView, Read
from stm_jax.similarities import AnisotropicL2, Cosine, DotProduct, Gated, NegativeL2
from stm_jax.similarities.protocol import Similarity
from tests import slow_reads
from tests.test_reads import DEFINITIONS, HEIGHT, READS, SLOTS, WIDTH

C = 6
LOG_SCALE = 1.2


def negative_l2(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    away = np.square(q[:, :, None, None, None] - k).sum(axis=-1)
    return -away / math.sqrt(C)


def anisotropic_l2(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of keys with the heads' outputs behind them."""
    shrinkage, selection = k[..., C] ** 2 + 1, expit(q[..., C:])
    away = np.square(q[:, :, None, None, None, :C] - k[..., :C])
    return -shrinkage * (selection[:, :, None, None, None] * away).sum(axis=-1) / math.sqrt(C)


def cosine(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of query keys with the logarithm of 1 / temperature behind them."""
    lengths = np.linalg.norm(q[..., :C], axis=-1)[:, :, None, None, None]
    dots = np.einsum("yxc,tijc->yxtij", q[..., :C], k)
    return dots / lengths / np.linalg.norm(k, axis=-1) * np.exp(q[0, 0, C])


ALIKE: dict[Similarity, Callable] = {
    DotProduct(): slow_reads.dot_product,
    NegativeL2(): negative_l2,
    AnisotropicL2(): anisotropic_l2,
    Cosine(): cosine,
    Gated(): lambda q, k: slow_reads.dot_product(q, k[..., :C]),
}
MORE = {AnisotropicL2(): C, Cosine(): 1}  # channels behind a query key: heads' outputs, or numbers

every_similarity = pytest.mark.parametrize("similarity", ALIKE, ids=lambda s: type(s).__name__)
every_read = pytest.mark.parametrize("read", READS, ids=str)
defined_read = pytest.mark.parametrize("read", DEFINITIONS, ids=str)


def drawn(similarity: Similarity, seed: int) -> tuple[np.ndarray, MemoryView, np.ndarray]:
    """Returns query keys with what is learnt behind them, a memory, and where the object is."""
    rng = np.random.default_rng(seed)
    q = rng.normal(0, 1, (HEIGHT, WIDTH, C + MORE.get(similarity, 0))).astype(np.float32)
    if similarity == Cosine():
        q[..., C] = LOG_SCALE
    remembered = C + sum(similarity.memory_heads(C).values())
    keys = rng.normal(0, 1, (SLOTS, HEIGHT, WIDTH, remembered)).astype(np.float32)
    values = rng.uniform(-1, 1, (SLOTS, HEIGHT, WIDTH, 5)).astype(np.float32)
    region = rng.random((SLOTS, HEIGHT, WIDTH)) < 0.1
    filled = np.array([True, False, True, True])
    expected: Any = rng.random((HEIGHT, WIDTH)) < 0.15
    return q, MemoryView(keys, values, filled, region), expected


def features_of(similarity: Similarity, q: Any) -> jax.Array:
    """Returns the query's features, as the network makes them."""
    learnt = dict.fromkeys(similarity.query_heads(C), q[..., C:])
    learnt |= {name: q[0, 0, C] for name in similarity.numbers()}
    return similarity.of_query(q[..., :C], learnt)


@functools.partial(jax.jit, static_argnames=("similarity", "read"))
def ask(similarity: Similarity, read: Read, q, memory, expected):
    view = similarity.view(memory, C)
    return read(features_of(similarity, q), view, expected, with_mass=True)


@functools.partial(jax.jit, static_argnames=("similarity", "read"))
def gradients(similarity: Similarity, read: Read, q, memory, expected):
    """Of a sum that weighs every number of values and mass differently."""

    def loss(q, keys, values):
        view = memory._replace(keys=keys, values=values)
        answer = ask(similarity, read, q, view, expected)
        return sum((jnp.cos(jnp.arange(a.size)) * a.ravel()).sum() for a in answer)

    return jax.grad(loss, argnums=(0, 1, 2))(q, memory.keys, memory.values)


@every_similarity
@defined_read
def test_scores_are_the_definition_in_every_read(similarity, read):
    for seed in range(4):
        arguments = drawn(similarity, seed)
        values, mass = ask(similarity, read, *arguments)
        alike = ALIKE[similarity]
        slow_values, slow_mass = slow_reads.slow_read(DEFINITIONS[read], *arguments, alike)
        np.testing.assert_allclose(values, slow_values, rtol=0, atol=5e-6)
        np.testing.assert_allclose(mass, slow_mass, rtol=5e-6, atol=5e-6)


@every_similarity
@pytest.mark.parametrize("read", [Slots(), Chunked(5), Chunked(10**6)], ids=str)
def test_chunks_and_slots_read_as_all_at_once(similarity, read):
    for seed in range(4):
        arguments = drawn(similarity, seed)
        values, mass = ask(similarity, read, *arguments)
        dense_values, dense_mass = ask(similarity, Dense(), *arguments)
        np.testing.assert_allclose(values, dense_values, rtol=0, atol=1e-6)
        np.testing.assert_allclose(mass, dense_mass, rtol=1e-6, atol=1e-6)


@every_similarity
@pytest.mark.parametrize("read", [read for read in DEFINITIONS if read != Slots()], ids=str)
def test_gradients_are_the_slopes_of_the_definition(similarity, read):
    """Of the query's keys and heads or temperature, the memory's keys and head, and the values."""
    q, memory, expected = drawn(similarity, 2)
    found = gradients(similarity, read, q, memory, expected)

    def loss(*arrays: np.ndarray) -> float:
        view = memory._replace(keys=arrays[1], values=arrays[2])
        alike = ALIKE[similarity]
        pair = slow_reads.slow_read(DEFINITIONS[read], arrays[0], view, expected, alike)
        return sum((np.cos(np.arange(a.size)) * a.ravel()).sum() for a in pair)

    arrays = [a.astype(np.float64) for a in (q, *memory[:2])]
    rng = np.random.default_rng(3)
    of_keys, of_more = [np.s_[..., :C], np.s_[..., C:]], similarity.memory_heads(C)
    if similarity == Gated():  # whose head is of no score
        assert not found[1][of_keys[1]].any()
        of_more = {}
    places = [(0, of_keys[0]), (1, of_keys[0]), (2, np.s_[...])]
    places += [(0, of_keys[1])] * (similarity in MORE) + [(1, of_keys[1])] * len(of_more)
    for index, place in places:
        direction = np.zeros_like(arrays[index])
        drawn_there = rng.normal(size=direction[place].shape)
        single = similarity == Cosine() and index == 0 and place == of_keys[1]
        direction[place] = 1.0 if single else drawn_there
        ends = [
            [*arrays[:index], arrays[index] + step * direction, *arrays[index + 1 :]]
            for step in (-1e-6, 1e-6)
        ]
        slope = (loss(*ends[1]) - loss(*ends[0])) / 2e-6
        np.testing.assert_allclose((found[index] * direction).sum(), slope, rtol=1e-4, atol=1e-5)
        assert abs(slope) > 1e-3  # so that the comparison means something


@every_similarity
@every_read
def test_what_an_empty_slot_holds_changes_nothing(similarity, read):
    q, memory, expected = drawn(similarity, 4)
    values, mass = ask(similarity, read, q, memory, expected)
    assert not mass[1].any() and mass[0].any() and mass[2].any() and mass[3].any()
    memory.keys[1, ..., :C], memory.values[1] = q[..., :C], 1000.0  # ever so tempting
    again, mass_again = ask(similarity, read, q, memory, expected)
    np.testing.assert_array_equal(again, values)
    np.testing.assert_array_equal(mass_again, mass)
    full = ask(similarity, read, q, memory._replace(filled=np.ones(SLOTS, bool)), expected)
    assert np.abs(full.values - values).max() > 1


@every_similarity
@every_read
def test_the_order_of_slots_does_not_matter(similarity, read):
    q, memory, expected = drawn(similarity, 5)
    order = np.array([2, 0, 3, 1])
    reordered = MemoryView(*(array[order] for array in memory))
    # To the bit here, and so whatever a read makes of it.
    features = similarity.view(memory, C).keys
    np.testing.assert_array_equal(similarity.view(reordered, C).keys, features[order])
    values, mass = ask(similarity, read, q, memory, expected)
    again, mass_again = ask(similarity, read, q, reordered, expected)
    np.testing.assert_allclose(again, values, rtol=0, atol=2e-6)
    np.testing.assert_allclose(mass_again, mass[order], rtol=2e-6, atol=2e-6)


@every_similarity
def test_keys_of_zero_have_finite_gradients(similarity):
    q, memory, expected = drawn(similarity, 6)
    q[0, 0, :C], memory.keys[0, 1] = 0.0, 0.0
    for read in (Dense(), Chunked(5)):
        for gradient in gradients(similarity, read, q, memory, expected):
            assert np.isfinite(gradient).all()


def test_the_dot_product_leaves_keys_as_they_are():
    q, memory, _ = drawn(DotProduct(), 7)
    assert features_of(DotProduct(), q).dtype == q.dtype
    assert DotProduct().of_query(q, {}) is q
    assert all(a is b for a, b in zip(DotProduct().view(memory, C), memory, strict=True))


@pytest.mark.parametrize("similarity", [s for s in ALIKE if s != DotProduct()], ids=str)
def test_half_precision_keys_are_compared_in_single(similarity):
    q, memory, expected = drawn(similarity, 8)
    half = [jnp.asarray(a, jnp.bfloat16) for a in (q, memory.keys)]
    single = [a.astype(jnp.float32) for a in half]
    log_scale = single[0] if similarity == Cosine() else half[0]  # parameters stay float32
    found = ask(similarity, Dense(), log_scale, memory._replace(keys=half[1]), expected)
    exact = ask(similarity, Dense(), single[0], memory._replace(keys=single[1]), expected)
    np.testing.assert_allclose(found.mass, exact.mass, rtol=1e-6, atol=1e-6)


def test_a_temperature_has_a_floor():
    key = jnp.ones(C)
    at = [Cosine().of_query(key, {"log_scale": jnp.float32(v)}).max() for v in (4.60, 4.61, 9)]
    np.testing.assert_allclose(at[1:], 100, rtol=1e-5)
    assert at[0] < 99.6
    with pytest.raises(ValueError, match=r"at least 0\.01"):
        Cosine(0.001)


def test_every_similarity_of_the_package_is_tested_here():
    kinds = {entry.kind for entry in entries(SIMILARITIES)}
    assert kinds == {type(similarity) for similarity in ALIKE}


def test_what_is_no_similarity_is_told(tmp_path: pathlib.Path):
    (tmp_path / "own.py").write_text("class Mine:\n    pass\n")
    with pytest.raises(stm_jax.InputError, match="is no Similarity: derive it from"):
        chosen_similarity((f"{tmp_path / 'own.py'}:Mine",))
    assert chosen_similarity(()) == DotProduct()
    assert chosen_similarity(("cosine", "temperature=0.05")) == Cosine(0.05)
