"""The training state and one step of it, over all devices."""

import functools
from collections.abc import Callable
from typing import Any, cast

import flax.traverse_util
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

from stm_jax.catalogue import chosen_memory, read_to_train
from stm_jax.nn.stm import STM, Variables
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.follow import ALL_FRAMES
from stm_jax.train.freeze import in_trunk, merged, split
from stm_jax.train.losses import clip_loss
from stm_jax.train.mesh import DATA, by_clip, replicated

TrainState = dict[str, Any]
"""{"step": int32, "params", "batch_stats", "opt_state", "average"}, a plain pytree.

"average" holds the moving average of the parameters, or is empty.
"""

Step = Callable[[TrainState, dict], tuple[TrainState, dict, jax.Array]]
"""From state and clips to the new state, metrics, and the ids that were predicted."""


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
    """AdamW behind clipping; the trunks learn at a share of the rest's rate.

    A gradient that is not finite changes nothing, neither weights nor moments, and is counted.
    """

    def is_trunk(params: Variables) -> Variables:
        flat = flax.traverse_util.flatten_dict(params)
        return flax.traverse_util.unflatten_dict({path: in_trunk(path) for path in flat})

    return _clipped_where_finite(
        config.clip_norm,
        optax.chain(
            optax.identity(),  # where optax clipped: checkpoints of then have its empty state
            optax.adamw(learning_rates(config.stages), weight_decay=config.weight_decay),
            optax.masked(optax.scale(config.trunk_factor), is_trunk),
        ),
    )


def _clipped_where_finite(
    clip_norm: float, inner: optax.GradientTransformation
) -> optax.GradientTransformation:
    """Clips to a global norm, and leaves everything as it was where that norm is not finite.

    Does what optax.apply_if_finite does around optax.clip_by_global_norm, in which the gradient
    is read and written several times more.
    """

    def init(params: Any) -> optax.ApplyIfFiniteState:
        return optax.ApplyIfFiniteState(
            notfinite_count=jnp.zeros((), jnp.int32),
            last_finite=jnp.array(True),
            total_notfinite=jnp.zeros((), jnp.int32),
            inner_state=inner.init(params),
        )

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        norm = _norm(updates)
        finite = jnp.isfinite(norm)
        factor = jnp.minimum(1.0, clip_norm / norm)
        clipped = jax.tree.map(lambda g: g * factor.astype(g.dtype), updates)
        updates, inner_state = inner.update(clipped, state.inner_state, params)
        updates = jax.tree.map(lambda u: jnp.where(finite, u, 0.0), updates)
        inner_state = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old), inner_state, state.inner_state
        )
        return updates, optax.ApplyIfFiniteState(
            notfinite_count=jnp.where(finite, 0, 1 + state.notfinite_count),
            last_finite=finite,
            total_notfinite=jnp.where(finite, 0, 1) + state.total_notfinite,
            inner_state=inner_state,
        )

    return optax.GradientTransformation(init, update)


def _norm(gradients: Any) -> jax.Array:
    """The global norm; on a TPU each sum is a program, so the many small vectors make up one."""
    leaves = jax.tree.leaves(gradients)
    vectors = [leaf for leaf in leaves if leaf.ndim == 1]
    joined = [jnp.concatenate(vectors)] if vectors else []
    return optax.tree.norm(joined + [leaf for leaf in leaves if leaf.ndim != 1])


def initial_state(
    variables: Variables, optimizer: optax.GradientTransformation, average: bool = False
) -> TrainState:
    """Returns the state before the first step; `average` asks for the weights' moving average."""
    return {
        "step": jnp.zeros((), jnp.int32),
        "params": variables["params"],
        "batch_stats": variables["batch_stats"],
        "opt_state": optimizer.init(variables["params"]),
        "average": jax.tree.map(jnp.copy, variables["params"]) if average else {},
    }


def make_step(
    config: TrainConfig,
    stage: StageConfig,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
) -> Step:
    """Returns the compiled step (state, clips) -> (state, metrics, labels) over a mesh.

    The state is replicated and donated, the clips lie along the mesh's only axis. The gradient
    is that of the mean over the global batch, so the number of devices changes nothing but
    rounding; it is reduced once a step.

    Metrics are scalars: loss, the gradient's global norm, the mean intersection over union of
    "some object" on the segmented frames, and how many steps in a row, this one included, had
    no finite gradient. Labels are the predicted ids of every frame but the first, uint8
    (b, t-1, h, w), and lie along the mesh as the clips do.
    """
    # By hand rather than by the compiler: it would reduce a gradient for each use of a weight,
    # and the same encoder and decoder are used for every frame. Unchecked, because otherwise
    # gradients of what is replicated come back summed already, again for each use.
    gradients = jax.shard_map(
        functools.partial(_gradients, config, stage),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec(DATA)),
        out_specs=(PartitionSpec(), PartitionSpec(DATA)),
        check_vma=False,
    )
    return jax.jit(
        functools.partial(_step, config, optimizer, gradients),
        donate_argnums=0,
        in_shardings=(replicated(mesh), by_clip(mesh)),
        out_shardings=(replicated(mesh), replicated(mesh), by_clip(mesh)),
    )


def make_pmap_step(
    config: TrainConfig, stage: StageConfig, optimizer: optax.GradientTransformation
) -> Step:
    """Returns the same step for loops by `jax.pmap`: all has a leading axis of devices."""
    gradients = functools.partial(_gradients, config, stage)
    return jax.pmap(
        functools.partial(_step, config, optimizer, gradients), axis_name=DATA, donate_argnums=0
    )


def _step(
    config: TrainConfig,
    optimizer: optax.GradientTransformation,
    gradients_of: Callable[[Variables, Variables, dict], Any],
    state: TrainState,
    clips: dict,
) -> tuple[TrainState, dict, jax.Array]:
    (loss, iou, gradients), labels = gradients_of(state["params"], state["batch_stats"], clips)
    _, frozen = split(state["params"], config.freeze)
    # Zeros, so that what the optimizer keeps does not depend on what is frozen.
    whole = merged(gradients, jax.tree.map(jnp.zeros_like, frozen))
    updates, opt_state = optimizer.update(whole, state["opt_state"], state["params"])
    params = cast(Variables, optax.apply_updates(state["params"], updates))
    params = merged(split(params, config.freeze)[0], frozen)
    average = state["average"]
    if average:
        new = optax.incremental_update(params, average, 1 - config.average_decay)
        average = cast(Variables, new)
        average = merged(split(average, config.freeze)[0], frozen)
    new_state = {
        "step": state["step"] + 1,
        "params": params,
        "batch_stats": state["batch_stats"],
        "opt_state": opt_state,
        "average": average,
    }
    metrics = {
        "loss": loss,
        "gradient_norm": _norm(gradients),
        "iou": iou,
        "bad_steps": cast(optax.ApplyIfFiniteState, opt_state).notfinite_count,
    }
    return new_state, metrics, labels


def _gradients(
    config: TrainConfig, stage: StageConfig, params: Variables, batch_stats: Variables, clips: dict
) -> tuple[tuple[jax.Array, jax.Array, Variables], jax.Array]:
    """Returns loss, overlap and gradient, averaged over all devices, and this device's labels.

    The gradient is of what is not frozen, and has nothing where the rest would be.
    """
    network = STM(config.network, jnp.dtype(config.dtype))
    learning, frozen = split(params, config.freeze)
    devices = jax.lax.axis_size(DATA)

    def loss_of(learning: Variables, part: dict) -> tuple[jax.Array, Any]:
        loss, labels = clip_loss(
            network,
            {"params": merged(learning, frozen), "batch_stats": batch_stats},
            part["frames"],
            part["masks"],
            stage.data.objects,
            hardest_share=stage.hardest_share,
            matching_weight=stage.matching_weight,
            overlap_weight=stage.overlap_weight,
            memory=chosen_memory(config.memory, "memory =") or ALL_FRAMES,
            read=read_to_train(config.read),
            remat=config.remat,
        )
        overlap = _overlap(labels, part["masks"][:, 1:])
        # A share of the mean, so that its gradients need only be summed over the devices.
        return loss / devices, (overlap / devices, labels.astype(jnp.uint8))

    def gradient_of(part: dict) -> tuple[Any, jax.Array]:
        value_and_grad = jax.value_and_grad(loss_of, has_aux=True)
        (loss, (iou, labels)), gradients = value_and_grad(learning, part)
        return (loss, iou, gradients), labels

    if config.accumulate == 1:
        found, labels = gradient_of(clips)
    else:
        found, labels = _accumulated(gradient_of, clips, config.accumulate)
    if devices == 1:  # else a copy of all gradients
        return found, labels
    return jax.lax.psum(found, DATA), labels


def _accumulated(gradient_of: Callable, clips: dict, parts: int) -> tuple[Any, jax.Array]:
    """Averages loss and gradient over parts of the batch, one after the other."""
    cut = jax.tree.map(lambda a: a.reshape(parts, a.shape[0] // parts, *a.shape[1:]), clips)
    shapes, _ = jax.eval_shape(gradient_of, jax.tree.map(lambda a: a[0], cut))
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def add(total: Any, part: dict) -> tuple[Any, jax.Array]:
        found, labels = gradient_of(part)
        return jax.tree.map(jnp.add, total, found), labels

    total, labels = jax.lax.scan(add, zeros, cut)
    labels = labels.reshape(-1, *labels.shape[2:])  # (parts, b / parts, ...) -> (b, ...)
    return jax.tree.map(lambda a: a / parts, total), labels


def _overlap(labels: jax.Array, masks: jax.Array) -> jax.Array:
    """Mean intersection over union of "some object", where there is one."""
    found, true = labels > 0, masks > 0
    union = jnp.maximum((found | true).sum(axis=(2, 3)), 1)
    return ((found & true).sum(axis=(2, 3)) / union).mean()
