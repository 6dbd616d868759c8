"""What is frozen stays as it is, to the bit, and has no gradient; everything else learns."""

import dataclasses

import flax.traverse_util
import jax
import numpy as np
import pytest

from stm_jax.config import TINY
from stm_jax.data.config import DataConfig
from stm_jax.train.config import Frozen, StageConfig, TrainConfig
from stm_jax.train.freeze import merged, split
from stm_jax.train.mesh import data_mesh, place_state
from stm_jax.train.step import initial_state, make_optimizer, make_step
from tests.lively import lively_model
from tests.test_train import moving_square

STAGE = StageConfig(DataConfig(), steps=10, learning_rate=1e-2, warmup_steps=0)
CONFIG = TrainConfig(TINY, (STAGE,), weight_decay=0.1, average_decay=0.9)


def two_frames() -> dict[str, np.ndarray]:
    """Returns a batch of one clip; a step over three frames would be compiled for twice as long."""
    frames, masks = moving_square()
    return {"frames": frames[None, :2], "masks": masks[None, :2]}


def after(steps: int, config: TrainConfig) -> tuple[dict, dict]:
    """Returns the state after some steps on one clip, and the last step's metrics."""
    clips = two_frames()
    optimizer, mesh = make_optimizer(config), data_mesh(jax.devices()[:1])
    state = place_state(mesh, initial_state(lively_model().variables, optimizer, average=True))
    step, metrics = make_step(config, STAGE, optimizer, mesh), {}
    for _ in range(steps):
        state, metrics, _ = step(state, clips)
    return state, metrics


def flat(params: dict) -> dict[str, np.ndarray]:
    leaves = flax.traverse_util.flatten_dict(params, sep="/")
    return {path: np.asarray(leaf) for path, leaf in leaves.items()}


STAYS: dict[Frozen, tuple[int, str, str]] = {
    "trunks": (54, "query_encoder/norm/scale", "memory_encoder/conv_mask/kernel"),
    "query-trunk": (27, "query_encoder/conv_frame/kernel", "memory_encoder/conv_frame/kernel"),
    "memory-trunk": (27, "memory_encoder/norm/bias", "memory_encoder/conv_others/kernel"),
    "stems": (
        18,
        "memory_encoder/trunk/res2_block0/conv2/conv/kernel",
        "memory_encoder/trunk/res3_block0/conv1/conv/kernel",
    ),
    "norms": (36, "query_encoder/trunk/res4_block0/shortcut/norm/bias", "query_head/key/bias"),
}
"""How many variables each name freezes, one of them, and one beside them that learns."""


@pytest.mark.parametrize("name", STAYS)
def test_frozen_arrays_stay_to_the_bit_and_all_others_change(name: Frozen):
    config = dataclasses.replace(CONFIG, freeze=(name,))
    before = lively_model().variables["params"]
    state, _ = after(3, config)
    begun, params, average = flat(before), flat(state["params"]), flat(state["average"])
    frozen = flat(split(before, config.freeze)[1])
    count, inside, outside = STAYS[name]
    assert len(frozen) == count and inside in frozen and outside not in frozen
    for path, array in begun.items():
        for found in (params[path], average[path]):
            assert (found.tobytes() == array.tobytes()) == (path in frozen), path


def test_the_optimizer_and_the_norm_know_nothing_of_what_is_frozen():
    frozen, metrics = after(1, dataclasses.replace(CONFIG, freeze=("trunks",)))
    free, all_metrics = after(1, CONFIG)
    assert jax.tree.structure(frozen) == jax.tree.structure(free)
    moments = frozen["opt_state"].inner_state[1][0].mu
    learning, still = split(moments, ("trunks",))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(still))
    # One step from zeros: a tenth of the clipped gradient, whose norm is at most 1.
    assert float(metrics["gradient_norm"]) > 1.0
    total = np.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(learning)))
    assert total == pytest.approx(0.1, rel=1e-4)
    assert float(metrics["gradient_norm"]) < float(all_metrics["gradient_norm"])


def test_no_gradient_is_computed_for_what_is_frozen():
    def flops(*freeze: Frozen) -> float:
        config = dataclasses.replace(CONFIG, freeze=freeze)
        optimizer, mesh = make_optimizer(config), data_mesh(jax.devices()[:1])
        state = jax.eval_shape(
            lambda: initial_state(lively_model().variables, optimizer, average=True)
        )
        step = make_step(config, STAGE, optimizer, mesh)
        return step.lower(state, two_frames()).compile().cost_analysis()["flops"]

    assert flops("query-trunk") < 0.9 * flops()


def test_what_is_split_comes_together_again():
    params = lively_model().variables["params"]
    for freeze in ((), ("norms",), ("trunks", "norms")):
        whole = merged(*split(params, freeze))
        assert jax.tree.structure(whole) == jax.tree.structure(params)
        jax.tree.map(np.testing.assert_array_equal, whole, params)
