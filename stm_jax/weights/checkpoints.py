"""Checkpoints of a run, by Orbax: the training state, and beside it the configuration.

A run's folder holds `config.json`, `log.jsonl` and `checkpoints/STEP/`. The position in the data
is the step: batch i is the same whoever makes it.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.traverse_util
import jax
import orbax.checkpoint as ocp

from stm_jax.config import ModelConfig
from stm_jax.errors import InputError
from stm_jax.files import flush_folder
from stm_jax.json_files import load_json
from stm_jax.nn.model import Model
from stm_jax.weights.digests import check_digests, write_digests
from stm_jax.weights.entries import check_entries
from stm_jax.weights.files import model_from
from stm_jax.weights.pytorch import variable_shapes
from stm_jax.weights.similarity import without_code
from stm_jax.weights.whole_reads import every_read_is_awaited

CONFIG = "config.json"
KEPT = 3


@contextlib.contextmanager
def open_manager(run: pathlib.Path) -> Iterator[ocp.CheckpointManager]:
    """Opens the checkpoints of a run for writing; the newest few are kept.

    What a killed run left half written is removed, so there must be one writer. Each is flushed
    to the disk once it is whole: Orbax leaves its own notes beside the arrays to the system.

    Raises:
        InputError: At the end, where the last checkpoint could not be written.
    """
    folder = (run / "checkpoints").absolute()
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT,
        cleanup_tmp_directories=True,
        async_options=ocp.AsyncOptions(post_finalization_callback=lambda: _flush_new(folder)),
    )
    manager = ocp.CheckpointManager(folder, options=options)
    try:
        yield manager
    finally:
        with _explained(manager):
            manager.close()
            _flush_new(folder)


def _flush_new(folder: pathlib.Path) -> None:
    """Flushes, with digests, the checkpoint about to get its name, and the newest that has it."""
    if jax.process_index() > 0:
        return
    named = [path for path in folder.iterdir() if path.name.isdecimal()]
    unnamed = [path for path in folder.iterdir() if path.is_dir() and path not in named]
    for path in unnamed:
        if (path / "state").is_dir():
            write_digests(path / "state")
    for path in (*unnamed, *sorted(named, key=lambda path: int(path.name))[-1:]):
        flush_folder(path)


def save(manager: ocp.CheckpointManager, step: int, state: Any) -> None:
    """Saves in the background; a checkpoint that is not complete is never seen by a reader.

    Raises:
        InputError: This one or the one before could not be written.
    """
    with _explained(manager):
        manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))


def wait(manager: ocp.CheckpointManager) -> None:
    """Returns once what `save` began is on the disk.

    Raises:
        InputError: It could not be written.
    """
    with _explained(manager):
        manager.wait_until_finished()


@contextlib.contextmanager
def _explained(manager: ocp.CheckpointManager) -> Iterator[None]:
    """Turns what a write that failed raises, in this or another thread, into an InputError."""
    try:
        yield
    except (OSError, ValueError) as error:  # Orbax writes through TensorStore, which raises both
        found = re.search(r"os_error_code='(\d+)'", str(error))
        reason = os.strerror(int(found[1])) if found else str(error).strip().partition("\n")[0]
        manager.reload()
        whole = manager.all_steps()
        kept = f"the newest whole one is of step {max(whole)}" if whole else "there is none yet"
        raise InputError(
            f"a checkpoint cannot be written to {manager.directory} ({reason}); {kept}: make "
            "room, and the same command goes on from there"
        ) from error


def restore_newest(
    manager: ocp.CheckpointManager, abstract: Any, say: Callable[[str], None]
) -> tuple[int, Any]:
    """Returns step and state of the newest checkpoint that is whole.

    One that cannot be read is moved out of the way and told of.

    Args:
        manager: Of the run.
        abstract: Shapes, dtypes and shardings of the state. It may have been saved on another
            number of devices.
        say: Takes a line for the user.

    Raises:
        InputError: None of the checkpoints can be read.
    """
    args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
    steps = sorted(manager.all_steps(), reverse=True)
    for step in steps:
        try:
            check_digests(pathlib.Path(str(manager.directory)) / str(step) / "state")
            with every_read_is_awaited():
                return step, manager.restore(step, args=args)["state"]
        except Exception as error:  # what a damaged file raises depends on where it is damaged
            reason = str(error).strip().partition("\n")[0][:120]
            say(f"checkpoint {step} cannot be read, taking the one before ({reason})")
            failed = step
        _put_aside(manager, failed)
    raise InputError(
        f"none of the checkpoints {steps} in {manager.directory} can be read; was the run "
        "begun with another network or version? give another folder to begin anew"
    )


def _put_aside(manager: ocp.CheckpointManager, step: int) -> None:
    """Moves a damaged checkpoint away, so that the run can write that step again."""
    folder = pathlib.Path(str(manager.directory))
    if jax.process_index() == 0:
        aside = folder.parent / "damaged"
        aside.mkdir(exist_ok=True)
        number = sum(1 for _ in aside.iterdir())
        (folder / str(step)).rename(aside / f"{step}-{number}")
    manager.reload()


def has_begun(run: pathlib.Path) -> bool:
    """Says whether the run has a checkpoint, and writes nothing."""
    folder = run / "checkpoints"
    return folder.is_dir() and bool(ocp.utils.checkpoint_steps(folder))


def model_of(run: pathlib.Path) -> ModelConfig:
    """Returns the network that a run was begun with.

    Raises:
        InputError: The folder is no run.
    """
    if not (run / CONFIG).is_file():
        raise InputError(f"{run} is no training run: it has no {CONFIG}")
    try:
        return model_from(load_json(run / CONFIG))
    except InputError as error:
        raise InputError(
            f"{run / CONFIG} is damaged ({error}); copy it from the run again"
        ) from error


def load_checkpoint(run: pathlib.Path, similarity: Sequence[str] = ()) -> Model:
    """Returns the model of a run's newest checkpoint; `similarity` is as of `load`.

    Raises:
        InputError: The folder is no run, has no checkpoint, the newest is damaged (then the newest
            whole one is named), or is of another network than the configuration beside it.
    """
    config = without_code(model_of(run), similarity, run / CONFIG)
    folder = run / "checkpoints"
    steps = sorted(ocp.utils.checkpoint_steps(folder), reverse=True) if folder.is_dir() else []
    if not steps:
        raise InputError(f"{run} has no checkpoint yet; wait for the first, or train further")
    newest, *before = steps
    try:
        state = _read(folder / str(newest))
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        whole = next((step for step in before if _is_whole(folder / str(step))), None)
        remedy = (
            "none before it can be read either: take another run"
            if whole is None
            else f"the last good one is of step {whole}: move {newest} away to take that"
        )
        raise InputError(f"checkpoint {newest} in {folder} is damaged; {remedy}") from error
    params = state.get("average") or state.get("params")
    variables = {"params": params or {}, "batch_stats": state.get("batch_stats") or {}}
    flat: dict[str, Any] = {**flax.traverse_util.flatten_dict(variables, sep="/")}
    check_entries(
        flat,
        {path: shape.shape for path, shape in variable_shapes(config).items()},
        f"checkpoint {newest} in {folder}, which is {config.name} by {run / CONFIG},",
        f"put the {CONFIG} back that the run was begun with, or move {newest} away",
    )
    return Model(config, variables)


def _read(checkpoint: pathlib.Path) -> dict[str, Any]:
    """Returns the state in a checkpoint's folder; raises anything where it is damaged."""
    check_digests(checkpoint / "state")
    # It may have been saved on other devices than there are here.
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    # Not by a manager of checkpoints, which warns of each option that reading implies.
    with every_read_is_awaited(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
        return reader.restore(
            (checkpoint / "state").absolute(),
            args=ocp.args.StandardRestore(fallback_sharding=here),  # pyright: ignore
        )


def _is_whole(checkpoint: pathlib.Path) -> bool:
    try:
        _read(checkpoint)
    except Exception:  # as in `load_checkpoint`
        return False
    return True
