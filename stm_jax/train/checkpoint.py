"""Checkpoints of a run, by Orbax: training state, position in the data, configuration.

A run's folder holds `config.json`, `log.jsonl` and `checkpoints/STEP/`.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from stm_jax.config import ModelConfig
from stm_jax.errors import InputError
from stm_jax.files import write_whole
from stm_jax.nn.model import Model

CONFIG = "config.json"
KEPT = 3


def open_manager(run: pathlib.Path) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run for writing and reading; the newest few are kept."""
    options = ocp.CheckpointManagerOptions(max_to_keep=KEPT)
    return ocp.CheckpointManager((run / "checkpoints").absolute(), options=options)


def save(manager: ocp.CheckpointManager, step: int, state: Any, data_position: dict) -> None:
    """Saves in the background; a checkpoint that is not complete is never seen by a reader."""
    args = ocp.args.Composite(
        state=ocp.args.StandardSave(state), data=ocp.args.JsonSave(data_position)
    )
    manager.save(step, args=args)


def restore(manager: ocp.CheckpointManager, state: Any) -> tuple[int, Any, dict] | None:
    """Returns step, training state and data position of the newest checkpoint, None if none.

    Args:
        manager: Of the run.
        state: A state of the same structure, for shapes, dtypes and placement.
    """
    step = manager.latest_step()
    if step is None:
        return None
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore())
    restored = manager.restore(step, args=args)
    return step, restored["state"], restored["data"]


def write_config(run: pathlib.Path, config: Any) -> None:
    """Writes the resolved configuration beside the checkpoints."""
    text = json.dumps(dataclasses.asdict(config), indent=2, default=str)
    write_whole(run / CONFIG, (text + "\n").encode())


def load_checkpoint(run: pathlib.Path) -> Model:
    """Returns the model of a run's newest checkpoint.

    Raises:
        InputError: The folder is no run, or has no checkpoint.
    """
    if not (run / CONFIG).is_file():
        raise InputError(f"{run} is no training run: it has no {CONFIG}")
    try:
        fields = json.loads((run / CONFIG).read_text())["model"]
        config = ModelConfig(**{**fields, "blocks": tuple(fields["blocks"])})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{run / CONFIG} is damaged ({error}); copy it from the run again"
        ) from error
    if not (run / "checkpoints").is_dir():
        raise InputError(f"{run} has no checkpoint yet; wait for the first, or train further")
    with open_manager(run) as manager:
        step = manager.latest_step()
        if step is None:
            raise InputError(f"{run} has no checkpoint yet; wait for the first, or train further")
        args = ocp.args.Composite(state=ocp.args.StandardRestore())
        state = manager.restore(step, args=args)["state"]
    return Model(config, {"params": state["params"], "batch_stats": state["batch_stats"]})
