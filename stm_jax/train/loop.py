"""A training run, read from top to bottom."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from stm_jax.compiling import telling_of_long_compiles
from stm_jax.data.config import DataConfig
from stm_jax.data.pipeline import list_sources, training_clips
from stm_jax.errors import InputError
from stm_jax.nn.model import Model, random_model
from stm_jax.runtime.claim import claimed, make_folder
from stm_jax.runtime.stopping import take_time
from stm_jax.train.checks import check_train
from stm_jax.train.config import StageConfig, TrainConfig
from stm_jax.train.log import RunLog
from stm_jax.train.mesh import abstract_state, by_clip, data_mesh, place_clips, place_state
from stm_jax.train.preemption import StopSignal
from stm_jax.train.run_config import write_config
from stm_jax.train.start import given_weights, initial_model
from stm_jax.train.step import TrainState, initial_state, make_optimizer, make_step
from stm_jax.weights import checkpoints

WRITTEN = (
    *("config.json", "log.jsonl", "best.json", "best.safetensors"),
    *("checkpoints/*", "damaged/*", "tensorboard/*", "profile/*"),
)
"""Patterns of what is written into the run's folder."""

Validate = Callable[[int, Model], dict[str, float]]
"""Scores the model of a step on what it does not train on, e.g. {"J&F": 0.7, "J_mean": ...}."""


def fit(
    config: TrainConfig,
    run: pathlib.Path,
    *,
    validate: Validate | None = None,
    profile: bool = False,
) -> Model:
    """Trains a model, or goes on with a run that was interrupted, exactly where it was.

    On several hosts every one of them calls this, after `jax.distributed.initialize`, with a
    folder that all of them see.

    Args:
        config: Everything that decides the result.
        run: Folder for checkpoints, the log and the configuration; made if it is not there.
        validate: Called every `config.validate_every` steps and at the end of a stage.
        profile: Write a trace of a few steps into `run/profile`.

    Raises:
        InputError: Data, trunk, `start_from` or an earlier run's configuration cannot be used,
            the gradient is no longer finite, or `run` is in a bucket.
        KeyboardInterrupt: The run was asked to stop; it has saved where it is.
    """
    _check_place(run)
    check_train(config)
    mesh = data_mesh()
    _check_batches(config, mesh.size)
    # Before anything is written or compiled, for weights are often the wrong ones at first.
    begun = checkpoints.has_begun(run)
    given = None if begun else given_weights(config)
    for stage in config.stages if not begun else ():
        list_sources(stage.data)
    if config.model is None:
        model = checkpoints.model_of(run) if given is None else given.config
        config = dataclasses.replace(config, model=model)
    config = dataclasses.replace(config, model=config.network)
    first = None if begun else initial_model(config, given)
    optimizer = make_optimizer(config)

    def first_state(model: Model) -> TrainState:
        return initial_state(model.variables, optimizer, config.average_decay > 0)

    shapes = jax.eval_shape(lambda: first_state(random_model(config.network)))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    alone = claimed(run, "train", WRITTEN, lambda: _is_run(run))
    with (
        # On several hosts all work in one folder.
        alone if jax.process_count() == 1 else contextlib.nullcontext(make_folder(run)),
        checkpoints.open_manager(run) as manager,
    ):
        state = None if first is None else place_state(mesh, first_state(first))
        with RunLog(run, config, parameters) as log, StopSignal() as stop:
            write_config(run, config, log.say)
            _say_beginnings(config, begun, log.say)
            done = 0
            if state is None:
                abstract = abstract_state(mesh, shapes)
                done, state = checkpoints.restore_newest(manager, abstract, log.say)
                log.say(f"going on from step {done}")
            for index, (begin, stage) in enumerate(_stages(config)):
                if done >= begin + stage.steps:
                    continue
                step = make_step(config, stage, optimizer, mesh)
                what = f"the steps of stage {index + 1}"
                with telling_of_long_compiles(what, log.say):
                    gflop = _gflop_of(config, stage.data, step, mesh, state)
                log.begin_stage(index, stage, begin, done, gflop)
                clips = _clips(config, index, stage, done - begin)
                compiling = telling_of_long_compiles(what, log.say)
                before = {}
                while done < begin + stage.steps:
                    batch = dict(next(clips))
                    with log.trace(profile, done - begin), compiling:
                        state, metrics, labels = step(state, place_clips(mesh, batch))
                    done, compiling = done + 1, contextlib.nullcontext()
                    take_time()  # to save this step, if it is the last
                    # One step ahead keeps the device at work. More would only have to be waited
                    # for when the run is asked to stop, and a cluster kills after seconds.
                    jax.block_until_ready(before)
                    before = metrics
                    log.add(done, metrics)
                    with log.aside():
                        last = done == begin + stage.steps
                        if validate and (last or done % config.validate_every == 0):
                            _validate(validate, log, done, _result(config, state))
                        stopping = stop.asked(done)
                        if last or stopping or done % config.checkpoint_every == 0:
                            log.flush()
                            checkpoints.save(manager, done, state)
                            log.add_picture(done, batch, labels)
                    if stopping:
                        checkpoints.wait(manager)
                        raise KeyboardInterrupt(
                            f"stopped after step {done}; the same command goes on from there"
                        )
    return _result(config, state)


def _say_beginnings(config: TrainConfig, begun: bool, say: Callable[[str], None]) -> None:
    if config.start_from is not None and not begun:
        anew = f", but {', '.join(config.start_anew)} anew" if config.start_anew else ""
        say(f"weights of {config.start_from}{anew}")
    if config.freeze:
        say(f"frozen: {', '.join(config.freeze)}")


def _validate(validate: Validate, log: RunLog, done: int, model: Model) -> None:
    if jax.process_index() == 0:
        log.add_scores(done, validate(done, model))


def _stages(config: TrainConfig) -> Iterator[tuple[int, StageConfig]]:
    """Yields each stage with the step that it begins at."""
    begin = 0
    for stage in config.stages:
        yield begin, stage
        begin += stage.steps


def _clips(config: TrainConfig, index: int, stage: StageConfig, start: int) -> Iterator[Any]:
    return training_clips(
        stage.data,
        config.seed + 100 * index,
        stage.steps,
        start=start,
        process=jax.process_index(),
        processes=jax.process_count(),
        workers=config.workers,
    )


def _gflop_of(
    config: TrainConfig, data: DataConfig, step: Any, mesh: Mesh, state: TrainState
) -> float | None:
    """Returns the work of a step by XLA's count of the program as it is written, not compiled.

    A multiplication and an addition are two; None where XLA does not count. Of a loop XLA counts
    the body once, so for a CPU it is too little: there `nn/convolution.py` goes clip by clip.
    """
    shape = (data.batch_size, data.length, data.size, data.size)
    # Sharded as the clips will be, so that the step is not traced once more for them.
    of_clips = functools.partial(jax.ShapeDtypeStruct, dtype=np.uint8, sharding=by_clip(mesh))
    lowered = step.lower(state, {"frames": of_clips((*shape, 3)), "masks": of_clips(shape)})
    counted = lowered.cost_analysis() or {}
    # What XLA counts is one device's work, and of a loop its body once.
    parts = mesh.size * config.accumulate
    return parts * counted["flops"] / 1e9 if "flops" in counted else None


def _is_run(run: pathlib.Path) -> bool:
    """Says whether a folder is a run's, from before there were marks."""
    try:
        checkpoints.model_of(run)
    except InputError:
        return False
    return True


def _check_place(run: pathlib.Path) -> None:
    if run.parts[:1] in (("gs:",), ("s3:",)):  # a path has lost the second slash
        raise InputError(
            f"the run folder {run} is in a bucket, in which a log cannot be appended to: mount it, "
            "and give the folder"
        )


def _check_batches(config: TrainConfig, devices: int) -> None:
    parts = devices * config.accumulate
    for number, stage in enumerate(config.stages, 1):
        if stage.data.batch_size % parts:
            raise InputError(
                f"stage {number}: a global batch of {stage.data.batch_size} clips cannot be cut "
                f"into {config.accumulate} parts on {devices} devices; make batch_size a "
                f"multiple of {parts}"
            )


def _result(config: TrainConfig, state: TrainState) -> Model:
    """Returns the model that a state stands for: the average, where there is one."""
    params = state["average"] or state["params"]
    variables = {"params": params, "batch_stats": state["batch_stats"]}
    return Model(config.network, jax.tree.map(_whole, variables))


def _whole(leaf: jax.Array) -> jax.Array:
    # Of all hosts' copies, this host's: and a copy, for the next step deletes its state.
    return jax.numpy.array(np.asarray(leaf.addressable_data(0)))
