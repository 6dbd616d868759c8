"""What a training took, by its own log: however often it was stopped, each step counts once."""

import contextlib
import pathlib
from typing import Any

from stm_jax.errors import InputError
from stm_jax.json_files import parse_json
from stm_jax.train.config import TrainConfig

LOG = "log.jsonl"


def seconds_of_run(run: pathlib.Path, config: TrainConfig) -> float:
    """Returns how long the steps took that a run's weights are made of.

    Steps that were done twice, for the run was killed after its last checkpoint, count as they
    went the last time. Compiling the step is part of it, reading weights is not.
    """
    speeds = {line["step"]: line for line in _lines(run / LOG) if "clips_per_second" in line}
    seconds, before = 0.0, 0
    for step in sorted(speeds):
        stage = config.stages[speeds[step]["stage"] - 1]
        clips = (step - before) * stage.data.batch_size
        seconds += clips / max(speeds[step]["clips_per_second"], 1e-9)
        before = step
    return seconds


def last_step(run: pathlib.Path) -> int:
    """Returns the last step that a run has logged, 0 if there is none."""
    return max((line.get("step", 0) for line in _lines(run / LOG)), default=0)


def _lines(log: pathlib.Path) -> list[dict[str, Any]]:
    found = []
    with contextlib.suppress(FileNotFoundError), log.open(encoding="utf-8") as file:
        for line in file:
            with contextlib.suppress(InputError):  # the last, while it is written
                found.append(parse_json(line, log))
    return found
