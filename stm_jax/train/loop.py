"""A training run, read from top to bottom."""

import json
import pathlib
import time

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from stm_jax.config import TrainConfig
from stm_jax.convert.trunk import with_trunk
from stm_jax.data.pipeline import training_clips
from stm_jax.errors import InputError
from stm_jax.nn.model import Model, random_model
from stm_jax.nn.stm import STM
from stm_jax.train import checkpoint
from stm_jax.train.step import initial_state, learning_rates, make_optimizer, make_step


def train(config: TrainConfig, run: pathlib.Path) -> Model:
    """Trains a model, or goes on with a run that was interrupted.

    Args:
        config: Everything that decides the result.
        run: Folder for checkpoints, the log and the configuration; made if it is not there.

    Raises:
        InputError: Data or trunk cannot be used, or the loss is no longer a number.
    """
    run.mkdir(parents=True, exist_ok=True)
    checkpoint.write_config(run, config)
    model = _initial_model(config)
    optimizer = make_optimizer(config)
    state = initial_state(model.variables, optimizer)
    schedule = learning_rates(config.stages)

    with checkpoint.open_manager(run) as manager, (run / "log.jsonl").open("a") as log:
        restored = checkpoint.restore(manager, state)
        done, position = 0, {}
        if restored is not None:
            done, state, position = restored
            print(f"going on from step {done}", flush=True)
        end = 0
        for index, stage in enumerate(config.stages):
            begin, end = end, end + stage.steps
            if done >= end:
                continue
            clips = iter(training_clips(stage.data, config.seed + 100 * index, stage.steps))
            if done > begin:
                clips.set_state(position)
            step_function = make_step(STM(config.model), optimizer, stage.data.objects)
            since, metrics_since = time.perf_counter(), []
            while done < end:
                state, metrics = step_function(state, next(clips))
                done += 1
                metrics_since.append(metrics)
                if done % config.log_every == 0 or done == end:
                    mean = {n: float(np.mean([m[n] for m in metrics_since])) for n in metrics}
                    seconds = time.perf_counter() - since
                    rate = len(metrics_since) * stage.data.batch_size / seconds
                    _report(log, done, config, index, mean, np.asarray(schedule(done)).item(), rate)
                    if not np.isfinite(mean["loss"]):
                        raise InputError(
                            f"the loss is {mean['loss']} at step {done}; lower the learning "
                            f"rate and go on from the last checkpoint in {run}"
                        )
                    since, metrics_since = time.perf_counter(), []
                if done % config.checkpoint_every == 0 or done == end:
                    checkpoint.save(manager, done, state, clips.get_state())
    return Model(config.model, {"params": state["params"], "batch_stats": state["batch_stats"]})


def _initial_model(config: TrainConfig) -> Model:
    model = random_model(config.model, config.seed)
    if config.trunk is None:
        return model
    try:
        trunk = load_file(config.trunk)
    except (OSError, SafetensorError) as error:
        raise InputError(f"the trunk {config.trunk} cannot be read: {error}") from error
    return with_trunk(model, trunk)


def _report(
    log, step: int, config: TrainConfig, stage: int, metrics: dict, rate: float, speed: float
) -> None:
    """Writes one line for the eye and one for programs."""
    total = sum(s.steps for s in config.stages)
    left = (total - step) * config.stages[stage].data.batch_size / speed / 60
    print(
        f"step {step}/{total}  stage {stage + 1}  loss {metrics['loss']:.4f}  "
        f"IoU {metrics['iou']:.3f}  {speed:.2f} clips/s  {left:.0f} min left",
        flush=True,
    )
    line = {"step": step, "stage": stage + 1, **metrics, "learning_rate": rate}
    log.write(json.dumps({**line, "clips_per_second": speed}) + "\n")
    log.flush()
