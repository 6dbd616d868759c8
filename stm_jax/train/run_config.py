"""The configuration of a run, beside its checkpoints: what may change when it goes on."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax

from stm_jax.errors import InputError
from stm_jax.files import write_whole
from stm_jax.json_files import load_json, parse_json
from stm_jax.train.config import TrainConfig
from stm_jax.weights.checkpoints import CONFIG

FREE = ("log_every", "checkpoint_every", "validate_every", "bad_steps", "workers")
"""What may change from one start of a run to the next without a word: no number depends on it."""


def write_config(
    run: pathlib.Path, config: TrainConfig, say: Callable[[str], object] = print
) -> None:
    """Writes the resolved configuration beside the checkpoints.

    Raises:
        InputError: The run was begun with another network, or with a state of another kind.
    """
    text = json.dumps(dataclasses.asdict(config), indent=2, default=str)
    new = parse_json(text, "the configuration")
    old = load_json(run / CONFIG) if (run / CONFIG).is_file() else new
    differing = list(_differences(old, new))
    for name, old, new in differing:
        if name.startswith("model.") or (name == "average_decay" and 0 in (old, new)):
            raise InputError(
                f"the run in {run} was begun with {name} = {old}, now it is {new}; give another "
                "run folder"
            )
        say(f"going on with another configuration: {name} was {old}, is now {new}")
    if jax.process_index() == 0:
        write_whole(run / CONFIG, (text + "\n").encode())


def _differences(old: Any, new: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Returns (name, old value, new value) of what two configurations differ in."""
    if name in FREE or old == new:
        return []
    prefix = f"{name}." if name else ""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(n for n in new if n not in old)]
        # A field that one version did not know yet is no difference.
        both = [n for n in names if n in old and n in new]
        return [d for n in both for d in _differences(old[n], new[n], prefix + n)]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True), 1)
        return [d for i, (a, b) in pairs for d in _differences(a, b, f"{prefix}{i}")]
    if isinstance(old, list) and isinstance(new, list):
        return [(name, f"{len(old)} entries", f"{len(new)} entries")]
    return [(name, old, new)]
