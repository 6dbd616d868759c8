"""Where a read went: the weights of one query position."""

import dataclasses

import jax
import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.infer.attention import look
from stm_jax.infer.segmenter import Segmenter
from stm_jax.infer.stream import remembered
from stm_jax.memory.stores.xmem import XMem
from stm_jax.nn.stm import query
from stm_jax.ops.regions import object_positions
from stm_jax.reads import Chunked, Kernelized, Regional, Slots, TopK, Window
from stm_jax.reads.affinity import affinity
from stm_jax.reads.protocol import MemoryView
from tests.lively import clip, first_mask, lively_model

FRAMES = clip(6)  # of 40x52: padded by 4 above and below and 6 at the sides, so 3x4 positions
MASK = first_mask()
ROW, COLUMN = 13, 27
POSITION = (1, 2)  # (13 + 4) // 16, (27 + 6) // 16


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    """Returns a segmenter that has seen all frames but the last."""
    segmenter = Segmenter(lively_model(), memorize_every=2, capacity=4)
    segmenter.start(FRAMES[0], MASK)
    for frame in FRAMES[1:-1]:
        segmenter.step(frame)
    return segmenter


@pytest.fixture(scope="module")
def question(segmenter) -> tuple[jax.Array, MemoryView, jax.Array]:
    """Returns the last frame's key, the memory that it asks, and where objects are expected."""
    recipe, variables, state = segmenter._recipe, segmenter._variables, segmenter._state
    bank = jax.jit(remembered, static_argnums=0)(recipe, variables, state)
    features, _ = query(recipe.network, variables, recipe.prepared(FRAMES[-1]))
    return features.key[0], recipe.memory.view(bank), object_positions(state.padded_masks)


def of_object(memory: MemoryView, index: int) -> MemoryView:
    return jax.tree.map(lambda array: array[index], memory)


def test_the_plain_read_goes_where_the_affinity_says(segmenter, question):
    before = segmenter.state_arrays()
    found = segmenter.look(FRAMES[-1], ROW, COLUMN)
    for name, array in segmenter.state_arrays().items():
        np.testing.assert_array_equal(array, before[name])
    assert found.position == POSITION
    assert found.frame_box == (6 / 16, 4 / 16, 58 / 16, 44 / 16)
    # Frames 0, 2 and 4 stay; frame 4 is the previous one, and there once.
    assert found.frame_numbers.tolist() == [-1, 0, 2, 4]
    assert found.weights.shape == (3, 4, 3, 4)  # of the three objects, none for padding
    np.testing.assert_allclose(found.weights.sum(axis=(1, 2, 3)), 1, atol=1e-5)
    assert (found.weights[:, 0] == 0).all()
    assert found.weights.max() > 3 / 36  # far from even, so that this means something
    query_key, memory, _ = question
    for index, weights in enumerate(found.weights):
        expected = affinity(query_key, of_object(memory, index))
        expected = expected.reshape(3, 4, 4, 3, 4)[POSITION]
        np.testing.assert_allclose(weights, expected, atol=1e-6)


@pytest.mark.parametrize(
    "read",
    [Slots(), TopK(3), Window(1), Kernelized(0.7), Regional(0), Chunked(5)],
    ids=str,
)
def test_the_weights_are_those_of_whichever_read(segmenter, question, read):
    recipe = dataclasses.replace(segmenter._recipe, read=read)
    found = look(recipe, segmenter._variables, segmenter._state, FRAMES[-1], ROW, COLUMN)
    np.testing.assert_allclose(found.weights.sum(axis=(1, 2, 3)), 1, atol=1e-5)
    query_key, memory, expected = question
    # Where each memory position has a channel of its own, what is read are the weights.
    shape = memory.keys.shape[1:4]
    own = np.eye(np.prod(shape), dtype=np.float32).reshape(*shape, -1)
    for index, weights in enumerate(found.weights):
        view = of_object(memory, index)._replace(values=own)
        answer = read(query_key, view, expected[index]).values
        np.testing.assert_allclose(weights, answer[POSITION].reshape(shape), atol=1e-5)


def test_another_working_size(segmenter):
    smaller = Segmenter(lively_model(), short_side=20, capacity=4)
    smaller.start(FRAMES[0], MASK)
    # 20x26 is padded by 6 above and below and 3 at the sides, to 2x2 positions.
    found = smaller.look(FRAMES[1], 39, 25)
    assert found.position == (1, 0)  # (19.75 + 6) // 16, (12.75 + 3) // 16
    assert found.weights.shape[2:] == (2, 2)
    assert found.frame_box == (3 / 16, 6 / 16, 29 / 16, 26 / 16)
    assert found.frame_numbers.tolist() == [-1, 0, -1, -1]


def test_what_cannot_be_looked_at(segmenter):
    with pytest.raises(InputError, match=r"no pixel at row 40, column 3: .* rows 0 to 39"):
        segmenter.look(FRAMES[-1], 40, 3)
    with pytest.raises(InputError, match="no pixel"):
        segmenter.look(FRAMES[-1], 3, -1)
    with pytest.raises(InputError, match="a frame of 52x39 in a video of 52x40"):
        segmenter.look(FRAMES[-1][:39], 3, 3)
    with pytest.raises(InputError, match="no stream"):
        Segmenter(lively_model()).look(FRAMES[0], 3, 3)
    store = Segmenter(lively_model(), memory=XMem())
    store.start(FRAMES[0], MASK)
    with pytest.raises(InputError, match="elements of XMem belong to no frame"):
        store.look(FRAMES[1], 3, 3)
