"""Clips of any length, followed with the memory that will be run with."""

import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stm_jax
from stm_jax.catalogue import chosen_memory
from stm_jax.config import TINY
from stm_jax.errors import InputError
from stm_jax.memory.rules.dam4sam import Dam4Sam
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.memory.rules.fifo import Fifo
from stm_jax.memory.rules.first import First
from stm_jax.memory.rules.least_used import LeastUsed
from stm_jax.memory.rules.previous import Previous
from stm_jax.memory.rules.samurai import Samurai
from stm_jax.memory.stores.xmem import XMem
from stm_jax.nn.stm import STM
from stm_jax.train.follow import follow_clip
from stm_jax.train.losses import clip_loss, overlap_loss
from tests.lively import lively_model

LENGTH = 8


def moving_squares(size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Returns a clip of noisy frames, (t, s, s, 3), and ids of two squares, (t, s, s)."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 90, (LENGTH, size, size, 3), dtype=np.uint8)
    masks = np.zeros((LENGTH, size, size), np.uint8)
    for t in range(LENGTH):
        masks[t, 12:30, 4 + 3 * t : 20 + 3 * t] = 1
        masks[t, 30 - t : 40 - t, 34:46] = 2
    frames[masks == 1] += 150
    frames[masks == 2] //= 2
    return frames, masks


@functools.cache
def probabilities(memory, remat: bool = False) -> np.ndarray:
    """Returns what training sees of the frames behind the first, (t - 1, 3, s, s)."""
    frames, masks = moving_squares()
    planes = masks[None, None] == np.arange(1, 3)[:, None, None, None]
    logits, _ = follow_clip(
        STM(TINY),
        lively_model().variables,
        jnp.asarray(frames[None]) / 255,
        jnp.asarray(planes, jnp.float32),
        jnp.ones((1, 2), bool),
        memory=memory,
        remat=remat,
    )
    return np.asarray(jax.nn.softmax(logits[0], axis=1))


@pytest.mark.parametrize(
    "memory",
    [
        *(EveryNth(1), EveryNth(3), Previous(), First(), Fifo(3, 2), LeastUsed(2, 1)),
        *(Dam4Sam(4, 1, every=2), Samurai(3, motion=0.5, steady=2), XMem(1, 2, 3, 4)),
    ],
    ids=repr,
)
def test_training_remembers_as_inference_does(memory):
    frames, masks = moving_squares()
    segmenter = stm_jax.Segmenter(lively_model(), memory=memory)
    expected = segmenter.segment(frames, masks[0], soft=True)[1:]
    assert np.allclose(probabilities(memory), expected, atol=1e-5)
    assert np.allclose(probabilities(memory, remat=True), expected, atol=1e-5)


def test_memories_differ_in_what_they_make_of_a_clip():
    """Or the test above would pass with one memory in the place of all."""
    others = (EveryNth(3), Previous(), First(), Fifo(3, 2))
    everything = probabilities(EveryNth(1))
    assert all(np.abs(probabilities(memory) - everything).max() > 1e-3 for memory in others)


def test_gradients_computed_again_are_those_of_the_plain_unroll():
    frames, masks = moving_squares()
    variables = lively_model().variables

    def loss(params: dict, remat: bool) -> jax.Array:
        given = {**variables, "params": params}
        options = {"memory": EveryNth(2), "remat": remat, "overlap_weight": 0.5}
        return clip_loss(STM(TINY), given, frames[None], masks[None], 2, **options)[0]

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    plain, again = (
        flax.traverse_util.flatten_dict(gradient(variables["params"], remat), sep="/")
        for remat in (False, True)
    )
    largest = max(float(jnp.abs(g).max()) for g in plain.values())
    for name, expected in plain.items():
        # A bias of every memory key moves no softmax: its gradient is rounding.
        scale = largest if name == "memory_head/key/bias" else float(jnp.abs(expected).max())
        assert float(jnp.abs(again[name] - expected).max()) <= 1e-5 * scale, name


def test_remat_needs_less_memory_and_no_more_for_a_longer_clip():
    frames, masks = moving_squares()
    variables = lively_model().variables

    def temporary(length: int, remat: bool) -> int:
        def loss(params: dict) -> jax.Array:
            given = {**variables, "params": params}
            clip = frames[None, :length], masks[None, :length]
            return clip_loss(STM(TINY), given, *clip, 2, memory=Fifo(2), remat=remat)[0]

        compiled = jax.jit(jax.grad(loss)).lower(variables["params"]).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    short, long = temporary(4, remat=True), temporary(8, remat=True)
    assert long < temporary(8, remat=False) / 2
    assert long < 1.4 * short  # what remains is what is kept between frames


def test_a_configuration_chooses_the_memory():
    assert chosen_memory(("fifo", "frames=3"), "memory =") == Fifo(3)
    with pytest.raises(InputError, match="memory = nothing: there is every-nth, "):
        chosen_memory(("nothing",), "memory =")


def test_the_overlap_loss_written_out():
    masks = np.zeros((1, 1, 2, 4, 4), np.float32)
    masks[0, 0, 0, :2] = 1
    soft = np.full_like(masks, 0.5)
    one = 1 - (2 * 4 + 1) / (8 + 8 + 1)  # half of 8 pixels, of 8
    none = 1 - (2 * 0 + 1) / (8 + 0 + 1)  # out of sight, and 8 taken for it
    present = np.array([[True, True]])
    assert overlap_loss(soft, masks, present) == pytest.approx((one + none) / 2)
    assert overlap_loss(soft, masks, present & [True, False]) == pytest.approx(one)
    assert overlap_loss(masks, masks, present) == pytest.approx(0.0)
