"""The training state and one step of it."""

from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import optax

from stm_jax.config import StageConfig, TrainConfig
from stm_jax.nn.stm import STM, Variables
from stm_jax.train.losses import clip_loss

State = dict[str, Any]
"""{"step": int32, "params": ..., "batch_stats": ..., "opt_state": ...}, a plain pytree."""


def learning_rates(stages: tuple[StageConfig, ...]) -> optax.Schedule:
    """Joins, for each stage, a warm-up and a cosine."""
    schedules, boundaries, total = [], [], 0
    for stage in stages:
        schedules.append(
            optax.warmup_cosine_decay_schedule(
                init_value=0.0,
                peak_value=stage.learning_rate,
                warmup_steps=stage.warmup_steps,
                decay_steps=stage.steps,
                end_value=stage.final_learning_rate,
            )
        )
        total += stage.steps
        boundaries.append(total)
    return optax.join_schedules(schedules, boundaries[:-1])


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW behind clipping; the trunks learn at a share of the rest's rate."""

    def is_trunk(params: Variables) -> Variables:
        paths = flax.traverse_util.flatten_dict(params)
        # conv_mask and conv_others are new, though they sit in the encoder.
        marks = {
            path: path[0].endswith("_encoder") and path[1] not in ("conv_mask", "conv_others")
            for path in paths
        }
        return flax.traverse_util.unflatten_dict(marks)

    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(learning_rates(config.stages), weight_decay=config.weight_decay),
        optax.masked(optax.scale(config.trunk_factor), is_trunk),
    )


def initial_state(variables: Variables, optimizer: optax.GradientTransformation) -> State:
    """Returns the state before the first step."""
    return {
        "step": jnp.zeros((), jnp.int32),
        "params": variables["params"],
        "batch_stats": variables["batch_stats"],
        "opt_state": optimizer.init(variables["params"]),
    }


def make_step(
    network: STM, optimizer: optax.GradientTransformation, objects: int
) -> Callable[[State, dict], tuple[State, dict]]:
    """Returns the compiled step (state, clips) -> (state, metrics); the state is donated.

    Metrics are scalars: loss, the gradient's global norm, and the mean intersection over union
    of "some object" on the segmented frames.
    """

    def step(state: State, clips: dict) -> tuple[State, dict]:
        def loss_of(params: Variables) -> tuple[jax.Array, jax.Array]:
            variables = {"params": params, "batch_stats": state["batch_stats"]}
            return clip_loss(network, variables, clips["frames"], clips["masks"], objects)

        (loss, labels), gradients = jax.value_and_grad(loss_of, has_aux=True)(state["params"])
        updates, opt_state = optimizer.update(gradients, state["opt_state"], state["params"])
        found, true = labels > 0, clips["masks"][:, 1:] > 0
        overlap = (found & true).sum(axis=(2, 3)) / jnp.maximum((found | true).sum(axis=(2, 3)), 1)
        new_state = {
            "step": state["step"] + 1,
            "params": optax.apply_updates(state["params"], updates),
            "batch_stats": state["batch_stats"],
            "opt_state": opt_state,
        }
        gradient_norm = optax.tree.norm(gradients)
        return new_state, {"loss": loss, "gradient_norm": gradient_norm, "iou": overlap.mean()}

    return jax.jit(step, donate_argnums=0)
