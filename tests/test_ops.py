"""Padding, soft aggregation, others and the memory read, on arrays checked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stm_jax.ops.aggregate import aggregate, others, softmax_over_objects
from stm_jax.ops.padding import Padding, crop, pad, pad_frames, padding_to_stride
from stm_jax.reads import Dense, Slots
from stm_jax.reads.affinity import affinity
from stm_jax.reads.protocol import MemoryView

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def probabilities(log_odds: np.ndarray, present: list[bool]) -> np.ndarray:
    """Aggregates (objects,) log-odds of one pixel; returns (1 + objects,)."""
    logits = aggregate(jnp.asarray(log_odds, jnp.float32)[:, None, None], jnp.asarray(present))
    assert logits.dtype == jnp.float32
    return np.asarray(jax.nn.softmax(logits, axis=0))[:, 0, 0]


def log_odds_of(*p: float) -> np.ndarray:
    return np.log(np.array(p) / (1 - np.array(p)))


@pytest.mark.parametrize(
    "size, padding",
    [
        ((16, 32), (0, 0, 0, 0)),
        ((50, 70), (7, 7, 5, 5)),
        ((31, 17), (0, 1, 7, 8)),  # the odd pixel at the bottom and right
        ((1, 15), (7, 8, 0, 1)),
        ((480, 854), (0, 0, 5, 5)),
    ],
)
def test_padding_puts_the_odd_pixel_at_the_bottom_and_right(size, padding):
    assert padding_to_stride(*size) == Padding(*padding)


def test_padding_is_zeros():
    plane = jnp.asarray([[1, 2], [3, 4]])
    padded = [[0, 0, 0, 0, 0], [0, 0, 1, 2, 0], [0, 0, 3, 4, 0]]
    padding = Padding(top=1, bottom=0, left=2, right=1)
    np.testing.assert_array_equal(pad(plane, padding), padded)
    frames = jnp.stack([plane, 10 * plane, 100 * plane], axis=-1)[None]
    expected = np.stack([padded, 10 * np.array(padded), 100 * np.array(padded)], axis=-1)[None]
    np.testing.assert_array_equal(pad_frames(frames, padding), expected)


@few
@given(st.integers(1, 40), st.integers(1, 40))
def test_crop_undoes_padding(height, width):
    planes = np.arange(2 * height * width).reshape(2, height, width)
    padding = padding_to_stride(height, width)
    padded = np.pad(planes, [(0, 0), padding[:2], padding[2:]])
    assert padded.shape[1] % 16 == padded.shape[2] % 16 == 0
    assert max(padding) <= 8
    np.testing.assert_array_equal(crop(padded, padding), planes)


def test_aggregate_one_object():
    # p = 4/5, background 1/5: the odds 4 and 1/4.
    np.testing.assert_allclose(
        probabilities(log_odds_of(0.8), [True]), [1 / 17, 16 / 17], rtol=1e-6
    )


def test_aggregate_two_objects():
    # Background (1 - 0.8) (1 - 0.5) = 0.1: the odds 1/9, 4 and 1.
    found = probabilities(log_odds_of(0.8, 0.5), [True, True])
    np.testing.assert_allclose(found, [1 / 46, 36 / 46, 9 / 46], rtol=1e-6)


@few
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=5))
def test_aggregate_is_the_original_formula(log_odds):
    p = 1 / (1 + np.exp(-np.array(log_odds)))
    every = np.clip([np.prod(1 - p), *p], 1e-7, 1 - 1e-7)
    odds = every / (1 - every)
    found = probabilities(np.array(log_odds), [True] * len(log_odds))
    np.testing.assert_allclose(found, odds / odds.sum(), atol=1e-6)
    assert abs(found.sum() - 1) < 1e-6


def test_a_padded_object_is_exactly_0_and_changes_nothing():
    alone = probabilities(np.array([0.3, -2.0]), [True, True])
    padded = probabilities(np.array([0.3, 77.0, -2.0, 0.0]), [True, False, True, False])
    assert padded[2] == 0.0 and padded[4] == 0.0
    np.testing.assert_array_equal(padded[[0, 1, 3]], alone)
    nobody = probabilities(np.array([5.0]), [False])
    np.testing.assert_array_equal(nobody, [1, 0])


def test_extreme_log_odds_are_clamped():
    log_odds = jnp.asarray([1e30, -1e30, 0.0])[:, None, None]
    logits = aggregate(log_odds, jnp.ones(3, bool))[:, 0, 0]
    largest = np.log((1 - 1e-7) / 1e-7)  # 16.1
    np.testing.assert_allclose(logits, [-largest, largest, -largest, 0.0], rtol=1e-6)
    sure_background = aggregate(log_odds[1:2], jnp.ones(1, bool))[:, 0, 0]
    np.testing.assert_allclose(sure_background, [largest, -largest], rtol=1e-3)


def test_aggregate_takes_bfloat16_to_float32():
    logits = aggregate(jnp.full((1, 1, 1), 16.0, jnp.bfloat16), jnp.ones(1, bool))
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits[:, 0, 0], [-16.0, 16.0], rtol=1e-5)


def test_the_gradient_of_aggregate_is_finite():
    log_odds = jnp.asarray([-1e4, -20.0, 0.0, 20.0, 1e4, 3.0])[:, None, None]
    present = jnp.asarray([True] * 5 + [False])

    def loss(log_odds: jax.Array) -> jax.Array:
        return -jax.nn.log_softmax(aggregate(log_odds, present), axis=0)[0, 0, 0]

    gradient = np.asarray(jax.grad(loss)(log_odds))[:, 0, 0]
    assert np.isfinite(gradient).all()
    assert gradient[2] > 0 and gradient[5] == 0


def test_others_leaves_out_oneself_and_clamps():
    masks = jnp.asarray([0.5, 0.25, 0.75])[:, None, None]
    np.testing.assert_array_equal(others(masks)[:, 0, 0], [1.0, 1.0, 0.75])
    assert not others(masks[:1]).any()  # nobody else, and the background is not one of them


def test_softmax_runs_over_the_memory_for_each_query_position():
    # Scores over sqrt(4): ln 3 and 0 for the first query position, 0 and 0 for the second.
    query_key = jnp.zeros((1, 2, 4)).at[0, 0, 0].set(2.0).at[0, 1, 1].set(2.0)
    memory_keys = jnp.zeros((1, 1, 2, 4)).at[0, 0, 0, 0].set(jnp.log(3.0))
    memory_values = jnp.asarray([4.0, 8.0]).reshape(1, 1, 2, 1)
    memory = MemoryView(memory_keys, memory_values, jnp.ones(1, bool))
    weights = affinity(query_key, memory)
    np.testing.assert_allclose(weights, [[0.75, 0.25], [0.5, 0.5]], rtol=1e-6)
    for read in (Dense(), Slots()):
        found = read(query_key, memory).values
        np.testing.assert_allclose(
            found, [[[5.0], [6.0]]], rtol=1e-6
        )  # 3/4 4 + 1/4 8; 1/2 4 + 1/2 8


def test_positions_of_all_frames_share_one_softmax():
    query_key = jnp.ones((1, 1, 1))
    memory_keys = jnp.log(jnp.asarray([1.0, 2.0, 5.0])).reshape(3, 1, 1, 1)
    memory_values = jnp.asarray([8.0, 16.0, 24.0]).reshape(3, 1, 1, 1)
    for read in (Dense(), Slots()):
        found = read(query_key, MemoryView(memory_keys, memory_values, jnp.ones(3, bool))).values
        np.testing.assert_allclose(found.item(), (8 + 2 * 16 + 5 * 24) / 8, rtol=1e-6)


def random_memory(seed: int, slots: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a query key (2, 3, 8), memory keys (slots, 2, 3, 8) and values (slots, 2, 3, 5)."""
    rng = np.random.default_rng(seed)
    shapes = ((2, 3, 8), (slots, 2, 3, 8), (slots, 2, 3, 5))
    return tuple(rng.normal(0, 2, shape).astype(np.float32) for shape in shapes)


@pytest.mark.parametrize("read", [Dense(), Slots()], ids=str)
def test_an_empty_slot_weighs_exactly_nothing(read):
    query_key, keys, values = random_memory(0)
    keys[1], values[1] = 0.0, 1000.0
    some = MemoryView(keys, values, jnp.asarray([True, False, True, True]))
    rest = [0, 2, 3]
    alone = read(query_key, MemoryView(keys[rest], values[rest], jnp.ones(3, bool))).values
    np.testing.assert_allclose(read(query_key, some).values, alone, rtol=1e-5, atol=1e-6)
    assert not affinity(query_key, some).reshape(6, 4, 6)[:, 1].any()
    # A slot that is only full of zeros is not empty: exp(0) takes weight.
    full = some._replace(filled=jnp.ones(4, bool))
    assert np.abs(read(query_key, full).values - alone).max() > 1


@few
@given(seeds, st.integers(1, 6))
def test_softmax_over_objects_is_the_softmax(seed, planes):
    logits = 20 * jax.random.normal(jax.random.key(seed), (2, planes, 3, 5))
    logits = logits.at[0, -1].set(jnp.finfo(jnp.float32).min)  # as an absent object's
    expected, pull = jax.vjp(lambda x: jax.nn.softmax(x, axis=1), logits)
    found, pull_found = jax.vjp(softmax_over_objects, logits)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    cotangent = jax.random.normal(jax.random.key(seed + 1), logits.shape)
    np.testing.assert_allclose(pull_found(cotangent)[0], pull(cotangent)[0], atol=1e-5)


@few
@given(seeds, st.permutations(range(4)))
def test_the_order_of_slots_does_not_matter(seed, order):
    query_key, keys, values = random_memory(seed)
    filled = np.array([True, True, False, True])
    memory = MemoryView(keys, values, filled)
    read = Dense()(query_key, memory)
    other = Dense()(query_key, MemoryView(keys[order], values[order], filled[order]))
    np.testing.assert_allclose(read.values, other.values, rtol=1e-5, atol=1e-5)


@few
@given(seeds, st.lists(st.booleans(), min_size=4, max_size=4))
def test_reading_slot_by_slot_is_reading_at_once(seed, filled):
    query_key, keys, values = random_memory(seed)
    values[~np.array(filled)] = 0.0
    memory = MemoryView(keys, values, jnp.asarray(filled))
    dense, by_slot = (read(query_key, memory).values for read in (Dense(), Slots()))
    assert dense.shape == by_slot.shape == (2, 3, 5)
    np.testing.assert_allclose(dense / 8, by_slot / 8, atol=1e-6)  # values reach about 8
    assert np.isfinite(dense).all() and np.isfinite(by_slot).all()
    if not any(filled):
        assert not by_slot.any()


def test_bfloat16_values_are_summed_in_float32():
    # 256 + 1 is 256 in bfloat16: a sum kept in it would stand still.
    keys, values = jnp.zeros((300, 1, 1, 1)), jnp.ones((300, 1, 1, 1), jnp.bfloat16)
    memory = MemoryView(keys, values, jnp.ones(300, bool))
    read = Slots()(jnp.zeros((1, 1, 1)), memory).values
    assert read.dtype == jnp.bfloat16 and read.item() == 1.0
