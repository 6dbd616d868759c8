"""The reads with knobs on memories so small that the answers are written out."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.ops.regions import boxes, object_positions
from stm_jax.reads import Chunked, Dense, Kernelized, Regional, Slots, TopK, Window
from stm_jax.reads.protocol import MemoryView, Read
from stm_jax.reads.top_k import kth_largest


def read_row(
    read: Read,
    query: list[float],
    odds: list,
    values: list,
    region: np.ndarray | None = None,
    expected: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads slots of one row each with keys of one channel, ln(odds); both a list a slot.

    A query position of key 1 gives each memory position its odds, one of key 0 gives all alike.
    """
    keys = jnp.log(jnp.asarray(odds, jnp.float32))[:, None, :, None]
    values_here = jnp.asarray(values, jnp.float32)[:, None, :, None]
    memory = MemoryView(keys, values_here, jnp.ones(len(odds), bool), region)
    query_key = jnp.asarray(query, jnp.float32)[None, :, None]
    found, mass = jax.jit(functools.partial(read, with_mass=True))(query_key, memory, expected)
    return np.asarray(found)[0, :, 0], np.asarray(mass)[:, 0]


@pytest.mark.parametrize(
    "read",
    [Dense(), Slots(), Chunked(1), Chunked(2)],
    ids=["dense", "slots", "one by one", "by twos"],
)
def test_dense_reads_weigh_all_positions_of_all_slots(read):
    found, mass = read_row(read, [1, 0], [[1, 2], [5, 2]], [[10, 20], [30, 40]])
    np.testing.assert_allclose(found, [(10 + 40 + 150 + 80) / 10, 25], rtol=1e-6)
    quarter = 1 / 4
    np.testing.assert_allclose(
        mass, [[0.1 + quarter, 0.2 + quarter], [0.5 + quarter, 0.2 + quarter]], rtol=1e-6
    )


def test_top_two_of_three():
    found, mass = read_row(TopK(2), [1], [[1, 2, 5]], [[8, 16, 24]])
    np.testing.assert_allclose(found, [(2 * 16 + 5 * 24) / 7], rtol=1e-6)
    np.testing.assert_allclose(mass, [[0, 2 / 7, 5 / 7]], rtol=1e-6)


def test_each_query_position_has_its_own_top():
    found, mass = read_row(TopK(1), [1, -1], [[1, 2], [5, 4]], [[8, 16], [24, 32]])
    np.testing.assert_allclose(found, [24, 8], rtol=1e-6)
    np.testing.assert_array_equal(mass, [[1, 0], [1, 0]])


def test_all_that_tie_with_the_kth_are_read():
    found, mass = read_row(TopK(2), [1], [[1, 2], [2, 4]], [[0, 10], [20, 30]])
    np.testing.assert_allclose(found, [(2 * 10 + 2 * 20 + 4 * 30) / 8], rtol=1e-6)
    np.testing.assert_allclose(mass, [[0, 0.25], [0.25, 0.5]], rtol=1e-6)


def test_fewer_filled_positions_than_k_are_all_read():
    keys, values = jnp.ones((3, 1, 2, 1)), jnp.arange(6.0).reshape(3, 1, 2, 1)
    memory = MemoryView(keys, values, jnp.array([False, True, False]))
    found, mass = TopK(3)(jnp.ones((1, 1, 1)), memory, with_mass=True)
    np.testing.assert_allclose(found, [[[2.5]]], rtol=1e-6)
    np.testing.assert_allclose(mass[:, 0], [[0, 0], [0.5, 0.5], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 30, 299, 300])
def test_the_kth_largest_is_that_of_a_sorted_row(k):
    rng = np.random.default_rng(k)
    rows = rng.normal(size=(50, 300)).astype(np.float32)
    rows[10:20] = rng.integers(-2, 3, (10, 300))  # ties
    rows[20:30] = np.where(rng.random((10, 300)) < 0.5, -np.inf, rows[20:30])
    rows[30] = -np.inf
    rows[31:40].sort(axis=1)  # the best ones all in one block
    found = jax.jit(kth_largest, static_argnums=1)(rows, k)
    np.testing.assert_array_equal(found, np.sort(rows, axis=1)[:, -k])


def test_a_memory_position_is_read_around_the_query_position_that_fits_it_best():
    # At a distance of 1 the kernel is 1/2, of 2 it is 1/16. The first memory position fits query
    # position 0 best, the second fits the last one: with odds 3 and 1/3 for a key of 1.
    sigma = 1 / math.sqrt(2 * math.log(2))
    found, mass = read_row(Kernelized(sigma), [1, 0, 0], [[3, 1 / 3]], [[19, 38]])
    # The second fits positions 1 and 2 alike, and the first of them counts: kernels 1/2, 1, 1/2.
    weights = np.array([[3, 1 / 3 / 2], [1 / 2, 1], [1 / 16, 1 / 2]])
    weights = weights / weights.sum(axis=1, keepdims=True)
    assert weights[0].tolist() == pytest.approx([18 / 19, 1 / 19])
    np.testing.assert_allclose(found, weights @ [19, 38], rtol=1e-6)
    np.testing.assert_allclose(mass, [weights.sum(axis=0)], rtol=1e-6)


def test_a_narrow_kernel_does_not_divide_nothing_by_nothing():
    # Query position 39 is the best of no memory position; exp of its log kernels is 0.
    query = [2.0, *[1.0] * 39]
    found, mass = read_row(Kernelized(0.01), query, [[2, 4]], [[8, 16]])
    np.testing.assert_allclose(found[-1], (2 * 8 + 4 * 16) / 6, rtol=1e-6)
    np.testing.assert_allclose(mass.sum(), 40, rtol=1e-6)


def row(*places: int) -> np.ndarray:
    plane = np.zeros((1, 5), bool)
    plane[0, list(places)] = True
    return plane


ODDS, VALUES = [[1, 1, 1, 1, 3]], [[9, 9, 9, 4, 8]]


def test_regions_meet():
    # With the margin: query positions 0 and 1, memory positions 3 and 4.
    found, mass = read_row(Regional(1), [1] * 5, ODDS, VALUES, row(4)[None], row(0))
    inside, outside = (4 + 3 * 8) / 4, (4 + 8) / 2
    np.testing.assert_allclose(found, [inside, inside, outside, outside, outside], rtol=1e-6)
    np.testing.assert_allclose(mass, [[0, 0, 0, 2 / 4 + 3 / 2, 2 * 3 / 4 + 3 / 2]], rtol=1e-6)


def test_regions_as_in_the_authors_code():
    read = Regional(1, zeroed=True)
    found, mass = read_row(read, [1] * 5, ODDS, VALUES, row(4)[None], row(0))
    # Three positions with the value 0 keep the weight of a score of 0.
    inside, outside = (4 + 3 * 8) / 7, (4 + 8) / 5
    np.testing.assert_allclose(found, [inside, inside, outside, outside, outside], rtol=1e-6)
    np.testing.assert_allclose(mass.sum(), 5, rtol=1e-6)


def test_a_region_of_no_position_is_everything():
    found, _ = read_row(Regional(0), [1] * 5, ODDS, VALUES, row()[None], row())
    np.testing.assert_allclose(found, read_row(Dense(), [1] * 5, ODDS, VALUES)[0], rtol=1e-6)


def test_regions_belong_to_slots():
    region, expected = np.array([[[True, False]], [[False, True]]]), np.ones((1, 1), bool)
    odds, values = [[1, 5], [7, 3]], [[10, 20], [30, 40]]
    found, mass = read_row(Regional(0), [1], odds, values, region, expected)
    np.testing.assert_allclose(found, [(10 + 3 * 40) / 4], rtol=1e-6)
    np.testing.assert_allclose(mass, [[0.25, 0], [0, 0.75]], rtol=1e-6)


def test_a_box_has_a_margin_and_rounded_corners():
    plane = np.zeros((5, 7), bool)
    plane[2, 2] = plane[1, 4] = True
    drawn = [
        "..###..",
        ".#####.",
        ".#####.",
        "..###..",
        ".......",
    ]
    found = np.asarray(boxes(plane, margin=1.0))
    assert ["".join(".#"[place] for place in line) for line in found.astype(int)] == drawn
    np.testing.assert_array_equal(boxes(plane)[1:3, 2:5], True)
    assert boxes(plane).sum() == 6
    both = boxes(np.stack([plane, np.zeros_like(plane)]), margin=1.0)
    np.testing.assert_array_equal(both[0], found)
    assert both[1].all()


def test_positions_of_an_object_have_a_pixel_of_it():
    masks = np.full((2, 32, 48), 0.4, np.float32)
    masks[0, 15, 16] = masks[1, 31, 47] = 0.5
    places = object_positions(masks)
    assert places[0].tolist() == [[False, True, False], [False] * 3]
    assert places[1].tolist() == [[False] * 3, [False, False, True]]


def test_a_window_moves_with_the_query_position():
    odds, values = [[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 2, 4, 8], [10, 20, 40, 80]]
    found, mass = read_row(Window(1), [1, 0, 0, 1], odds, values)
    expected = [
        (1 * 1 + 2 * 2 + 5 * 10 + 6 * 20) / (1 + 2 + 5 + 6),
        (1 + 2 + 4 + 10 + 20 + 40) / 6,
        (2 + 4 + 8 + 20 + 40 + 80) / 6,
        (3 * 4 + 4 * 8 + 7 * 40 + 8 * 80) / (3 + 4 + 7 + 8),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(mass[0, 0], 1 / 14 + 1 / 6, rtol=1e-6)


def test_a_window_is_square():
    keys = jnp.zeros((1, 3, 4, 1))
    values = jnp.arange(12.0).reshape(1, 3, 4, 1)
    memory = MemoryView(keys, values, jnp.ones(1, bool))
    found = Window(1)(jnp.zeros((3, 4, 1)), memory).values[..., 0]
    assert found[0, 0] == (0 + 1 + 4 + 5) / 4
    assert found[1, 2] == values[0, :, 1:, 0].mean() and found[2, 3] == (6 + 7 + 10 + 11) / 4
    same_place = Window(0)(jnp.zeros((3, 4, 1)), memory).values
    np.testing.assert_array_equal(same_place, values[0])


def elements(count: int) -> tuple[jax.Array, MemoryView]:
    """Returns a query of 2x3 positions, and a memory of single elements as slots."""
    draw = np.random.default_rng(0).normal
    query_key, keys, values = (
        jnp.asarray(draw(size=shape), jnp.float32)
        for shape in ((2, 3, 4), (count, 1, 1, 4), (count, 1, 1, 2))
    )
    return query_key, MemoryView(keys, values, jnp.arange(count) % 3 != 0)


@pytest.mark.parametrize(
    "read",
    [Slots(), Chunked(3), TopK(8), Kernelized(math.inf), Regional(10)],
    ids=["slots", "chunked", "top-k", "kernelized", "regional"],
)
def test_slots_may_be_elements(read):
    query_key, memory = elements(8)
    memory = memory._replace(region=jnp.arange(8)[:, None, None] % 2 == 0)
    values, mass = read(query_key, memory, jnp.ones((2, 3), bool), with_mass=True)
    dense_values, dense_mass = Dense()(query_key, memory, with_mass=True)
    assert mass.shape == (8, 1, 1)
    np.testing.assert_allclose(values, dense_values, rtol=0, atol=1e-6)
    np.testing.assert_allclose(mass, dense_mass, rtol=1e-6, atol=1e-6)


def test_a_window_needs_frames_of_the_query_size():
    with pytest.raises(ValueError, match="frames of 2x3 positions like the query's, not 1x1"):
        Window(1)(*elements(4))


def test_a_regional_read_needs_regions():
    with pytest.raises(ValueError, match="needs to be told the regions"):
        Regional()(*elements(4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Chunked(0),
        lambda: TopK(0),
        lambda: Kernelized(0.0),
        lambda: Kernelized(math.nan),
        lambda: Regional(-1.0),
        lambda: Window(-1),
    ],
)
def test_knobs_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="at least"):
        make()
