"""Keys that start as a likeness: projections of the trunk's features, the same in both heads."""

import dataclasses
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.config import TINY
from stm_jax.nn.model import Model, random_model
from stm_jax.nn.stm import STM, query
from stm_jax.train.key_start import SHARPNESS, start_keys
from stm_jax.train.loop import fit
from tests.test_clips import root  # noqa: F401, a fixture
from tests.test_train import config_for

# With more channels than TINY, so that there are directions to choose from.
CONFIG = dataclasses.replace(TINY, width=16)


def blotches(count: int, size: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (count, size // 8, size // 8, 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def keys(model: Model, frames: np.ndarray) -> np.ndarray:
    features, _ = query(STM(model.config), model.variables, jnp.asarray(frames) / 255)
    return np.asarray(features.key)


def test_keys_are_whitened_projections_of_the_features():
    frames = blotches(12)
    model = start_keys(random_model(CONFIG), frames)
    found = keys(model, frames).reshape(-1, CONFIG.key_channels).astype(np.float64)
    assert np.abs(found.mean(axis=0)).max() < 1e-2
    assert np.square(found).mean() == pytest.approx(SHARPNESS, rel=1e-2)
    assert np.abs(np.corrcoef(found.T) - np.eye(CONFIG.key_channels)).max() < 1e-2
    # A quarter of the spread's order of magnitude is left.
    features = query(STM(CONFIG), model.variables, jnp.asarray(frames) / 255)[0].r4
    spread = np.linalg.eigvalsh(np.cov(np.asarray(features, np.float64).reshape(-1, 64).T))[::-1]
    left = np.log(found.var(axis=0)[0] / found.var(axis=0)[-1])
    assert left == pytest.approx(0.25 * np.log(spread[0] / spread[7]), rel=2e-2)


def test_both_heads_start_equal_and_nothing_else_changes():
    before = random_model(CONFIG)
    after = start_keys(before, blotches(4))
    old, new = before.variables["params"], after.variables["params"]
    heads = (new["query_head"]["key"], new["memory_head"]["key"])
    assert np.array_equal(heads[0]["conv"]["kernel"], heads[1]["conv"]["kernel"])
    assert np.array_equal(heads[0]["bias"], heads[1]["bias"])
    assert not np.array_equal(
        heads[0]["conv"]["kernel"], old["query_head"]["key"]["conv"]["kernel"]
    )
    assert np.array_equal(
        new["query_head"]["value"]["conv"]["kernel"], old["query_head"]["value"]["conv"]["kernel"]
    )
    assert not heads[0]["conv"]["kernel"][0].any()  # only the middle of 3x3


def test_without_a_trunk_keys_start_as_drawn(
    root: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
):
    config = dataclasses.replace(config_for(root), key_frames=4)
    stage = dataclasses.replace(config.stages[0], steps=2, learning_rate=1e-30)
    model = fit(dataclasses.replace(config, stages=(stage,)), tmp_path / "run")
    drawn = random_model(TINY, config.seed).variables["params"]["query_head"]["key"]
    assert np.array_equal(
        model.variables["params"]["query_head"]["key"]["conv"]["kernel"], drawn["conv"]["kernel"]
    )
