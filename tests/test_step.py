"""What a step of training changes: gradients, averages and weights of the loss, written out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stm_jax.config import TINY
from stm_jax.nn.model import random_model
from stm_jax.nn.stm import STM
from stm_jax.train import loop
from stm_jax.train.config import TrainConfig
from stm_jax.train.losses import clip_loss
from stm_jax.train.step import TrainState, _accumulated, _step, initial_state, make_optimizer
from tests.test_freeze import CONFIG, STAGE, flat
from tests.test_train import moving_square

PARAMS = {"decoder": {"predict": {"bias": jnp.array([1.0, 2.0])}}}


def gradient(*values: float) -> dict:
    return jax.tree.map(lambda _: jnp.array(values), PARAMS)


def moments(state: optax.ApplyIfFiniteState) -> np.ndarray:
    """Returns the mean of the gradients that Adam has seen."""
    return np.asarray(state.inner_state[1][0].mu["decoder"]["predict"]["bias"])  # pyright: ignore


def test_only_large_gradients_are_clipped():
    optimizer = make_optimizer(dataclasses.replace(CONFIG, clip_norm=1.0))
    for values, clipped in (((3.0, 4.0), (0.6, 0.8)), ((0.3, 0.4), (0.3, 0.4))):
        _, state = optimizer.update(gradient(*values), optimizer.init(PARAMS), PARAMS)
        np.testing.assert_allclose(moments(state), 0.1 * np.array(clipped), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted(bad):
    optimizer = make_optimizer(CONFIG)
    _, before = optimizer.update(gradient(0.3, 0.4), optimizer.init(PARAMS), PARAMS)
    updates, state = optimizer.update(gradient(0.3, bad), before, PARAMS)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates))
    inner, same = jax.tree.leaves(state.inner_state), jax.tree.leaves(before.inner_state)
    assert all(np.array_equal(a, b) for a, b in zip(inner, same, strict=True))
    assert int(state.notfinite_count) == 1
    _, state = optimizer.update(gradient(0.3, 0.4), state, PARAMS)
    assert (int(state.notfinite_count), int(state.total_notfinite)) == (0, 1)


def test_a_batch_in_parts_has_the_mean_of_their_gradients():
    clips = {"numbers": jnp.arange(4.0)}
    found, labels = _accumulated(lambda part: (part["numbers"].sum(), part["numbers"]), clips, 2)
    assert float(found) == ((0 + 1) + (2 + 3)) / 2
    assert labels.tolist() == [0, 1, 2, 3]


def stepped(config: TrainConfig, params: dict, gradients: dict) -> TrainState:
    """Returns the state after a step whose gradients are given."""
    optimizer, zero = make_optimizer(config), jnp.zeros(())
    state = initial_state({"params": params, "batch_stats": {}}, optimizer, average=True)
    return _step(config, optimizer, lambda *_: ((zero, zero, gradients), zero), state, {})[0]


def test_the_average_keeps_its_share_of_the_old():
    state = stepped(CONFIG, PARAMS, gradient(0.3, 0.4))
    begun, params = np.array([1.0, 2.0]), flat(state["params"])["decoder/predict/bias"]
    assert np.abs(params - begun).min() > 1e-3
    found = flat(state["average"])["decoder/predict/bias"]
    np.testing.assert_allclose(found, 0.9 * begun + 0.1 * params, rtol=1e-6)


def test_weight_decay_shrinks_what_learns_and_nothing_that_is_frozen():
    params = PARAMS | {"query_encoder": {"norm": {"scale": jnp.array([1.0, 2.0])}}}
    state = stepped(dataclasses.replace(CONFIG, freeze=("norms",)), params, gradient(0.0, 0.0))
    for name in ("params", "average"):
        found = flat(state[name])
        assert found["query_encoder/norm/scale"].tolist() == [1.0, 2.0]
        assert (found["decoder/predict/bias"] < [1.0, 2.0]).all()


def test_the_average_is_the_result_of_a_run():
    state = {"params": gradient(1.0), "average": gradient(2.0), "batch_stats": {}}
    for average, expected in ((state["average"], 2.0), ({}, 1.0)):
        found = loop._result(CONFIG, state | {"average": average})
        assert flat(found.variables["params"])["decoder/predict/bias"].tolist() == [expected]


def test_the_overlap_counts_by_its_weight():
    frames, masks = moving_square()
    variables = random_model(TINY).variables

    def loss(weight: float) -> float:
        clips = frames[None], masks[None]
        return float(clip_loss(STM(TINY), variables, *clips, 1, overlap_weight=weight)[0])

    none, half, whole = map(loss, (0.0, 0.5, 1.0))
    assert whole - none > 0.1
    assert half - none == pytest.approx((whole - none) / 2, rel=1e-4)


def test_every_stage_draws_its_own_clips(monkeypatch):
    monkeypatch.setattr(loop, "training_clips", lambda data, seed, *_, **__: iter([seed]))
    seeds = {next(loop._clips(CONFIG, index, STAGE, 0)) for index in range(3)}
    assert len(seeds) == 3
